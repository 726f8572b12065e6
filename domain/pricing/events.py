"""What happened to discounts."""

from __future__ import annotations

from domain.ids import DiscountId
from domain.pricing.state import MonthsStep, PersonalDiscount
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthsDiscountsDefined:
    """The table of discounts by months is this one from now on."""

    steps: tuple[MonthsStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDiscountGranted:
    """The customer has a discount of their own."""

    discount: PersonalDiscount

    @property
    def discount_id(self) -> DiscountId:
        """The name of the discount."""
        return self.discount.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDiscountRevoked:
    """The customer has the discount no more."""

    discount_id: DiscountId


PersonalDiscountEvent = PersonalDiscountGranted | PersonalDiscountRevoked
