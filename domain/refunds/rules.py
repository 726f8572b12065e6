"""How much of a payment may be given back, to whom, and by which rule. One place for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import BALANCE, payment_id_of
from domain.catalog.state import ProductKind
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
from domain.policies.terms import under
from domain.records import dataclass, replace
from domain.refunds.events import RefundRequested
from domain.refunds.state import UNDER_WAY, RefundedBy, RefundStatus
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import OrderId, PaymentId
    from domain.payments.state import Payment
    from domain.subscriptions.state import PaidPeriod, Subscription

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
    credit: tuple[Source, ...] = ()
    """What goes back besides: what the balance paid, and money of earlier payments that was taken off the price."""


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
    """Return what may be given back of a payment. Raises PaymentNotRefundable, NothingToRefund.

    What a change of plan carried over into another order is given back with that order, not with the one it came from.
    """
    if not isinstance(payment.phase, Succeeded):
        raise PaymentNotRefundable(payment_id=payment.id, status=payment.status)
    remaining = left(payment)
    if remaining <= 0 and payment.disputed > 0:
        raise PaymentDisputed(payment_id=payment.id)
    if remaining <= 0:
        raise NothingToRefund(payment_id=payment.id)
    if by_manager:
        beside = _beside(account, payment)
        return Allowance(amount=remaining, rule=MANAGER, ends_access=False, credit=beside)
    free = remaining - _carried_over(account, payment)
    policies = _policies(account, payment, policies)
    if free > 0 and now <= payment.phase.paid_at + policies.refund_window:
        credit = (*_beside(account, payment), *_credit_in(account, payment, None))
        return Allowance(amount=free, rule=WINDOW, ends_access=False, credit=credit)
    unused = min(free, unused_part(account, payment, now)) if policies.refund_unused else 0
    missed = owed(account, payment)
    if missed.amount > unused:
        return missed
    if unused <= 0:
        raise NothingToRefund(payment_id=payment.id)
    return Allowance(amount=unused, rule=UNUSED, ends_access=True, credit=_credit_in(account, payment, now))


def _policies(account: Account, payment: Payment, policies: Policies) -> Policies:
    """Return the policies under the terms that were agreed with the payment's order.

    An order of several products has the strictest of theirs, since its money goes back as one.
    """
    lines = account.orders[payment.order_id].lines
    plans = [line for line in lines if line.kind is ProductKind.SUBSCRIPTION]
    return replace(
        policies,
        refund_window=min(under(line.terms, policies).refund_window for line in lines),
        refund_unused=all(under(line.terms, policies).refund_unused for line in plans),
    )


def prorated(amount: int, start: datetime, end: datetime, now: datetime) -> int:
    """Return the part of an amount for the rest of a period, rounded down: all before it begins, nothing after its end.

    Counted in whole seconds.
    """
    if now >= end:
        return 0
    whole = int((end - start).total_seconds())
    rest = int((end - max(start, now)).total_seconds())
    return amount * rest // whole


def is_being_paid_back(account: Account, order_id: OrderId) -> bool:
    """Tell whether the unused part of what an order paid is on its way back."""
    return any(
        refund.order_id == order_id and refund.ends_access and refund.status in UNDER_WAY
        for refund in account.refunds.values()
    )


def unused_sources(account: Account, subscription: Subscription, now: datetime) -> tuple[Source, ...]:
    """Return the money for the time that is left of a subscription, by payment, the oldest first.

    Nothing of what is on its way back already, and never more than is left of a payment.
    """
    found: dict[PaymentId, int] = {}
    for period in subscription.paid:
        if not is_being_paid_back(account, period.order_id):
            for source in period.sources:
                part = prorated(source.amount, period.start, period.end, subscription.clock(now))
                found[source.payment_id] = found.get(source.payment_id, 0) + part
    amounts = {payment_id: min(amount, left(account.payments[payment_id])) for payment_id, amount in found.items()}
    return tuple(Source(payment_id=payment_id, amount=amount) for payment_id, amount in amounts.items() if amount > 0)


def unused_part(account: Account, payment: Payment, now: datetime) -> int:
    """Return the minor units for the time that is left of what the payment's own order bought."""
    if is_being_paid_back(account, payment.order_id):
        return 0
    return sum(
        prorated(source.amount, period.start, period.end, subscription.clock(now))
        for subscription, period in _periods(account, payment.order_id)
        for source in period.sources
        if source.payment_id == payment.id
    )


def _carried_over(account: Account, payment: Payment) -> int:
    """Return the minor units of a payment that became credit of other orders."""
    return sum(
        source.amount
        for subscription in account.subscriptions.values()
        for period in subscription.paid
        for source in period.sources
        if source.payment_id == payment.id and period.order_id != payment.order_id
    )


def bought_something(account: Account, payment: Payment) -> bool:
    """Tell whether the payment is what its order was paid with, and not money that came a second time for it."""
    order = account.orders[payment.order_id]
    return payment.id in {order.payment_id, payment_id_of(order.id)}


def paid_beside(account: Account, payment: Payment) -> tuple[Payment, ...]:
    """Return what paid for the payment's order besides it: the balance beside money, or money beside the balance.

    None where the payment bought nothing.
    """
    if not bought_something(account, payment):
        return ()
    order = account.orders[payment.order_id]
    paying = (order.payment_id, payment_id_of(order.id))
    others = (account.payments.get(payment_id) for payment_id in paying if payment_id != payment.id)
    return tuple(other for other in others if other is not None and isinstance(other.phase, Succeeded))


def _beside(account: Account, payment: Payment) -> tuple[Source, ...]:
    """Return all that can be given back of what paid for the payment's order besides it."""
    amounts = ((other, left(other) - _carried_over(account, other)) for other in paid_beside(account, payment))
    return tuple(Source(payment_id=other.id, amount=amount) for other, amount in amounts if amount > 0)


def _credit_in(account: Account, payment: Payment, now: datetime | None) -> tuple[Source, ...]:
    """Return the credit that paid for the payment's order, besides the payment: all of it, or what is unused now.

    What the balance paid counts as credit where only the unused part goes back.
    """
    found: dict[PaymentId, int] = {}
    beside = {payment.id} | ({other.id for other in paid_beside(account, payment)} if now is None else set())
    for subscription, period in _periods(account, payment.order_id):
        for source in period.sources:
            if source.payment_id in beside:
                continue
            amount = source.amount
            if now is not None:
                amount = prorated(amount, period.start, period.end, subscription.clock(now))
            found[source.payment_id] = found.get(source.payment_id, 0) + amount
    amounts = {payment_id: min(amount, left(account.payments[payment_id])) for payment_id, amount in found.items()}
    return tuple(Source(payment_id=payment_id, amount=amount) for payment_id, amount in amounts.items() if amount > 0)


def _periods(account: Account, order_id: OrderId) -> list[tuple[Subscription, PaidPeriod]]:
    return [
        (subscription, period)
        for subscription in account.subscriptions.values()
        for period in subscription.paid
        if period.order_id == order_id
    ]


def request(  # one refund has that many facts
    payment: Payment,
    command: Command[object],
    *,
    amount: int,
    reason: str,
    rule: str,
    requested_by: RefundedBy,
    ends_access: bool,
    onto_balance: bool = False,
) -> RefundRequested:
    """Return the event that reserves the amount and asks the provider for it; nobody is asked for the balance."""
    if payment.reference is None:
        raise AssertionError(f"the payment {payment.id} was paid and has no reference")
    refund_id = RefundId(derive(command.id, f"refund {payment.id}"))
    return RefundRequested(
        refund_id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        provider=BALANCE if onto_balance else payment.provider,
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
