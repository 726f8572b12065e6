"""What a paid order gives."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from domain.calendar import Period, end_of
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.orders.events import OrderFulfilled, OrderPaid
from domain.subscriptions.events import SubscriptionStarted

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.orders.state import Order, OrderLine


def fulfil(account: Account, order: Order, paid_at: datetime) -> tuple[AccountEvent, ...]:
    """Return the events that give everything in a paid order."""
    events: list[AccountEvent] = [OrderPaid(order_id=order.id, payment_id=order.payment_id, paid_at=paid_at)]
    for line in order.lines:
        events += _give(account, order, line, paid_at)
    events.append(OrderFulfilled(order_id=order.id))
    return tuple(events)


def _give(account: Account, order: Order, line: OrderLine, paid_at: datetime) -> tuple[AccountEvent, ...]:
    match line.kind:
        case ProductKind.FILM:
            until = None if line.validity_days is None else paid_at + timedelta(days=line.validity_days)
            held = account.entitlements.get(line.resource)
            if held is not None and (held.until is None or (until is not None and held.until > until)):
                until = held.until
            return (
                EntitlementGranted(
                    resource=line.resource, until=until, reason="purchase", order_id=order.id, subscription_id=None
                ),
            )
        case ProductKind.SUBSCRIPTION:
            return _start(account, order, line, paid_at)
        case _:
            assert_never(line.kind)


def _start(account: Account, order: Order, line: OrderLine, paid_at: datetime) -> tuple[AccountEvent, ...]:
    """Start the subscription at the payment, or where access to the same thing ends, so that no paid day is lost."""
    if line.subscription_id is None or line.period is None:
        raise AssertionError(f"a subscription line without id or period in order {order.id}")
    held = account.entitlements.get(line.resource)
    start = held.until if held is not None and held.until is not None and held.until > paid_at else paid_at
    period = Period(count=line.period.count * line.quantity, unit=line.period.unit)
    end = end_of(start, period)
    return (
        SubscriptionStarted(
            subscription_id=line.subscription_id,
            order_id=order.id,
            product_id=line.product_id,
            price_id=line.price_id,
            price=line.unit_price,
            period=period,
            resource=line.resource,
            auto_renew=order.auto_renew,
            period_start=start,
            period_end=end,
        ),
        EntitlementGranted(
            resource=line.resource,
            until=end,
            reason="subscription",
            order_id=order.id,
            subscription_id=line.subscription_id,
        ),
    )
