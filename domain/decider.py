"""The shape of every decision: `decide(state, command) → events`, `evolve(state, event) → state`, both pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from domain.policies.settings import Policies
from domain.pricing.state import MonthsDiscounts
from domain.records import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.catalog.state import Offer
    from domain.ids import CommandId, PriceId
    from domain.pricing.state import PromoCode

Data_co = TypeVar("Data_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[Data_co]):
    """An intent with all that a pure decision needs: its id, its time, who asks, what is on sale and the policies.

    `data` comes from the wire. `at`, what is on sale and `policies` are filled in by the engine when it decides; the
    events record whatever of them was used, so that a replay years later decides nothing anew.
    """

    id: CommandId
    key: str
    at: datetime
    actor: str
    data: Data_co
    prices: Mapping[PriceId, Offer] = field(default_factory=dict)
    months_discounts: MonthsDiscounts = field(default_factory=MonthsDiscounts)
    promo_code: PromoCode | None = None
    """The promo code that the command names, where there is one and it is in use."""
    policies: Policies = field(default_factory=Policies)
