"""Decisions about orders: what is agreed, at which price, and when it is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance import decider as balance
from domain.catalog.state import ProductKind
from domain.errors import (
    AlreadyEntitled,
    CurrencyMismatch,
    OrderIsCancelled,
    OrderIsRenewal,
    OrderNotCancellable,
    OrderOpen,
    OrderUnknown,
    PlanChangeNeeded,
    PriceChanged,
    SubscriptionIsPaused,
    TooManyOpenOrders,
)
from domain.ids import OrderId, PaymentId, derive
from domain.money import checked
from domain.orders import starting
from domain.orders.events import OrderAlreadyPlaced, OrderCancelled, OrderExpired, OrderFailed, OrderPlaced
from domain.orders.evolve import placed as order_of
from domain.orders.lines import named_promo, quote_items
from domain.orders.state import OPEN_STATUSES, Order, OrderLine, OrderPurpose, OrderStatus
from domain.payments.closing import request_close
from domain.payments.state import CloseReason, Closing
from domain.policies.settings import RepeatedOrder
from domain.pricing.quote import Candidates
from domain.promo import uses as promo_uses
from domain.promo.commands import PromoOutcome
from domain.promo.events import PromoUseHeld, PromoUseRefused, PromoUseReleased, PromoUseRequested
from domain.promo.state import PromoUseStatus
from domain.records import replace
from domain.subscriptions.roles import holder_of

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.commands import CancelOrder, ExpireOrder, PlaceOrder
    from domain.pricing.quote import Quote
    from domain.promo.commands import AnswerPromoReservation


def place(account: Account, order: PlaceOrder, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Agree to the items at their present prices, and begin to collect. Raises DomainError."""
    quoted = _quoted(account, order, command)
    lines = tuple(_joined(account, line) for line in quoted.lines)
    for line in lines:
        given = account.grants.get(line.resource)
        if given is not None and given.until is None:
            raise AlreadyEntitled(resource=line.resource)
        held = account.entitlements.get(line.resource)
        if held is None or (held.until is not None and held.until <= command.at):
            continue
        if held.until is None or line.kind is ProductKind.FILM:
            raise AlreadyEntitled(resource=line.resource)
    waiting = _open_orders(account)
    earlier = _order_for_some_of(account, waiting, lines)
    if earlier is not None:
        is_same = command.policies.repeated_order is RepeatedOrder.FIRST and _is_same(earlier, order, quoted)
        if not is_same:
            raise OrderOpen(order_id=earlier.id)
        return (OrderAlreadyPlaced(order_id=earlier.id),)
    if len(waiting) >= command.policies.open_orders_max:
        raise TooManyOpenOrders(orders=len(waiting), open_orders_max=command.policies.open_orders_max)
    order_id = OrderId(derive(command.id, "order"))
    if command.promo_code is not None and promo_uses.wins(quoted):
        promo_uses.require_left(command.promo_code, promo_uses.held_by(account, command.promo_code.code))
    using = promo_uses.use(quoted, order_id, command)
    event = OrderPlaced(
        order_id=order_id,
        payment_id=PaymentId(derive(command.id, "payment")),
        lines=lines,
        subtotal=quoted.subtotal,
        discount=quoted.discount,
        total=quoted.total,
        auto_renew=order.auto_renew,
        placed_at=command.at,
        applied=quoted.applied,
        provider=order.provider,
        return_url=order.return_url,
    )
    placed, used = balance.use(account, order_of(event))
    if any(isinstance(use, PromoUseRequested) for use in using):
        return (event, *used, *using)
    return (event, *used, *using, *starting.collect(account, placed, command))


def cancel(account: Account, cancel_order: CancelOrder, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give up an open order: the provider is asked to close the payment first, so that it cannot be paid afterwards.

    Asked again before that is done, it changes nothing. The order of a renewal is the subscription's, which would try
    to collect it again: it is given up with the subscription. Raises OrderUnknown, OrderIsCancelled,
    OrderNotCancellable, OrderIsRenewal.
    """
    order = account.orders.get(cancel_order.order_id)
    if order is None:
        raise OrderUnknown(order_id=cancel_order.order_id)
    if order.status is OrderStatus.CANCELLED:
        raise OrderIsCancelled(order_id=order.id)
    if order.status not in OPEN_STATUSES:
        raise OrderNotCancellable(order_id=order.id, status=order.status)
    if order.purpose is OrderPurpose.RENEWAL:
        raise OrderIsRenewal(order_id=order.id, subscription_id=str(order.lines[0].subscription_id))
    payment = account.payments.get(order.payment_id)
    if payment is None:
        return (OrderCancelled(order_id=order.id), *promo_uses.release(account, order.id, command))
    if isinstance(payment.phase, Closing):
        return ()
    return (request_close(payment, command, CloseReason.CANCELLED, "cancelled by the customer", payment.reference),)


def expire(account: Account, asked: ExpireOrder, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give up an order whose promo code never answered."""
    order = account.orders.get(asked.order_id)
    use = account.promo_uses.get(asked.order_id)
    if order is None or use is None or use.expires_at is None or command.at < use.expires_at:
        return ()
    return (OrderExpired(order_id=order.id), *promo_uses.release(account, order.id, command))


def answer_promo(
    account: Account, answered: AnswerPromoReservation, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Take what the promo code said. An answer to a question that is no longer open changes nothing."""
    use = account.promo_uses.get(answered.order_id)
    if use is None or use.call is None or use.call.effect_id != answered.effect_id:
        return ()
    order = account.orders[use.order_id]
    match use.status, answered.outcome:
        case PromoUseStatus.RESERVING, PromoOutcome.RESERVED:
            held = PromoUseHeld(order_id=order.id, code=use.code, is_limited=True)
            return (held, *starting.collect(account, order, command))
        case PromoUseStatus.RESERVING, PromoOutcome.REFUSED:
            if answered.attempt != use.call.attempt:
                return ()  # the question after it may have got a use that was given back in between
            assert answered.reason is not None, "a promo code says why it refuses"
            refused = PromoUseRefused(order_id=order.id, code=use.code, reason=answered.reason)
            return (refused, OrderFailed(order_id=order.id, reason=answered.reason))
        case PromoUseStatus.RELEASING, PromoOutcome.RELEASED:
            return (PromoUseReleased(order_id=order.id, code=use.code),)
        case _:
            return ()


def _quoted(account: Account, order: PlaceOrder, command: Command[object]) -> Quote:
    candidates = Candidates(
        personal=tuple(account.personal_discounts.values()),
        months=command.months_discounts,
        promo=named_promo(order.promo_code, command.promo_code),
    )
    quoted = quote_items(
        order.items,
        command.prices,
        candidates,
        at=command.at,
        policies=command.policies,
        command_id=command.id,
    )
    if order.expected_total is not None and checked(order.expected_total, amount_min=0) != quoted.total:
        expected, total = order.expected_total, quoted.total
        raise PriceChanged(
            expected_amount=expected.amount,
            expected_currency=expected.currency,
            total_amount=total.amount,
            currency=total.currency,
        )
    return quoted


def _open_orders(account: Account) -> list[Order]:
    """Return what the customer ordered and has not paid, with what is being given up: the provider still has it."""
    return [
        order
        for order in account.orders.values()
        if order.status in OPEN_STATUSES and order.purpose is OrderPurpose.PURCHASE
    ]


def _order_for_some_of(account: Account, waiting: list[Order], lines: tuple[OrderLine, ...]) -> Order | None:
    """Return the order for some of the same products that may still be paid."""
    wanted = {line.product_id for line in lines}
    for earlier in waiting:
        payment = account.payments.get(earlier.payment_id)
        is_closing = payment is not None and isinstance(payment.phase, Closing)
        if not is_closing and {line.product_id for line in earlier.lines} & wanted:
            return earlier
    return None


def _is_same(earlier: Order, order: PlaceOrder, quoted: Quote) -> bool:
    """Tell whether a second click would buy exactly what the first one did, at the same price."""
    bought = {(line.price_id, line.quantity) for line in earlier.lines}
    asked = {(line.price_id, line.quantity) for line in quoted.lines}
    terms = (earlier.total, earlier.auto_renew, earlier.provider)
    return bought == asked and terms == (quoted.total, order.auto_renew, order.provider)


def _joined(account: Account, line: OrderLine) -> OrderLine:
    """Return the line with the running subscription that it adds periods to, where there is one.

    Raises PlanChangeNeeded when another plan already gives the role, CurrencyMismatch when its periods are paid in
    another currency (what is left of them is reckoned in one), SubscriptionIsPaused when it rests.
    """
    subscription = holder_of(account, line.resource)
    if subscription is None:
        return line
    if subscription.product_id != line.product_id:
        raise PlanChangeNeeded(subscription_id=subscription.id)
    if subscription.price.currency != line.unit_price.currency:
        raise CurrencyMismatch(left=subscription.price.currency, right=line.unit_price.currency)
    if subscription.paused_at is not None:
        raise SubscriptionIsPaused(subscription_id=subscription.id)
    return replace(line, subscription_id=subscription.id)
