"""What a paid order gives."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from domain.calendar import end_of
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.orders.events import OrderFulfilled, OrderPaid
from domain.orders.state import OrderPurpose
from domain.payments.closing import close_renewal
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionStarted

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.state import Order, OrderLine


def fulfil(account: Account, order: Order, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Return the events that give everything in an order that was paid at the command's time."""
    events: list[AccountEvent] = [OrderPaid(order_id=order.id, payment_id=order.payment_id, paid_at=command.at)]
    for line in order.lines:
        events += _give(account, order, line, command)
    events.append(OrderFulfilled(order_id=order.id))
    return tuple(events)


def _give(account: Account, order: Order, line: OrderLine, command: Command[object]) -> tuple[AccountEvent, ...]:
    match line.kind:
        case ProductKind.FILM:
            return (_film(account, order, line, command),)
        case ProductKind.SUBSCRIPTION:
            return _subscription(account, order, line, command)
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
    account: Account, order: Order, line: OrderLine, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Start a subscription at the payment, or add periods to the one that the line names."""
    if line.subscription_id is None or line.period is None:
        raise AssertionError(f"a subscription line without id or period in order {order.id}")
    running = account.subscriptions.get(line.subscription_id)
    if running is not None:
        renewed = renewal.renewed(running, order, line.quantity, command.at, command.policies)
        if order.purpose is OrderPurpose.RENEWAL:
            return renewed
        return (*renewed, *close_renewal(account, running, command))
    start = command.at
    end = end_of(start, line.period, line.quantity)
    access_end = renewal.access_end(end, auto_renew=order.auto_renew, policies=command.policies)
    return (
        SubscriptionStarted(
            subscription_id=line.subscription_id,
            order_id=order.id,
            product_id=line.product_id,
            price_id=line.price_id,
            title=line.title,
            price=line.unit_price,
            period=line.period,
            periods=line.quantity,
            resource=line.resource,
            auto_renew=order.auto_renew,
            period_start=start,
            period_end=end,
            access_end=access_end,
            renew_at=renewal.first_attempt_at(start, end, command.policies) if order.auto_renew else None,
        ),
        EntitlementGranted(
            resource=line.resource,
            until=access_end,
            reason="subscription",
            order_id=order.id,
            subscription_id=line.subscription_id,
        ),
    )
