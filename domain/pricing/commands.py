"""What managers ask of discounts."""

from __future__ import annotations

from datetime import datetime

from domain.ids import DiscountId, ProductId
from domain.pricing.state import MonthsStep
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineMonthsDiscounts:
    """Make the table of discounts by months be as given; no steps: no such discounts."""

    steps: tuple[MonthsStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPersonalDiscount:
    """Give one customer a part off."""

    basis_points: int
    reason: str
    products: tuple[ProductId, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokePersonalDiscount:
    """Take a personal discount back; what was bought with it stays."""

    discount_id: DiscountId


PersonalDiscountCommand = GrantPersonalDiscount | RevokePersonalDiscount
