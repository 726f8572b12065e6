"""The fold of one order. No rules here; a known event never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.orders.events import (
    OrderAlreadyPlaced,
    OrderCancelled,
    OrderEvent,
    OrderExpired,
    OrderFailed,
    OrderFulfilled,
    OrderPaid,
    OrderPaymentWaived,
    OrderPlaced,
)
from domain.orders.state import Order, OrderStatus
from domain.pricing.state import DiscountKind
from domain.records import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import OrderId


def placed(event: OrderPlaced) -> Order:
    """Return the order that was placed."""
    applied = event.applied
    return Order(
        id=event.order_id,
        payment_id=event.payment_id,
        lines=event.lines,
        total=event.total,
        auto_renew=event.auto_renew,
        placed_at=event.placed_at,
        purpose=event.purpose,
        provider=event.provider,
        return_url=event.return_url,
        credit=event.credit,
        credited=event.credited,
        promo_code=applied.reference if applied is not None and applied.kind is DiscountKind.PROMO else None,
    )


def evolve(orders: Mapping[OrderId, Order], event: OrderEvent) -> Mapping[OrderId, Order]:
    """Return the account's orders after the event."""
    match event:
        case OrderPlaced():
            return {**orders, event.order_id: placed(event)}
        case OrderAlreadyPlaced():
            return orders
        case OrderPaid():
            paid = replace(orders[event.order_id], status=OrderStatus.PAID, payment_id=event.payment_id)
            return {**orders, paid.id: paid}
        case OrderPaymentWaived():
            return with_status(orders, event.order_id, OrderStatus.PAID)
        case OrderFulfilled():
            return with_status(orders, event.order_id, OrderStatus.FULFILLED)
        case OrderCancelled():
            return with_status(orders, event.order_id, OrderStatus.CANCELLED)
        case OrderExpired():
            return with_status(orders, event.order_id, OrderStatus.EXPIRED)
        case OrderFailed():
            return with_status(orders, event.order_id, OrderStatus.FAILED)
        case _:
            assert_never(event)


def with_status(orders: Mapping[OrderId, Order], order_id: OrderId, status: OrderStatus) -> Mapping[OrderId, Order]:
    """Return the orders with one of them in another status."""
    return {**orders, order_id: replace(orders[order_id], status=status)}
