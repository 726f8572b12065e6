"""How much of a payment may be given back, to whom, and by which rule. One place for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.catalog.state import ProductKind
from domain.errors import (
    NothingToRefund,
    PaymentDisputed,
    PaymentNotRefundable,
    RefundAmountInvalid,
    RefundExceedsPayment,
    RefundPartialUnavailable,
)
from domain.ids import EffectId, RefundId, derive
from domain.money import Money
from domain.payments.state import Succeeded
from domain.policies.settings import Policies, RefundAccess, delay
from domain.records import dataclass
from domain.refunds.events import RefundRequested
from domain.refunds.state import UNDER_WAY, RefundedBy, RefundStatus
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import OrderId, PaymentId
    from domain.payments.state import Payment
    from domain.refunds.state import Refund
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
    """Whether all of it pays back whatever is left of what was bought."""
    credit: tuple[Source, ...] = ()
    """What goes back besides: money of earlier payments that was taken off the price of a change of plan."""


def left(payment: Payment) -> int:
    """Return the minor units that were neither given back nor promised to be, and that no bank has taken."""
    return max(0, payment.amount.amount - payment.refunded - payment.refunding - payment.disputed)


def is_whole(account: Account, payment: Payment, amount: int) -> bool:
    """Tell whether nothing of a payment would stay for what its own order bought, with this amount gone as well."""
    gone = payment.refunded + amount + lost(account, payment)
    return gone >= payment.amount.amount - _carried_over(account, payment)


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
        return Allowance(amount=remaining, rule=MANAGER, ends_access=False)
    free = remaining - _carried_over(account, payment)
    if free > 0 and now <= payment.phase.paid_at + policies.refund_window:
        return Allowance(amount=free, rule=WINDOW, ends_access=True, credit=_credit_in(account, payment, None))
    unused = min(free, unused_part(account, payment, now, policies)) if policies.refund_unused else 0
    missed = owed(account, payment)
    if missed.amount > unused:
        return missed
    if unused <= 0:
        raise NothingToRefund(payment_id=payment.id)
    return Allowance(amount=unused, rule=UNUSED, ends_access=True, credit=_credit_in(account, payment, now))


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
    """Tell whether money of what an order gave is on its way back."""
    return any(refund.status in UNDER_WAY for refund in _asked(account, order_id))


def was_paid_back_since(account: Account, order_id: OrderId, moment: datetime) -> bool:
    """Tell whether money of what an order gave went back, or is on its way, by a wish of that moment or later."""
    return any(
        refund.status is not RefundStatus.FAILED and refund.requested_at >= moment
        for refund in _asked(account, order_id)
    )


def _asked(account: Account, order_id: OrderId) -> list[Refund]:
    """Return the refunds that somebody asked for; those that we make ourselves are of money that gives nothing."""
    return [
        refund
        for refund in account.refunds.values()
        if refund.order_id == order_id and refund.requested_by is not RefundedBy.POLICY
    ]


def unused_sources(
    account: Account, subscription: Subscription, now: datetime, policies: Policies
) -> tuple[Source, ...]:
    """Return the money for the time that is left of a subscription, by payment, the oldest first.

    Nothing of what is on its way back already, and never more than is left of a payment.
    """
    found: dict[PaymentId, int] = {}
    for period in subscription.paid:
        for source in period.sources:
            part = prorated(source.amount, period.start, period.end, subscription.clock(now))
            found[source.payment_id] = found.get(source.payment_id, 0) + part
    sources: list[Source] = []
    for payment_id, unused in found.items():
        payment = account.payments[payment_id]
        amount = min(unused - _still_counted(account, payment, policies), left(payment))
        if amount > 0:
            sources.append(Source(payment_id=payment_id, amount=amount))
    return tuple(sources)


def unused_part(account: Account, payment: Payment, now: datetime, policies: Policies) -> int:
    """Return the minor units for the time that is left of what the payment's own order bought."""
    unused = sum(part for _, _, part in _unused(account, payment, now))
    return max(0, unused - _still_counted(account, payment, policies))


def shares(
    account: Account, payment: Payment, amount: int, now: datetime
) -> tuple[tuple[Subscription, PaidPeriod, int], ...]:
    """Split what goes back of a payment among the times that it bought, in proportion to what is unused of each.

    No share is more than that: what is more pays back for something else. Rounded so that the shares make the amount.
    """
    unused = _unused(account, payment, now)
    whole = sum(part for _, _, part in unused)
    amount, before = min(amount, whole), 0
    found: list[tuple[Subscription, PaidPeriod, int]] = []
    for subscription, period, part in unused:
        share = amount * (before + part) // whole - amount * before // whole
        before += part
        found.append((subscription, period, share))
    return tuple(found)


def _unused(account: Account, payment: Payment, now: datetime) -> list[tuple[Subscription, PaidPeriod, int]]:
    """Return the times that a payment bought by its own order, with what is unused of its money in each."""
    found = [
        (subscription, period, prorated(source.amount, period.start, period.end, subscription.clock(now)))
        for subscription, period in _periods(account, payment.order_id)
        for source in period.sources
        if source.payment_id == payment.id
    ]
    return [(subscription, period, part) for subscription, period, part in found if part > 0]


def _still_counted(account: Account, payment: Payment, policies: Policies) -> int:
    """Return the minor units that went back or are to, and that the paid periods count all the same.

    They are taken out of the periods when they have gone; never where access stays whatever goes back.
    """
    counted = UNDER_WAY
    if policies.refund_access is RefundAccess.KEEPS:
        counted = frozenset(RefundStatus) - {RefundStatus.FAILED}
    return sum(
        refund.amount.amount
        for refund in _asked(account, payment.order_id)
        if refund.payment_id == payment.id and refund.status in counted
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


def _credit_in(account: Account, payment: Payment, now: datetime | None) -> tuple[Source, ...]:
    """Return the credit that paid for the payment's order, besides the payment: all of it, or what is unused now."""
    found: list[Source] = []
    for subscription, period in _periods(account, payment.order_id):
        for source in period.sources:
            if source.payment_id == payment.id:
                continue
            amount = source.amount
            if now is not None:
                amount = prorated(amount, period.start, period.end, subscription.clock(now))
            amount = min(amount, left(account.payments[source.payment_id]))
            if amount > 0:
                found.append(Source(payment_id=source.payment_id, amount=amount))
    return tuple(found)


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
        access=command.policies.refund_access,
        effect_id=EffectId(derive(refund_id, "refund")),
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )


def ends_access(amount: int, allowed: Allowance, policies: Policies) -> bool:
    """Tell whether a refund ends all that it pays back for, rather than a part of it."""
    match policies.refund_access:
        case RefundAccess.FOLLOWS:
            return allowed.ends_access and amount == allowed.amount
        case RefundAccess.ENDS:
            return True
        case RefundAccess.KEEPS:
            return False
        case _:
            assert_never(policies.refund_access)


def require_divisible(
    account: Account, payment: Payment, amount: int, allowed: Allowance, command: Command[object]
) -> None:
    """Refuse the customer a part of a film's price, which would leave the film. Raises RefundPartialUnavailable.

    Of an order with both, what goes back pays for the time of subscriptions first.
    """
    follows = command.policies.refund_access is RefundAccess.FOLLOWS
    if not follows or allowed.rule != WINDOW or amount == allowed.amount:
        return
    has_film = any(line.kind is ProductKind.FILM for line in account.orders[payment.order_id].lines)
    if has_film and amount > unused_part(account, payment, command.at, command.policies):
        raise RefundPartialUnavailable(payment_id=payment.id, amount=amount, allowed_amount=allowed.amount)


def asked_amount(payment: Payment, asked: int | None, allowed: Allowance) -> int:
    """Return the minor units to give back. Raises RefundAmountInvalid, RefundExceedsPayment."""
    if asked is None:
        return allowed.amount
    if asked <= 0:
        raise RefundAmountInvalid(amount=asked)
    if asked > allowed.amount:
        raise RefundExceedsPayment(payment_id=payment.id, amount=asked, left_amount=allowed.amount, rule=allowed.rule)
    return asked
