"""A promo code at its own key, and one account's use of a code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from domain.ids import AccountId, EffectId, OrderId
from domain.pricing.state import PromoCode
from domain.records import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPromoCode:
    """Nobody defined such a code yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeUses:
    """A promo code and who has its uses. What is final is only counted, so that the state stays small."""

    promo: PromoCode
    reserved: Mapping[OrderId, AccountId] = field(default_factory=dict)
    """Orders that are not paid yet, with their accounts."""
    settled: int = 0
    """How many paid orders used it."""

    @property
    def is_used_up(self) -> bool:
        """Tell whether no use is left."""
        limit = self.promo.uses_max
        return limit is not None and len(self.reserved) + self.settled >= limit


PromoState = NoPromoCode | PromoCodeUses


class PromoUseStatus(StrEnum):
    """How far an order's use of a promo code has come."""

    RESERVING = "reserving"
    HELD = "held"
    """Reserved, or of a code that has no limit; for ever once the order is paid."""
    RELEASING = "releasing"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCall:
    """A question to the promo code that has no answer yet; it is repeated until it has one."""

    effect_id: EffectId
    attempt: int
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUse:
    """One order's use of a promo code."""

    order_id: OrderId
    code: str
    is_limited: bool
    """Whether the code's own key counts its uses."""
    status: PromoUseStatus
    account: AccountId | None = None
    """Set for limited codes: the key to which their answers go."""
    expires_at: datetime | None = None
    """While it is being reserved: when its order is given up."""
    call: PromoCall | None = None
