"""How much of a payment may be given back, to whom, and by which rule. One place for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import (
    NothingToRefund,
    PaymentDisputed,
    PaymentNotRefundable,
    RefundAmountInvalid,
    RefundExceedsPayment,
)
from domain.ids import EffectId, RefundId, derive
from domain.money import Money
from domain.payments.state import Succeeded
from domain.policies.settings import Policies, delay
from domain.records import dataclass
from domain.refunds.events import RefundRequested
from domain.refunds.state import RefundedBy, RefundStatus

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.state import OrderLine
    from domain.payments.state import Payment
    from domain.subscriptions.state import Subscription

WINDOW = "within the refund window"
UNUSED = "the unused part of the period"
MANAGER = "a manager decides"
NOT_USED = "money that bought nothing goes back"
OWED = "an earlier refund did not reach the customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be given back at a moment: at most `amount` minor units, because of `rule`."""

    amount: int
    rule: str
    ends_access: bool


def left(payment: Payment) -> int:
    """Return the minor units that were neither given back nor promised to be, and that no bank has taken."""
    return max(0, payment.amount.amount - payment.refunded - payment.refunding - payment.disputed)


def lost(account: Account, payment: Payment) -> int:
    """Return the minor units that are gone for good by disputes."""
    return sum(
        dispute.withheld
        for dispute in account.disputes.values()
        if dispute.payment_id == payment.id and not dispute.is_open
    )


def owed(account: Account, payment: Payment) -> Allowance:
    """Return what the customer was to get back by some rule and never got, since the refund was reversed.

    It may be asked for again at any time, until it is on its way or there.
    """
    of_payment = [refund for refund in account.refunds.values() if refund.payment_id == payment.id]
    missed = [refund for refund in of_payment if refund.reversed_at is not None and refund.rule != OWED]
    since = min((refund.reversed_at for refund in missed if refund.reversed_at is not None), default=None)
    made_up = sum(
        refund.amount.amount
        for refund in of_payment
        if since is not None and refund.requested_at >= since and refund.status is not RefundStatus.FAILED
    )
    amount = sum(refund.amount.amount for refund in missed) - made_up
    return Allowance(
        amount=max(0, min(left(payment), amount)),
        rule=OWED,
        ends_access=any(refund.ends_access for refund in missed),
    )


def allowance(account: Account, payment: Payment, now: datetime, policies: Policies, *, by_manager: bool) -> Allowance:
    """Return what may be given back of a payment. Raises PaymentNotRefundable, NothingToRefund."""
    if not isinstance(payment.phase, Succeeded):
        raise PaymentNotRefundable(payment_id=payment.id, status=payment.status)
    remaining = left(payment)
    if remaining <= 0 and payment.disputed > 0:
        raise PaymentDisputed(payment_id=payment.id)
    if remaining <= 0:
        raise NothingToRefund(payment_id=payment.id)
    if by_manager:
        return Allowance(amount=remaining, rule=MANAGER, ends_access=False)
    if now <= payment.phase.paid_at + policies.refund_window:
        return Allowance(amount=remaining, rule=WINDOW, ends_access=False)
    unused = min(remaining, unused_part(account, payment, now)) if policies.refund_unused else 0
    missed = owed(account, payment)
    if missed.amount > unused:
        return missed
    if unused <= 0:
        raise NothingToRefund(payment_id=payment.id)
    return Allowance(amount=unused, rule=UNUSED, ends_access=True)


def unused_part(account: Account, payment: Payment, now: datetime) -> int:
    """Return the minor units for the time that is left of what the payment paid, and that were not given back.

    Counted in whole seconds of each period and rounded down; zero once a period is over, and for films.
    """
    lines = account.orders[payment.order_id].lines
    unused = sum(_unused_of_line(account, line, payment, now) for line in lines)
    return max(0, unused - payment.refunded - payment.refunding - payment.disputed)


def unused_of(account: Account, payment: Payment, now: datetime, subscription: Subscription) -> int:
    """Return the same for one subscription that the payment paid, at most what is left of the payment."""
    lines = account.orders[payment.order_id].lines
    of_it = sum(
        _unused_of_line(account, line, payment, now) for line in lines if line.resource == subscription.resource
    )
    return min(left(payment), of_it, unused_part(account, payment, now))


def prorated(amount: int, start: datetime, end: datetime, now: datetime) -> int:
    """Return the part of an amount for the rest of a period: all before it begins, nothing after its end."""
    if now >= end:
        return 0
    whole = int((end - start).total_seconds())
    rest = int((end - max(start, now)).total_seconds())
    return amount * rest // whole


def _unused_of_line(account: Account, line: OrderLine, payment: Payment, now: datetime) -> int:
    for subscription in account.subscriptions.values():
        if not subscription.is_running or subscription.resource != line.resource:
            continue
        for period in subscription.paid:
            if period.order_id == payment.order_id:
                return prorated(line.net.amount, period.start, period.end, now)
    return 0


def request(  # one refund has that many facts
    payment: Payment,
    command: Command[object],
    *,
    amount: int,
    reason: str,
    rule: str,
    requested_by: RefundedBy,
    ends_access: bool,
) -> RefundRequested:
    """Return the event that reserves the amount and asks the provider for it."""
    if payment.reference is None:
        raise AssertionError(f"the payment {payment.id} was paid and has no reference")
    refund_id = RefundId(derive(command.id, f"refund {payment.id}"))
    return RefundRequested(
        refund_id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        provider=payment.provider,
        payment_reference=payment.reference,
        amount=Money(amount=amount, currency=payment.amount.currency),
        reason=reason,
        rule=rule,
        requested_by=requested_by,
        ends_access=ends_access,
        effect_id=EffectId(derive(refund_id, "refund")),
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )


def asked_amount(payment: Payment, asked: int | None, allowed: Allowance) -> int:
    """Return the minor units to give back. Raises RefundAmountInvalid, RefundExceedsPayment."""
    if asked is None:
        return allowed.amount
    if asked <= 0:
        raise RefundAmountInvalid(amount=asked)
    if asked > allowed.amount:
        raise RefundExceedsPayment(payment_id=payment.id, amount=asked, left_amount=allowed.amount, rule=allowed.rule)
    return asked
