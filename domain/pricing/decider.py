"""Decisions about discounts: the table by months at its own key, and personal ones at their account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import DiscountInvalid, DiscountUnknown
from domain.ids import DiscountId, derive
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.pricing.state import BASIS_POINTS, MonthsDiscounts, PersonalDiscount

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.decider import Command
    from domain.pricing.commands import DefineMonthsDiscounts, GrantPersonalDiscount, RevokePersonalDiscount

STEPS_MAX = 50
MONTHS_MAX = 120
PERSONAL_MAX = 50
PRODUCTS_MAX = 100
REASON_MAX = 200


def define_months(table: MonthsDiscounts, asked: DefineMonthsDiscounts) -> tuple[MonthsDiscountsDefined, ...]:
    """Replace the table. Raises DiscountInvalid."""
    months = [step.months for step in asked.steps]
    if len(months) > STEPS_MAX:
        raise DiscountInvalid(reason=f"the table may have up to {STEPS_MAX} steps")
    if len(set(months)) != len(months):
        raise DiscountInvalid(reason="a number of months is given twice")
    for step in asked.steps:
        if not 0 < step.months <= MONTHS_MAX:
            raise DiscountInvalid(reason=f"months must be 1 to {MONTHS_MAX}, not {step.months}")
        _require_part(step.basis_points)
    steps = tuple(sorted(asked.steps, key=lambda step: step.months))
    return () if steps == table.steps else (MonthsDiscountsDefined(steps=steps),)


def grant(
    account: Account, asked: GrantPersonalDiscount, command: Command[object]
) -> tuple[PersonalDiscountGranted, ...]:
    """Give the account a discount. Raises DiscountInvalid."""
    _require_part(asked.basis_points)
    if not 0 < len(asked.reason) <= REASON_MAX:
        raise DiscountInvalid(reason=f"a reason has 1 to {REASON_MAX} characters")
    if len(asked.products) > PRODUCTS_MAX:
        raise DiscountInvalid(reason=f"it may name up to {PRODUCTS_MAX} products")
    if asked.valid_from is not None and asked.valid_until is not None and asked.valid_from >= asked.valid_until:
        raise DiscountInvalid(reason="valid_from must be before valid_until")
    if len(account.personal_discounts) >= PERSONAL_MAX:
        raise DiscountInvalid(reason=f"an account may have up to {PERSONAL_MAX}; revoke one first")
    discount = PersonalDiscount(
        id=DiscountId(derive(command.id, "discount")),
        basis_points=asked.basis_points,
        reason=asked.reason,
        products=asked.products,
        valid_from=asked.valid_from,
        valid_until=asked.valid_until,
    )
    return (PersonalDiscountGranted(discount=discount),)


def revoke(
    account: Account, asked: RevokePersonalDiscount, command: Command[object]
) -> tuple[PersonalDiscountRevoked, ...]:
    """Take a discount back. Raises DiscountUnknown."""
    if asked.discount_id not in account.personal_discounts:
        raise DiscountUnknown(discount_id=asked.discount_id)
    return (PersonalDiscountRevoked(discount_id=asked.discount_id),)


def _require_part(basis_points: int) -> None:
    if not 0 < basis_points <= BASIS_POINTS:
        raise DiscountInvalid(reason=f"basis_points must be 1 to {BASIS_POINTS}, not {basis_points}")
