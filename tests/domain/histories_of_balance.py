"""Orders of somebody who has credit on the balance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.events import CreditGranted
from domain.balance.state import payment_id_of
from domain.effects import RefundAnswerStatus
from tests.domain.histories import METHOD_FIELDS, OPENED, answered, paid, place, refund_answer, reported
from tests.domain.spec import ORDER, T0, Spec, given, usd

if TYPE_CHECKING:
    from datetime import datetime

KEPT = payment_id_of(ORDER.order)


def granted(amount: int) -> Spec:
    return given(CreditGranted(amount=usd(amount), reason="sorry"))


def ordering(amount: int, *prices: str) -> Spec:
    """An order of somebody with so much on the balance, whose page is open."""
    spec = granted(amount).when(place(*(prices or ("solaris:own",))), command_id=ORDER.command).happens()
    return spec.when(answered(ORDER.checkout, OPENED)).happens()


def paying(spec: Spec, *, at: datetime = T0) -> Spec:
    """The customer pays at the page whatever is asked for there."""
    told = paid(spec.account.payments[ORDER.payment].amount, **METHOD_FIELDS)
    return spec.when(reported(told), at=at).happens()


def left(spec: Spec, currency: str = "USD") -> int:
    return spec.account.balances.get(currency, 0)


def given_back(spec: Spec, *, at: datetime = T0) -> Spec:
    for each in tuple(spec.account.refunds.values()):
        if each.call is not None:
            spec = spec.when(refund_answer(each, RefundAnswerStatus.SUCCEEDED), at=at).happens()
    return spec
