"""What is left of money that was paid, of the time that it bought, and what a part that goes back takes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import payment_id_of
from domain.money import in_proportion
from domain.payments.state import Succeeded
from domain.policies.settings import RefundAccess
from domain.refunds.state import CREDIT, OWED_WITHOUT_ACCESS, UNDER_WAY, RefundedBy, RefundStatus
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.account.state import Account
    from domain.ids import OrderId, PaymentId, SubscriptionId
    from domain.orders.state import Order
    from domain.payments.state import Payment
    from domain.refunds.state import Refund
    from domain.subscriptions.state import PaidPeriod, Subscription


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


def is_whole(account: Account, payment: Payment, amount: int, *, is_credit: bool) -> bool:
    """Tell whether nothing of all that an order was paid with would stay for it, with so much more of a payment.

    Credit that goes back is no money that had stayed for the order that it came from.
    """
    others = paid_beside(account, payment)
    credit = min(amount, carried_over(account, payment)) if is_credit else 0
    return _stays(account, payment) <= amount - credit and all(_stays(account, other) <= 0 for other in others)


def _stays(account: Account, payment: Payment) -> int:
    """Return the minor units of a payment that have not gone and that paid for what its own order bought."""
    gone = payment.refunded + lost(account, payment)
    return payment.amount.amount - gone - carried_over(account, payment)


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
    paying = _paying(account, account.orders[payment.order_id])
    return tuple(other for other in paying if other.id != payment.id)


def _paying(account: Account, order: Order) -> tuple[Payment, ...]:
    """Return the payments that an order was paid with."""
    named = (account.payments.get(payment_id) for payment_id in (order.payment_id, payment_id_of(order.id)))
    return tuple(payment for payment in named if payment is not None and isinstance(payment.phase, Succeeded))


def carried_over(account: Account, payment: Payment) -> int:
    """Return the minor units of a payment that became credit of other orders, and did not go back by themselves."""
    credit = sum(source.amount for _, _, source in _credited(account, payment))
    if not credit:
        return 0
    kept = (refund for refund in _asked(account, payment.order_id) if _is_kept(refund))
    return max(0, credit - sum(_credit_of(refund) for refund in kept if refund.payment_id == payment.id))


def credit_alone(account: Account, payment: Payment, now: datetime | None) -> int:
    """Return how much of a payment became credit of orders that have no money of their own to be given back.

    All of it, or what is unused now, and nothing of what went back. Nobody could ask for it by a payment of theirs.
    """
    credit = sum(
        source.amount if now is None else prorated(source.amount, period.start, period.end, subscription.clock(now))
        for subscription, period, source in alone(account, payment)
    )
    return max(0, credit - _still_counted(account, payment, is_credit=True)) if credit else 0


def alone(account: Account, payment: Payment) -> list[tuple[Subscription, PaidPeriod, Source]]:
    """Return the times that a payment bought as the credit of such orders, with its money."""
    return [
        (subscription, period, source)
        for subscription, period, source in _credited(account, payment)
        if not any(left(own) > 0 for own in _paying(account, account.orders[period.order_id]))
    ]


def _credited(account: Account, payment: Payment) -> list[tuple[Subscription, PaidPeriod, Source]]:
    """Return the times that a payment bought as credit of other orders than its own, with its money."""
    return [
        (subscription, period, source)
        for subscription in account.subscriptions.values()
        for period in subscription.paid
        for source in period.sources
        if source.payment_id == payment.id and period.order_id != payment.order_id
    ]


def credit_gone(account: Account, payment: Payment, amount: int) -> int:
    """Return the minor units of a payment's credit in other orders that go with a refund which is under way.

    What else is on its way back is money of the payment's own order.
    """
    others = payment.refunding - amount
    return min(max(0, amount + others - _stays(account, payment)), carried_over(account, payment))


def credit_shares(
    account: Account, payment: Payment, amount: int, now: datetime
) -> list[tuple[SubscriptionId, OrderId, Source]]:
    """Split an amount of a payment's credit among the times that it bought in other orders, at most what is unused."""
    times = _credited(account, payment)
    unused = [prorated(source.amount, each.start, each.end, held.clock(now)) for held, each, source in times]
    return [
        (held.id, each.order_id, Source(payment_id=payment.id, amount=share))
        for (held, each, _), share in zip(times, in_proportion(amount, unused), strict=True)
        if share > 0
    ]


def is_being_paid_back(account: Account, subscription: Subscription) -> bool:
    """Tell whether money of what is paid of a subscription is on its way back."""
    return any(refund.status in UNDER_WAY for refund in _asked_of(account, subscription))


def was_paid_back_since(account: Account, subscription: Subscription, moment: datetime) -> bool:
    """Tell whether money of what is paid of it went back, or is on its way, by a wish of that moment or later."""
    return any(
        refund.status is not RefundStatus.FAILED and refund.requested_at >= moment
        for refund in _asked_of(account, subscription)
    )


def _asked_of(account: Account, subscription: Subscription) -> list[Refund]:
    """Return the refunds that somebody asked for of the orders that a subscription's money came from."""
    payment_ids = {source.payment_id for period in subscription.paid for source in period.sources}
    order_ids = {period.order_id for period in subscription.paid}
    order_ids |= {account.payments[payment_id].order_id for payment_id in payment_ids}
    return [refund for order_id in order_ids for refund in _asked(account, order_id)]


def _asked(account: Account, order_id: OrderId) -> list[Refund]:
    """Return the refunds that somebody asked for; those that we make ourselves are of money that gives nothing."""
    return [
        refund
        for refund in account.refunds.values()
        if refund.order_id == order_id
        and refund.requested_by is not RefundedBy.POLICY
        and refund.rule != OWED_WITHOUT_ACCESS
    ]


def prorated(amount: int, start: datetime, end: datetime, now: datetime) -> int:
    """Return the part of an amount for the rest of a period, rounded down: all before it begins, nothing after its end.

    Counted in whole seconds.
    """
    if now >= end:
        return 0
    whole = int((end - start).total_seconds())
    rest = int((end - max(start, now)).total_seconds())
    return amount * rest // whole


def unused_sources(account: Account, subscription: Subscription, now: datetime) -> tuple[Source, ...]:
    """Return the money for the time that is left of a subscription, by payment, the oldest first.

    Nothing of what is on its way back already, and never more than is left of a payment.
    """
    unused = _unused_of(account, subscription, now).items()
    sources = (
        Source(payment_id=payment_id, amount=min(amount, left(account.payments[payment_id])))
        for payment_id, amount in unused
    )
    return tuple(source for source in sources if source.amount > 0)


def unused_withheld(account: Account, subscription: Subscription, now: datetime) -> dict[PaymentId, int]:
    """Return the unused money of a subscription that cannot be given back, since the customer's bank holds it."""
    unused = _unused_of(account, subscription, now).items()
    payments = [(account.payments[payment_id], amount) for payment_id, amount in unused]
    return {payment.id: min(payment.disputed, max(0, amount - left(payment))) for payment, amount in payments}


def _unused_of(account: Account, subscription: Subscription, now: datetime) -> dict[PaymentId, int]:
    """Return the unused money of a subscription that did not go back and is not to, by payment, the oldest first."""
    unused = _unused([(subscription, period) for period in subscription.paid], now)
    found: dict[PaymentId, int] = {}
    for payment_id in dict.fromkeys(payment_id for payment_id, _ in unused):
        payment = account.payments[payment_id]
        carried = sum(
            part for (each, order_id), part in unused.items() if each == payment_id and order_id != payment.order_id
        )
        credit = max(0, carried - _still_counted(account, payment, is_credit=True))
        found[payment_id] = _not_gone(account, payment, unused) + credit
    return found


def unused_part(account: Account, payment: Payment, now: datetime) -> int:
    """Return the minor units for the time that is left of what the payment bought: by its own order, and alone."""
    return min(_unused_own(account, payment, now) + credit_alone(account, payment, now), left(payment))


def _unused_own(account: Account, payment: Payment, now: datetime) -> int:
    """Return the minor units for the time that is left of what the payment's own order bought."""
    return min(_not_gone(account, payment, _unused(_periods(account, payment.order_id), now)), left(payment))


def _unused(times: list[tuple[Subscription, PaidPeriod]], now: datetime) -> dict[tuple[PaymentId, OrderId], int]:
    """Return the minor units for what is left of some times, by payment and the order that it paid, the oldest first.

    A payment paid its own order, and as credit others.
    """
    found: dict[tuple[PaymentId, OrderId], int] = {}
    for subscription, period in times:
        for source in period.sources:
            part = prorated(source.amount, period.start, period.end, subscription.clock(now))
            paid = (source.payment_id, period.order_id)
            found[paid] = found.get(paid, 0) + part
    return found


def _not_gone(account: Account, payment: Payment, unused: Mapping[tuple[PaymentId, OrderId], int]) -> int:
    """Return what of the unused money of a payment for its own order did not go back and is not to.

    What goes back of the one beside it, beyond its own unused part, counts against this one: both bought the same time.
    """
    beyond = sum(
        max(0, _still_counted(account, other, is_credit=False) - unused.get((other.id, other.order_id), 0))
        for other in paid_beside(account, payment)
    )
    own = unused.get((payment.id, payment.order_id), 0)
    return max(0, own - _still_counted(account, payment, is_credit=False) - beyond)


def _still_counted(account: Account, payment: Payment, *, is_credit: bool) -> int:
    """Return the minor units that went back or are to, and that the paid periods count all the same.

    They are taken out of the periods when they have gone; never where the policy that they were asked for under lets
    access stay whatever goes back. Credit counts in the orders whose price it was taken off, all else in the
    payment's own.
    """
    return sum(
        _credit_of(refund) if is_credit else refund.amount.amount - _credit_of(refund)
        for refund in _asked(account, payment.order_id)
        if refund.payment_id == payment.id and (refund.status in UNDER_WAY or _is_kept(refund))
    )


def _credit_of(refund: Refund) -> int:
    """Return how much of a refund is money that became credit of another order."""
    return refund.amount.amount if refund.rule == CREDIT else refund.credit


def _is_kept(refund: Refund) -> bool:
    """Tell whether the money went and what it had bought stayed."""
    return refund.status is RefundStatus.SUCCEEDED and refund.access is RefundAccess.KEEPS


def shares(
    account: Account, payment: Payment, amount: int, now: datetime
) -> tuple[tuple[Subscription, PaidPeriod, tuple[Source, ...]], ...]:
    """Split what goes back of a payment among the times that its order bought, in proportion to what is unused of each.

    A part of the price counts against the whole price, whichever payment it goes back to: first against what this one
    paid, then against what was paid beside it. No share is more than is unused: what is more pays back for something
    else. Rounded so that the shares make the amount.
    """
    beside = {other.id for other in paid_beside(account, payment)}
    times = _periods(account, payment.order_id)
    own = [_paid_by(period, {payment.id}) for _, period in times]
    unused = [
        prorated(_paid_by(period, {payment.id} | beside), period.start, period.end, subscription.clock(now))
        for subscription, period in times
    ]
    first = [min(paid, part) for paid, part in zip(own, unused, strict=True)]
    shared = in_proportion(amount, first)
    rest = in_proportion(amount - sum(shared), [whole - part for whole, part in zip(unused, first, strict=True)])
    found: list[tuple[Subscription, PaidPeriod, tuple[Source, ...]]] = []
    for (subscription, period), share, more in zip(times, shared, rest, strict=True):
        sources = (
            Source(payment_id=payment.id, amount=share),
            *(Source(payment_id=other_id, amount=more) for other_id in beside),
        )
        if share or more:
            found.append((subscription, period, tuple(source for source in sources if source.amount > 0)))
    return tuple(found)


def _paid_by(period: PaidPeriod, payment_ids: set[PaymentId]) -> int:
    return sum(source.amount for source in period.sources if source.payment_id in payment_ids)


def beside(account: Account, payment: Payment) -> tuple[Source, ...]:
    """Return all that can be given back of what paid for the payment's order besides it."""
    amounts = ((other, left(other) - carried_over(account, other)) for other in paid_beside(account, payment))
    return tuple(Source(payment_id=other.id, amount=amount) for other, amount in amounts if amount > 0)


def unused_beside(account: Account, payment: Payment, now: datetime) -> tuple[Source, ...]:
    """Return what is unused of what paid for the payment's order besides it."""
    amounts = (
        (other, min(_unused_own(account, other, now), left(other) - carried_over(account, other)))
        for other in paid_beside(account, payment)
    )
    return tuple(Source(payment_id=other.id, amount=amount) for other, amount in amounts if amount > 0)


def credit_in(account: Account, payment: Payment, now: datetime | None) -> tuple[Source, ...]:
    """Return the credit of earlier orders that paid for the payment's order: all of it, or what is unused now."""
    found: dict[PaymentId, int] = {}
    for subscription, period in _periods(account, payment.order_id):
        for source in period.sources:
            if account.payments[source.payment_id].order_id == payment.order_id:
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
