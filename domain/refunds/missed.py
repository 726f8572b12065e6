"""What a customer was to get back of a payment and never got, refund by refund in the order in which it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.records import dataclass
from domain.refunds.state import OWED_WITHOUT_ACCESS, RefundedBy, RefundStatus

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from domain.refunds.state import Refund


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Minor units that did not reach the customer and were not asked for again."""

    for_access: int
    """They were to pay back for something: what had gone with them was given again."""
    for_nothing: int
    """Nothing had gone with them."""


def missed(refunds: Iterable[Refund], *, in_full: frozenset[str]) -> Missed:
    """Return what is missed of some refunds of one payment; those `in_full`, by their rule, make up for all of it.

    The customer's bank did not take it, or the provider refused what we ourselves had promised. What was asked for
    later makes up for it; what time was given again goes back as unused time, too.
    """
    for_access = for_nothing = 0
    for refund, is_missed in _in_order(refunds):
        amount = refund.amount.amount
        if is_missed and refund.is_for_nothing:
            for_nothing += amount
        elif is_missed:
            for_access += amount
        elif refund.rule == OWED_WITHOUT_ACCESS:
            for_nothing = max(0, for_nothing - amount)
        else:
            more = max(0, amount - for_access)
            for_access = max(0, for_access - amount)
            if refund.rule in in_full:
                for_nothing = max(0, for_nothing - more)
    return Missed(for_access=for_access, for_nothing=for_nothing)


def _in_order(refunds: Iterable[Refund]) -> list[tuple[Refund, bool]]:
    """Return each refund where it was asked for, and where it turned out to be missed."""
    found: list[tuple[datetime, Refund, bool]] = []
    for refund in refunds:
        is_refused = refund.status is RefundStatus.FAILED and refund.reversed_at is None
        if not is_refused:
            found.append((refund.requested_at, refund, False))
        elif refund.requested_by is RefundedBy.POLICY:
            found.append((refund.requested_at, refund, True))
        if refund.reversed_at is not None:
            found.append((refund.reversed_at, refund, True))
    found.sort(key=lambda each: each[0])
    return [(refund, is_missed) for _, refund, is_missed in found]
