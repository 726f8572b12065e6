"""Discounts: who gives them, for what, and what an order had of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.ids import DiscountId, ProductId
from domain.money import Money
from domain.records import dataclass

BASIS_POINTS = 10_000
"""The whole: a discount of 10 % is 1,000 basis points."""


class DiscountKind(StrEnum):
    """Where a discount comes from. They never add up."""

    PERSONAL = "personal"
    MONTHS = "months"
    PROMO = "promo"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalDiscount:
    """A part off for one customer, as long as it is valid."""

    id: DiscountId
    basis_points: int
    reason: str
    products: tuple[ProductId, ...] = ()
    """The products that it is for; none named: all."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    """The first moment at which it is valid no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthsStep:
    """A part off for whoever takes at least so many months of a plan at once."""

    months: int
    basis_points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthsDiscounts:
    """The table of steps; the one with the greatest number of months that is reached counts."""

    steps: tuple[MonthsStep, ...] = ()

    def reached(self, months: int) -> MonthsStep | None:
        """Return the step for a number of months."""
        reached = [step for step in self.steps if step.months <= months]
        return max(reached, key=lambda step: step.months, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCode:
    """A word that takes a part or an amount off. It is nobody's: whoever knows it may use it, within its limits."""

    code: str
    basis_points: int | None = None
    amount: Money | None = None
    """Either a part or an amount, never both."""
    products: tuple[ProductId, ...] = ()
    """The products that it is for; none named: all."""
    months_min: int | None = None
    """How many months of a plan must be taken at once; where it is set, the code is for plans alone."""
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_max: int | None = None
    """How many orders may use it in all."""
    uses_per_account_max: int | None = None
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedDiscount:
    """The discount that won, and why."""

    kind: DiscountKind
    reference: str
    """The personal discount's id, the promo code, or `months`."""
    amount: Money
    """What it takes off."""
    reason: str
    """One sentence for the customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsideredDiscount:
    """A discount that would have been possible, and what it would have taken off."""

    kind: DiscountKind
    reference: str
    amount: Money
    what: str
    """Such as `10 % for 3 months or more`."""


def is_valid(start: datetime | None, end: datetime | None, at: datetime) -> bool:
    """Tell whether a moment lies in a time of validity; an open end is valid for ever."""
    return (start is None or start <= at) and (end is None or at < end)
