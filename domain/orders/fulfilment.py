"""What a paid order gives."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, assert_never

from domain.account.evolve import evolve as account_evolve
from domain.balance.events import BalancePaid
from domain.balance.state import payment_id_of
from domain.calendar import end_of
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.ids import SubscriptionId, derive
from domain.money import Money
from domain.orders.events import OrderFulfilled, OrderPaid, OrderPaymentWaived
from domain.orders.state import OrderPurpose
from domain.payments.closing import close_renewal, request_close
from domain.payments.state import CloseReason, Closing, Ended, Succeeded
from domain.policies.terms import under
from domain.promo import uses as promo_uses
from domain.refunds import giving
from domain.refunds import rules as refunds
from domain.refunds.state import RefundedBy
from domain.subscriptions import pauses, plans, renewal
from domain.subscriptions.events import SubscriptionContinued, SubscriptionStarted
from domain.subscriptions.evolve import evolve
from domain.subscriptions.roles import holder_of
from domain.subscriptions.state import PaidPeriod, Source

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.calendar import Period
    from domain.decider import Command
    from domain.ids import PaymentId
    from domain.orders.state import Order, OrderLine
    from domain.subscriptions.state import Subscription

HELD_ALREADY = "the account already holds it"


def fulfil(
    account: Account,
    order: Order,
    paid: OrderPaid | OrderPaymentWaived,
    command: Command[object],
    without: tuple[OrderLine, ...] = (),
) -> tuple[AccountEvent, ...]:
    """Return the events that give everything in an order that is paid now, but for the lines that are left out."""
    payment_id = paid.payment_id if isinstance(paid, OrderPaid) else order.payment_id
    events: list[AccountEvent] = []
    if order.balance_used:
        amount = Money(amount=order.balance_used, currency=order.total.currency)
        out_of_balance = BalancePaid(
            payment_id=payment_id_of(order.id), order_id=order.id, amount=amount, paid_at=command.at
        )
        events.append(out_of_balance)
    events += [paid, *promo_uses.settle(account, order.id)]
    balance_left = order.balance_used
    for line in order.lines:
        if line not in without:
            sources = sources_of(order, line, payment_id, balance_left)
            balance_left -= sum(source.amount for source in sources if source.payment_id == payment_id_of(order.id))
            events += _give(account, order, payment_id, line, command, sources=sources)
    events.append(OrderFulfilled(order_id=order.id))
    return tuple(events)


def balance_back(
    account: Account, events: tuple[AccountEvent, ...], order: Order, amount: int, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Give back what the balance paid for something that these events did not give."""
    if amount == 0:
        return ()
    return giving.give_back(
        reduce(account_evolve, events, account),
        (Source(payment_id=payment_id_of(order.id), amount=amount),),
        command,
        reason=HELD_ALREADY,
        rule=refunds.NOT_USED,
        requested_by=RefundedBy.POLICY,
    )


def undeliverable(account: Account, order: Order) -> tuple[OrderLine, ...]:
    """Return the lines whose money would buy nothing, because something else was bought since the order was placed."""
    if order.purpose is OrderPurpose.RENEWAL:
        return () if plans.still_renews(account, order) else order.lines
    if order.purpose is OrderPurpose.PLAN_CHANGE:
        return () if plans.still_fits(account, order) else order.lines
    return tuple(line for line in order.lines if _buys_nothing(account, line))


def _buys_nothing(account: Account, line: OrderLine) -> bool:
    held = account.entitlements.get(line.resource)
    if held is not None and held.until is None:
        return True
    running = _running(account, line)
    if running is None:
        return False
    return running.product_id != line.product_id or running.price.currency != line.unit_price.currency


def _running(account: Account, line: OrderLine) -> Subscription | None:
    """Return the running subscription that gives the line's role, whatever the line knew when it was ordered."""
    if line.kind is not ProductKind.SUBSCRIPTION:
        return None
    return holder_of(account, line.resource)


def _give(
    account: Account,
    order: Order,
    payment_id: PaymentId,
    line: OrderLine,
    command: Command[object],
    *,
    sources: tuple[Source, ...],
) -> tuple[AccountEvent, ...]:
    match line.kind:
        case ProductKind.FILM:
            return (_film(account, order, line, command),)
        case ProductKind.SUBSCRIPTION:
            return _subscription(account, order, payment_id, line, command, sources=sources)
        case _:
            assert_never(line.kind)


def _film(account: Account, order: Order, line: OrderLine, command: Command[object]) -> EntitlementGranted:
    until = None if line.validity_days is None else command.at + timedelta(days=line.validity_days)
    held = account.entitlements.get(line.resource)
    if held is not None and (held.until is None or (until is not None and held.until > until)):
        until = held.until
    return EntitlementGranted(
        resource=line.resource, until=until, reason="purchase", order_id=order.id, subscription_id=None
    )


def _subscription(
    account: Account,
    order: Order,
    payment_id: PaymentId,
    line: OrderLine,
    command: Command[object],
    *,
    sources: tuple[Source, ...],
) -> tuple[AccountEvent, ...]:
    """Start a subscription at the payment, or add periods to the one that the line names."""
    if line.subscription_id is None or line.period is None:
        raise AssertionError(f"a subscription line without id or period in order {order.id}")
    if order.purpose is OrderPurpose.PLAN_CHANGE:
        return plans.changed(account, order, line, sources, command)
    running = None if order.purpose is OrderPurpose.RENEWAL else _running(account, line)
    known = account.subscriptions.get(line.subscription_id)
    if order.purpose is OrderPurpose.RENEWAL or (known is not None and known.product_id == line.product_id):
        running = running or known
    if running is not None:
        continued = pauses.go_on(running, command)
        for event in continued:
            if isinstance(event, SubscriptionContinued):
                running = evolve(running, event)
        renewed = renewal.renewed(running, order, line, sources, command)
        return (*continued, *renewed, *_close_other_payments(account, running, order, payment_id, command))
    # The subscription that the line was to add to may be of another plan by now: then this one has an id of its own.
    own_id = SubscriptionId(derive(order.id, f"subscription {line.product_id}"))
    subscription_id = line.subscription_id if known is None else own_id
    return _started(order, line, command, subscription_id=subscription_id, period=line.period, sources=sources)


def _close_other_payments(
    account: Account, subscription: Subscription, order: Order, payment_id: PaymentId, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Nobody pays twice: what still collects for the same period is closed."""
    if order.id != subscription.renewal_order_id:
        return close_renewal(account, subscription, command, CloseReason.CANCELLED)
    newest = account.payments[order.payment_id]
    if newest.id == payment_id or isinstance(newest.phase, Succeeded | Closing | Ended):
        return ()
    detail = "the order was paid by an earlier payment"
    return (request_close(newest, command, CloseReason.CANCELLED, detail, newest.reference),)


def sources_of(order: Order, line: OrderLine, payment_id: PaymentId, balance_left: int) -> tuple[Source, ...]:
    """Return what a line was paid with: the balance pays the first lines, money the others.

    None where nothing was to be paid.
    """
    amount = line.net.amount - (0 if order.credit is None else order.credit.amount)
    from_balance = min(amount, balance_left)
    sources = (
        Source(payment_id=payment_id_of(order.id), amount=from_balance),
        Source(payment_id=payment_id, amount=amount - from_balance),
    )
    return tuple(source for source in sources if source.amount > 0)


def _started(
    order: Order,
    line: OrderLine,
    command: Command[object],
    *,
    subscription_id: SubscriptionId,
    period: Period,
    sources: tuple[Source, ...],
) -> tuple[AccountEvent, ...]:
    start = command.at
    end = end_of(start, period, line.quantity)
    policies = under(line.terms, command.policies)
    access_end = renewal.access_end(end, auto_renew=order.auto_renew, policies=policies)
    return (
        SubscriptionStarted(
            subscription_id=subscription_id,
            order_id=order.id,
            product_id=line.product_id,
            price_id=line.price_id,
            title=line.title,
            price=line.unit_price,
            period=period,
            periods=line.quantity,
            resource=line.resource,
            auto_renew=order.auto_renew,
            period_start=start,
            period_end=end,
            access_end=access_end,
            renew_at=renewal.first_attempt_at(start, end, policies) if order.auto_renew else None,
            paid=(PaidPeriod(order_id=order.id, start=start, end=end, sources=sources),),
            terms=line.terms,
        ),
        EntitlementGranted(
            resource=line.resource,
            until=access_end,
            reason="subscription",
            order_id=order.id,
            subscription_id=subscription_id,
        ),
    )
