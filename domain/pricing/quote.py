"""What an order costs: one function for quotes, orders and renewals, so that all three agree to the minor unit.

Discounts do not add up: the one that takes most off the whole order wins. A part of an amount is rounded half up to the
minor unit, line by line. Subtotal − discount = total, always, and never below zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.calendar import PeriodUnit
from domain.errors import CurrencyMismatch, PromoCodeExpired, PromoCodeNotApplicable, PromoCodeNotYetValid
from domain.money import Money, checked, in_words
from domain.pricing.state import (
    BASIS_POINTS,
    AppliedDiscount,
    ConsideredDiscount,
    DiscountKind,
    MonthsDiscounts,
    PersonalDiscount,
    PromoCode,
    is_valid,
)
from domain.records import dataclass, field, replace

if TYPE_CHECKING:
    from datetime import datetime

    from domain.orders.state import OrderLine

MONTHS_REFERENCE = "months"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The discounts that may win."""

    personal: tuple[PersonalDiscount, ...] = ()
    months: MonthsDiscounts = field(default_factory=MonthsDiscounts)
    promo: PromoCode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What the lines cost. Each line knows its part of the discount."""

    lines: tuple[OrderLine, ...]
    subtotal: Money
    discount: Money
    total: Money
    applied: AppliedDiscount | None
    considered: tuple[ConsideredDiscount, ...] = ()
    """The discounts that did not win: they do not add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What one candidate would take off each line."""

    kind: DiscountKind
    reference: str
    what: str
    """Such as `10 % for 3 months or more`."""
    parts: tuple[int, ...]

    @property
    def amount(self) -> int:
        return sum(self.parts)


def quote(lines: tuple[OrderLine, ...], candidates: Candidates, at: datetime) -> Quote:
    """Return what the lines cost at a moment, with the best discount of all candidates.

    Raises CurrencyMismatch, AmountOutOfRange; PromoCodeExpired, PromoCodeNotYetValid and PromoCodeNotApplicable where a
    promo code is among the candidates and cannot be used, even if another discount would have won.
    """
    subtotal = _subtotal(lines)
    offers = [*_personal(lines, candidates.personal, at), *_months(lines, candidates.months)]
    if candidates.promo is not None:
        offers.append(_promo(lines, candidates.promo, at))
    # The first of equals wins, so that a promo code is not used up for nothing.
    best = max((offer for offer in offers if offer.amount > 0), key=lambda offer: offer.amount, default=None)
    if best is None:
        return Quote(
            lines=lines,
            subtotal=subtotal,
            discount=Money(amount=0, currency=subtotal.currency),
            total=subtotal,
            applied=None,
            considered=_considered(offers, subtotal.currency),
        )
    discount = Money(amount=best.amount, currency=subtotal.currency)
    return Quote(
        lines=tuple(
            replace(line, discount_amount=part) if part else line for line, part in zip(lines, best.parts, strict=True)
        ),
        subtotal=subtotal,
        discount=discount,
        total=subtotal - discount,
        applied=AppliedDiscount(
            kind=best.kind, reference=best.reference, amount=discount, reason=_reason(best, offers, subtotal.currency)
        ),
        considered=_considered([offer for offer in offers if offer is not best], subtotal.currency),
    )


def part_of(amount: int, basis_points: int) -> int:
    """Return a part of an amount in minor units, rounded half up."""
    return (amount * basis_points + BASIS_POINTS // 2) // BASIS_POINTS


def months_of(line: OrderLine) -> int:
    """Return how many months of a plan a line is for; none for films and for plans by the day."""
    if line.period is None or line.period.unit is not PeriodUnit.MONTH:
        return 0
    return line.period.count * line.quantity


def _subtotal(lines: tuple[OrderLine, ...]) -> Money:
    subtotal = lines[0].total
    for line in lines[1:]:
        if line.total.currency != subtotal.currency:
            raise CurrencyMismatch(left=subtotal.currency, right=line.total.currency)
        subtotal = checked(subtotal + line.total)
    return subtotal


def _personal(lines: tuple[OrderLine, ...], held: tuple[PersonalDiscount, ...], at: datetime) -> list[_Offer]:
    return [
        _Offer(
            kind=DiscountKind.PERSONAL,
            reference=discount.id,
            what=f"your personal discount of {_percent(discount.basis_points)}",
            parts=tuple(
                part_of(line.total.amount, discount.basis_points)
                if not discount.products or line.product_id in discount.products
                else 0
                for line in lines
            ),
        )
        for discount in held
        if is_valid(discount.valid_from, discount.valid_until, at)
    ]


def _months(lines: tuple[OrderLine, ...], table: MonthsDiscounts) -> list[_Offer]:
    if not table.steps:
        return []
    steps = [table.reached(months_of(line)) for line in lines]
    reached = [step for step in steps if step is not None]
    if not reached:
        return []
    named = sorted(set(reached), key=lambda step: step.months, reverse=True)
    return [
        _Offer(
            kind=DiscountKind.MONTHS,
            reference=MONTHS_REFERENCE,
            what=" and ".join(f"{_percent(step.basis_points)} for {step.months} months or more" for step in named),
            parts=tuple(
                0 if step is None else part_of(line.total.amount, step.basis_points)
                for line, step in zip(lines, steps, strict=True)
            ),
        )
    ]


def _promo(lines: tuple[OrderLine, ...], promo: PromoCode, at: datetime) -> _Offer:
    if promo.valid_from is not None and at < promo.valid_from:
        raise PromoCodeNotYetValid(promo_code=promo.code, valid_from=promo.valid_from.isoformat())
    if promo.valid_until is not None and at >= promo.valid_until:
        raise PromoCodeExpired(promo_code=promo.code, valid_until=promo.valid_until.isoformat())
    eligible = tuple(_is_for(promo, line) for line in lines)
    if not any(eligible):
        raise PromoCodeNotApplicable(promo_code=promo.code, reason=_why_not(promo, lines))
    if promo.amount is not None:
        if promo.amount.currency != lines[0].total.currency:
            reason = f"it is for orders in {promo.amount.currency}"
            raise PromoCodeNotApplicable(promo_code=promo.code, reason=reason)
        parts = _spread(promo.amount.amount, lines, eligible)
    else:
        points = promo.basis_points or 0
        parts = tuple(
            part_of(line.total.amount, points) if fits else 0 for line, fits in zip(lines, eligible, strict=True)
        )
    what = f"the promo code {promo.code}"
    return _Offer(kind=DiscountKind.PROMO, reference=promo.code, what=what, parts=parts)


def _is_for(promo: PromoCode, line: OrderLine) -> bool:
    is_product = not promo.products or line.product_id in promo.products
    return is_product and (promo.months_min is None or months_of(line) >= promo.months_min)


def _why_not(promo: PromoCode, lines: tuple[OrderLine, ...]) -> str:
    if promo.products and not any(line.product_id in promo.products for line in lines):
        return f"it is for {', '.join(promo.products)}"
    return f"it is for {promo.months_min} months of a plan or more"


def _spread(amount: int, lines: tuple[OrderLine, ...], eligible: tuple[bool, ...]) -> tuple[int, ...]:
    """Spread an amount over lines in proportion to what they cost; units that do not divide go to the first lines."""
    costs = [line.total.amount if fits else 0 for line, fits in zip(lines, eligible, strict=True)]
    whole = sum(costs)
    amount = min(amount, whole)
    parts = [amount * cost // whole for cost in costs]
    rest = amount - sum(parts)
    for number, cost in enumerate(costs):
        more = min(rest, 1, cost - parts[number])
        parts[number] += more
        rest -= more
    return tuple(parts)


def _reason(best: _Offer, offers: list[_Offer], currency: str) -> str:
    """Return one sentence that says what won and against what."""

    def worth(offer: _Offer) -> str:
        return in_words(Money(amount=offer.amount, currency=currency))

    said = f"{best.what[0].upper()}{best.what[1:]} takes {worth(best)} off"
    others = [offer for offer in offers if offer is not best and offer.amount > 0]
    if not others:
        return f"{said}."
    against = ", ".join(f"{worth(offer)} of {offer.what}" for offer in others)
    return f"{said}, at least as much as {against}; discounts do not add up."


def _considered(offers: list[_Offer], currency: str) -> tuple[ConsideredDiscount, ...]:
    return tuple(
        ConsideredDiscount(
            kind=offer.kind,
            reference=offer.reference,
            amount=Money(amount=offer.amount, currency=currency),
            what=offer.what,
        )
        for offer in offers
    )


def _percent(basis_points: int) -> str:
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02}".rstrip("0").rstrip(".") + " %" if rest else f"{whole} %"
