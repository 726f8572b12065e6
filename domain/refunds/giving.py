"""Money that goes back: to the provider that collected it or onto the balance, and access goes with it."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.balance.events import BalanceRefunded
from domain.balance.state import BALANCE
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementEnded
from domain.entitlements.taking import taken_by
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.settings import RefundAccess
from domain.refunds import parts, rules
from domain.refunds.events import RefundSucceeded
from domain.refunds.state import CREDIT, RefundedBy
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionEnded

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import OrderId
    from domain.orders.state import OrderLine
    from domain.payments.state import Payment
    from domain.refunds.state import Refund
    from domain.subscriptions.state import Source, Subscription


def give_back(  # a refund has that many facts
    account: Account,
    sources: tuple[Source, ...],
    command: Command[object],
    *,
    reason: str,
    rule: str,
    requested_by: RefundedBy,
    ends_access: bool = False,
    onto_balance: bool = False,
    credit: Source | None = None,
) -> tuple[AccountEvent, ...]:
    """Give these amounts of payments back, what the balance paid onto the balance; `onto_balance`: all of them.

    Nobody is asked about the balance: what goes there is there at once. `ends_access` is about the first; `credit` says
    how much of one of them bought time in another order.
    """
    found: list[AccountEvent] = []
    for number, source in enumerate(sources):
        payment = account.payments[source.payment_id]
        is_onto_balance = onto_balance or payment.provider == BALANCE
        requested = rules.request(
            payment,
            command,
            amount=source.amount,
            reason=reason,
            rule=rule,
            requested_by=requested_by,
            ends_access=ends_access and number == 0,
            onto_balance=is_onto_balance,
            credit=credit.amount if credit is not None and credit.payment_id == payment.id else 0,
        )
        events: tuple[AccountEvent, ...] = (requested,)
        if is_onto_balance:
            after = evolve(account, requested)
            events = (requested, *succeed(after, after.refunds[requested.refund_id], command, requested.refund_id))
        account = reduce(evolve, events, account)
        found += events
    return tuple(found)


def succeed(account: Account, refund: Refund, command: Command[object], reference: str) -> tuple[AccountEvent, ...]:
    """Note that the refund reached the customer; access goes with it where nothing that paid for it is left."""
    gone = _take_back(account, refund, command)
    succeeded = RefundSucceeded(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        amount=refund.amount,
        reference=reference,
        taken=taken_by(account, gone, command.at),
    )
    if refund.provider != BALANCE:
        return (succeeded, *gone)
    onto_balance = BalanceRefunded(
        refund_id=refund.id, payment_id=refund.payment_id, order_id=refund.order_id, amount=refund.amount
    )
    return (succeeded, onto_balance, *gone)


def _take_back(account: Account, refund: Refund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take back what the refunded money had bought, by the policy that the refund was asked for under.

    Of an order that was paid twice, the money that bought nothing takes nothing with it. What is credit of another
    order goes back with what it bought there, and takes no time of its own order; a manager may give it back by
    itself, and the customer may where that order has no money of its own; then it takes its part of the time there.
    """
    payment, amount = account.payments[refund.payment_id], refund.amount.amount
    if refund.access is RefundAccess.KEEPS or not parts.bought_something(account, payment):
        return ()
    gone = _take_back_own(account, refund, payment, command)
    if refund.is_for_nothing:
        return gone
    credit = max(refund.credit, parts.credit_gone(account, payment, amount))
    return (*gone, *take_credit(reduce(evolve, gone, account), payment, credit, command))


def _take_back_own(
    account: Account, refund: Refund, payment: Payment, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Take back what the payment's own order had bought."""
    amount = refund.amount.amount - refund.credit
    is_whole = parts.is_whole(account, payment, amount, is_credit=refund.rule == CREDIT)
    if is_whole or refund.ends_access:
        ends_all = refund.access is RefundAccess.ENDS and refund.ends_access and refund.rule != rules.UNUSED
        return take_back(account, payment, command, is_whole=is_whole or ends_all)
    if refund.is_for_nothing:
        return ()
    events: list[AccountEvent] = []
    for subscription, period, paid_back in parts.shares(account, payment, amount, command.at):
        events += _without(account, subscription, period.order_id, command, paid_back)
    return tuple(events)


def take_credit(account: Account, payment: Payment, amount: int, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take the time that so much of a payment's money bought as credit of other orders, from the end of each."""
    events: list[AccountEvent] = []
    for subscription_id, order_id, source in parts.credit_shares(account, payment, amount, command.at):
        gone = _without(account, account.subscriptions[subscription_id], order_id, command, (source,))
        account = reduce(evolve, gone, account)
        events += gone
    return tuple(events)


def take_back(
    account: Account, payment: Payment, command: Command[object], *, is_whole: bool
) -> tuple[AccountEvent, ...]:
    """Take back the periods that a payment bought, and what it bought besides when all of its money is gone."""
    events: list[AccountEvent] = []
    for line in account.orders[payment.order_id].lines:
        if line.kind is ProductKind.SUBSCRIPTION:
            events += _take_back_period(account, payment, line, command)
        elif is_whole:
            events += _take_back_film(account, payment, line, command)
    return tuple(events)


def _take_back_film(
    account: Account, payment: Payment, line: OrderLine, command: Command[object]
) -> tuple[AccountEvent, ...]:
    held = account.entitlements.get(line.resource)
    if held is None or held.order_id != payment.order_id:
        return ()
    return (EntitlementEnded(resource=line.resource, ended_at=command.at),)


def _take_back_period(
    account: Account, payment: Payment, line: OrderLine, command: Command[object]
) -> tuple[AccountEvent, ...]:
    subscription = next(
        (held for held in account.subscriptions.values() if held.is_running and held.resource == line.resource), None
    )
    if subscription is None:
        return ()
    return _without(account, subscription, payment.order_id, command)


def _without(
    account: Account,
    subscription: Subscription,
    order_id: OrderId,
    command: Command[object],
    paid_back: tuple[Source, ...] = (),
) -> tuple[AccountEvent, ...]:
    """Take the time that an order paid for out of a subscription, or that part of it that some money bought."""
    now = subscription.clock(command.at)
    shortened = renewal.without(subscription, order_id, now, paid_back)
    if shortened is None:
        return ()
    closing = close_renewal(account, subscription, command, CloseReason.CANCELLED)
    if shortened.period_end > now:
        held_on = () if subscription.paused_at else (renewal.access(subscription, shortened.period_end),)
        return (*closing, shortened, *held_on)
    ended: list[AccountEvent] = [*closing, SubscriptionEnded(subscription_id=subscription.id, ended_at=command.at)]
    held = account.entitlements.get(subscription.resource)
    if held is not None and held.subscription_id == subscription.id:
        ended.append(EntitlementEnded(resource=subscription.resource, ended_at=command.at))
    return tuple(ended)
