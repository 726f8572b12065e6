"""Decisions about orders: what is agreed, at which price, and when it is given up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.calendar import Period, PeriodUnit
from domain.catalog.state import Offer, ProductKind
from domain.errors import (
    AlreadyEntitled,
    CurrencyMismatch,
    ItemRepeated,
    MonthsInvalid,
    OrderEmpty,
    OrderNotCancellable,
    OrderUnknown,
    PlanChangeNeeded,
    PriceChanged,
    PriceUnknown,
    PromoCodeUnknown,
    TooManyItems,
)
from domain.ids import EffectId, OrderId, PaymentId, SubscriptionId, derive
from domain.money import Money, checked
from domain.orders.events import OrderAlreadyPlaced, OrderPlaced
from domain.orders.state import OPEN_STATUSES, OrderLine, OrderPurpose, OrderStatus
from domain.payments.closing import request_close
from domain.payments.events import PaymentCreated
from domain.payments.state import CloseReason, Closing
from domain.policies.settings import delay

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder


def place(account: Account, order: PlaceOrder, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Agree to the items at their present prices and start one payment. Raises DomainError."""
    if order.promo_code is not None:
        raise PromoCodeUnknown(promo_code=order.promo_code)
    lines = tuple(_joined(account, line) for line in _lines(order, command))
    total = _total(lines)
    if order.expected_total is not None and order.expected_total != total:
        raise PriceChanged(
            expected_amount=order.expected_total.amount, total_amount=total.amount, currency=total.currency
        )
    for line in lines:
        held = account.entitlements.get(line.resource)
        if held is None or (held.until is not None and held.until <= command.at):
            continue
        if held.until is None or line.kind is ProductKind.FILM:
            raise AlreadyEntitled(resource=line.resource)
    wanted = {line.product_id for line in lines}
    for earlier in account.orders.values():
        if (
            earlier.status in OPEN_STATUSES
            and earlier.purpose is OrderPurpose.PURCHASE
            and not isinstance(account.payments[earlier.payment_id].phase, Closing)
            and {line.product_id for line in earlier.lines} & wanted
        ):
            return (OrderAlreadyPlaced(order_id=earlier.id),)
    order_id = OrderId(derive(command.id, "order"))
    payment_id = PaymentId(derive(command.id, "payment"))
    return (
        OrderPlaced(
            order_id=order_id,
            payment_id=payment_id,
            lines=lines,
            subtotal=total,
            discount=Money(amount=0, currency=total.currency),
            total=total,
            auto_renew=order.auto_renew,
            placed_at=command.at,
        ),
        PaymentCreated(
            payment_id=payment_id,
            order_id=order_id,
            amount=total,
            provider=order.provider,
            effect_id=EffectId(derive(payment_id, "checkout")),
            return_url=order.return_url,
            save_method=order.auto_renew and any(line.kind is ProductKind.SUBSCRIPTION for line in lines),
            created_at=command.at,
            expires_at=command.at + command.policies.payment_expiry,
            repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
        ),
    )


def cancel(account: Account, cancel_order: CancelOrder, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give up an open order: the provider is asked to close the payment first, so that it cannot be paid afterwards."""
    order = account.orders.get(cancel_order.order_id)
    if order is None:
        raise OrderUnknown(order_id=cancel_order.order_id)
    if order.status is OrderStatus.CANCELLED:
        return ()
    if order.status not in OPEN_STATUSES:
        raise OrderNotCancellable(order_id=order.id, status=order.status)
    payment = account.payments[order.payment_id]
    if isinstance(payment.phase, Closing):
        return ()
    return (request_close(payment, command, CloseReason.CANCELLED, "cancelled by the customer", payment.reference),)


def _lines(order: PlaceOrder, command: Command[object]) -> tuple[OrderLine, ...]:
    items = order.items
    if not items:
        raise OrderEmpty
    if len(items) > command.policies.items_max:
        raise TooManyItems(items=len(items), items_max=command.policies.items_max)
    lines = tuple(_line(command, item) for item in items)
    seen: set[str] = set()
    for line in lines:
        if line.resource in seen:
            raise ItemRepeated(product_id=line.product_id)
        seen.add(line.resource)
    return lines


def _line(command: Command[object], item: OrderItem) -> OrderLine:
    offer = command.prices.get(item.price_id)
    if offer is None or not offer.product.active or not offer.price.active:
        raise PriceUnknown(price_id=item.price_id)
    product, price = offer.product, offer.price
    quantity = _quantity(offer, item.months, command.policies.months_max)
    is_film = product.kind is ProductKind.FILM
    return OrderLine(
        product_id=product.id,
        price_id=price.id,
        kind=product.kind,
        title=product.title,
        resource=product.resource,
        unit_price=price.amount,
        quantity=quantity,
        total=checked(price.amount * quantity),
        period=price.period,
        validity_days=product.validity_days,
        subscription_id=None if is_film else SubscriptionId(derive(command.id, f"subscription {product.id}")),
    )


def _joined(account: Account, line: OrderLine) -> OrderLine:
    """Return the line with the running subscription that it adds periods to, where there is one.

    Raises PlanChangeNeeded when another plan already gives the role.
    """
    for subscription in account.subscriptions.values():
        if subscription.is_running and subscription.resource == line.resource:
            if subscription.product_id != line.product_id:
                raise PlanChangeNeeded(subscription_id=subscription.id)
            return replace(line, subscription_id=subscription.id)
    return line


def _quantity(offer: Offer, months: int | None, months_max: int) -> int:
    period: Period | None = offer.price.period
    if months is None:
        return 1
    if period is None:
        raise MonthsInvalid(months=months, reason="a film is bought once; leave months out")
    if period.unit is not PeriodUnit.MONTH:
        raise MonthsInvalid(months=months, reason="the price is not by the month; leave months out")
    if not 0 < months <= months_max:
        raise MonthsInvalid(months=months, reason=f"it must be 1 to {months_max}")
    if months % period.count:
        raise MonthsInvalid(months=months, reason=f"the price is for {period.count} months at a time")
    return months // period.count


def _total(lines: tuple[OrderLine, ...]) -> Money:
    total = lines[0].total
    for line in lines[1:]:
        if line.total.currency != total.currency:
            raise CurrencyMismatch(left=total.currency, right=line.total.currency)
        total = checked(total + line.total)
    return total
