"""Trials: a plan for some days for nothing, once for each customer and product; then it renews as every plan does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from domain.catalog.state import ProductKind
from domain.errors import AlreadyEntitled, TrialUnavailable, TrialUsed
from domain.ids import OrderId, PaymentId, SubscriptionId, derive
from domain.money import Money
from domain.orders.events import OrderFulfilled, OrderPaymentWaived, OrderPlaced
from domain.orders.state import OrderPurpose, OrderStatus
from domain.policies.terms import under
from domain.records import replace
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionStarted
from domain.subscriptions.lines import line_of, offer_of, plan_of, plan_on_sale, terms_now
from domain.subscriptions.roles import holder_of

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import PriceId, ProductId
    from domain.orders.state import OrderLine
    from domain.subscriptions.commands import StartTrial
    from domain.subscriptions.state import Plan

TRIED = "a trial costs nothing"


def start(account: Account, asked: StartTrial, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give the days to try by an order that costs nothing; the first period is paid at their end, not before.

    Raises PriceUnknown, TrialUnavailable, TrialUsed, AlreadyEntitled.
    """
    plan, days = _plan(asked.price_id, command)
    if _was_had(account, plan.product_id):
        raise TrialUsed(product_id=plan.product_id)
    if holder_of(account, plan.resource) is not None:
        raise AlreadyEntitled(resource=plan.resource)
    order_id = OrderId(derive(command.id, "order"))
    subscription_id = SubscriptionId(derive(command.id, f"subscription {plan.product_id}"))
    line = line_of(plan, subscription_id, terms_now(plan, command.prices, command.policies, None))
    nothing = Money(amount=0, currency=plan.price.currency)
    placed = OrderPlaced(
        order_id=order_id,
        payment_id=PaymentId(derive(command.id, "payment")),
        lines=(replace(line, discount_amount=plan.price.amount),),
        subtotal=plan.price,
        discount=plan.price,
        total=nothing,
        auto_renew=asked.auto_renew,
        placed_at=command.at,
        purpose=OrderPurpose.TRIAL,
    )
    started = _started(line, days, asked, command, order_id=order_id, subscription_id=subscription_id)
    return (
        placed,
        OrderPaymentWaived(order_id=order_id, reason=TRIED, waived_at=command.at),
        started,
        renewal.granted(plan.resource, started.access_end, order_id, subscription_id),
        OrderFulfilled(order_id=order_id),
    )


def _started(
    line: OrderLine,
    days: int,
    asked: StartTrial,
    command: Command[object],
    *,
    order_id: OrderId,
    subscription_id: SubscriptionId,
) -> SubscriptionStarted:
    end = command.at + timedelta(days=days)
    plan, policies = plan_of(line), under(line.terms, command.policies)
    return SubscriptionStarted(
        subscription_id=subscription_id,
        order_id=order_id,
        product_id=plan.product_id,
        price_id=plan.price_id,
        title=plan.title,
        price=plan.price,
        period=plan.period,
        periods=0,
        resource=plan.resource,
        auto_renew=asked.auto_renew,
        period_start=command.at,
        period_end=end,
        access_end=renewal.access_end(end, auto_renew=asked.auto_renew, policies=policies),
        renew_at=renewal.at_end(command.at, end, policies) if asked.auto_renew else None,
        is_trial=True,
        terms=line.terms,
    )


def _plan(price_id: PriceId, command: Command[object]) -> tuple[Plan, int]:
    offer = offer_of(price_id, command)
    days = offer.price.trial_days
    if offer.product.kind is not ProductKind.SUBSCRIPTION or days is None:
        raise TrialUnavailable(product_id=offer.product.id)
    return plan_on_sale(offer), days


def _was_had(account: Account, product_id: ProductId) -> bool:
    """Tell whether the customer ever had the product, tried or paid."""
    return any(
        order.status is OrderStatus.FULFILLED and line.product_id == product_id
        for order in account.orders.values()
        for line in order.lines
    )
