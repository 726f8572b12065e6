"""Rows of the read models as clients see them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from api.problems import Problem
from domain.catalog.state import ProductKind
from schemas.http.access import EntitlementAnswer
from schemas.http.catalog import PriceAnswer, ProductAnswer
from schemas.http.commands import CommandAnswer
from schemas.http.credits import BalanceEntryAnswer
from schemas.http.discounts import ConsideredDiscountAnswer, QuoteAnswer
from schemas.http.fields import MoneyAnswer, PageAnswer, PeriodAnswer, ProblemAnswer
from schemas.http.operations import ExplanationAnswer, ExplanationStep, OverdueItem, ResumedAnswer
from schemas.http.orders import (
    AppliedDiscountAnswer,
    OrderAnswer,
    OrderLineAnswer,
    OrderPaymentAnswer,
    PaymentAnswer,
    QuoteLineAnswer,
)
from schemas.http.refunds import PaymentMethodAnswer, RefundAnswer
from schemas.http.subscriptions import PlannedChangeAnswer, SubscriptionAnswer, UpcomingRenewalAnswer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.money import Money
    from domain.orders.state import OrderLine
    from domain.pricing.quote import Quote
    from domain.pricing.state import AppliedDiscount
    from domain.subscriptions.preview import Upcoming
    from domain.subscriptions.state import PlannedChange
    from projections.audit.explanation import Explanation
    from projections.balances import EntryView
    from projections.commands import CommandView
    from projections.entitlements import EntitlementView
    from projections.orders import OrderPaymentView, OrderView
    from projections.overdue import OverdueView, Waiting
    from projections.paging import Page
    from projections.payment_methods import PaymentMethodView
    from projections.payments import PaymentView
    from projections.products import PriceView, ProductView
    from projections.refunds import RefundView
    from projections.subscriptions import SubscriptionView

View = TypeVar("View")
Item = TypeVar("Item")


def page_answer(page: Page[View], answer: Callable[[View], Item]) -> PageAnswer[Item]:
    """A page of rows as a page of answers."""
    return PageAnswer(items=tuple(map(answer, page.items)), next_cursor=page.next_cursor)


def _order_payment(payment: OrderPaymentView) -> OrderPaymentAnswer:
    return OrderPaymentAnswer(id=payment.id, status=payment.status, confirmation_url=payment.confirmation_url)


def order_answer(order: OrderView) -> OrderAnswer:
    """An order for its customer."""
    return OrderAnswer(
        id=order.id,
        status=order.status,
        items=tuple(map(_line, order.lines)),
        subtotal=MoneyAnswer.of(order.subtotal),
        discount=MoneyAnswer.of(order.discount),
        total=MoneyAnswer.of(order.total),
        credit=None if order.credit is None else MoneyAnswer.of(order.credit),
        balance_used=MoneyAnswer.of(order.balance_used),
        purpose=order.purpose,
        applied_discount=_applied(order.applied),
        auto_renew=order.auto_renew,
        payment=None if order.payment is None else _order_payment(order.payment),
        failure_reason=order.failure_reason,
        placed_at=order.placed_at,
        paid_at=order.paid_at,
    )


def quote_answer(quote: Quote, balance_used: Money) -> QuoteAnswer:
    """What items cost, for whoever asked, and how much of it their balance pays."""
    return QuoteAnswer(
        items=tuple(map(_quote_line, quote.lines)),
        subtotal=MoneyAnswer.of(quote.subtotal),
        discount=MoneyAnswer.of(quote.discount),
        total=MoneyAnswer.of(quote.total),
        balance_used=MoneyAnswer.of(balance_used),
        applied_discount=_applied(quote.applied),
        considered_discounts=tuple(map(ConsideredDiscountAnswer.of, quote.considered)),
    )


def balance_entry(entry: EntryView) -> BalanceEntryAnswer:
    """One change of a balance, for its customer."""
    return BalanceEntryAnswer(
        id=entry.id,
        kind=entry.kind,
        amount=MoneyAnswer.of(entry.amount),
        order_id=entry.order_id,
        refund_id=entry.refund_id,
        at=entry.at,
    )


def _applied(applied: AppliedDiscount | None) -> AppliedDiscountAnswer | None:
    if applied is None:
        return None
    amount = MoneyAnswer.of(applied.amount)
    return AppliedDiscountAnswer(kind=applied.kind, reference=applied.reference, amount=amount, reason=applied.reason)


def _quote_line(line: OrderLine) -> QuoteLineAnswer:
    return QuoteLineAnswer(
        product_id=line.product_id,
        price_id=line.price_id,
        kind=line.kind,
        title=line.title,
        resource=line.resource,
        unit_price=MoneyAnswer.of(line.unit_price),
        quantity=line.quantity,
        total=MoneyAnswer.of(line.total),
        discount=MoneyAnswer(amount=line.discount_amount, currency=line.total.currency),
        period=None if line.period is None else PeriodAnswer.of(line.period),
    )


def _line(line: OrderLine) -> OrderLineAnswer:
    return OrderLineAnswer(**_quote_line(line).model_dump(), subscription_id=line.subscription_id)


def payment_answer(payment: PaymentView) -> PaymentAnswer:
    """A payment for its customer."""
    return PaymentAnswer(
        id=payment.id,
        order_id=payment.order_id,
        status=payment.status,
        amount=MoneyAnswer.of(payment.amount),
        provider=payment.provider,
        confirmation_url=payment.confirmation_url,
        decline_reason=payment.decline_reason,
        failure_reason=payment.failure_reason,
        method=payment.method_label,
        refunded=MoneyAnswer.of(payment.refunded),
        refunding=MoneyAnswer.of(payment.refunding),
        disputed=MoneyAnswer.of(payment.disputed),
        created_at=payment.created_at,
        expires_at=payment.expires_at,
        paid_at=payment.paid_at,
    )


def refund_answer(refund: RefundView) -> RefundAnswer:
    """A refund for its customer."""
    return RefundAnswer(
        id=refund.id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        status=refund.status,
        amount=MoneyAnswer.of(refund.amount),
        reason=refund.reason,
        rule=refund.rule,
        requested_by=refund.requested_by,
        failure_reason=refund.failure_reason,
        requested_at=refund.requested_at,
    )


def payment_method_answer(method: PaymentMethodView) -> PaymentMethodAnswer:
    """A saved means of payment for its owner."""
    return PaymentMethodAnswer(id=method.id, provider=method.provider, label=method.label, saved_at=method.saved_at)


def subscription_answer(subscription: SubscriptionView) -> SubscriptionAnswer:
    """A subscription for its customer."""
    return SubscriptionAnswer(
        id=subscription.id,
        status=subscription.status,
        order_id=subscription.order_id,
        product_id=subscription.product_id,
        title=subscription.title,
        price_id=subscription.price_id,
        price=MoneyAnswer.of(subscription.price),
        period=PeriodAnswer.of(subscription.period),
        resource=subscription.resource,
        auto_renew=subscription.auto_renew,
        period_start=subscription.period_start,
        period_end=subscription.period_end,
        access_end=subscription.access_end,
        renew_at=subscription.renew_at,
        renewal_failure=subscription.renewal_failure,
        paused_at=subscription.paused_at,
        resume_by=subscription.resume_by,
        planned_change=None if subscription.planned is None else _planned(subscription.planned),
        ended_at=subscription.ended_at,
    )


def _planned(change: PlannedChange) -> PlannedChangeAnswer:
    plan = change.plan
    return PlannedChangeAnswer(
        product_id=plan.product_id,
        title=plan.title,
        price_id=plan.price_id,
        price=MoneyAnswer.of(plan.price),
        period=PeriodAnswer.of(plan.period),
        resource=plan.resource,
        not_before=change.not_before,
    )


def upcoming_answer(upcoming: Upcoming) -> UpcomingRenewalAnswer:
    """A renewal that is to come."""
    return UpcomingRenewalAnswer(
        charge_at=upcoming.charge_at,
        period_start=upcoming.period_start,
        period_end=upcoming.period_end,
        price_id=upcoming.plan.price_id,
        title=upcoming.plan.title,
        subtotal=MoneyAnswer.of(upcoming.subtotal),
        discount=MoneyAnswer.of(upcoming.discount),
        total=MoneyAnswer.of(upcoming.total),
        applied_discount=_applied(upcoming.applied),
    )


def entitlement_answer(entitlement: EntitlementView) -> EntitlementAnswer:
    """What may be watched, as `billing.entitlements` has it."""
    return EntitlementAnswer(resource=entitlement.resource, until=entitlement.until, reason=entitlement.reason)


def product_answer(product: ProductView) -> ProductAnswer:
    """A product on sale."""
    return ProductAnswer(
        id=product.id,
        kind=ProductKind(product.kind),
        title=product.title,
        description=product.description,
        role=product.role,
        validity_days=product.validity_days,
        prices=tuple(map(price_answer, product.prices)),
        updated_at=product.updated_at,
    )


def price_answer(price: PriceView) -> PriceAnswer:
    """A price on sale."""
    return PriceAnswer(
        id=price.id,
        amount=MoneyAnswer.of(price.amount),
        period=None if price.period is None else PeriodAnswer.of(price.period),
        trial_days=price.trial_days,
    )


def overdue_item(item: OverdueView, now: datetime) -> OverdueItem:
    """What waits too long, with its age now."""
    return OverdueItem(
        id=item.id,
        kind=item.kind,
        account=item.account,
        noun=item.noun,
        subject=item.subject,
        since=item.since,
        deadline=item.deadline,
        age_seconds=int((now - item.since).total_seconds()),
        attempts=item.attempts,
        next_at=item.next_at,
        cause=item.cause,
        resume=f"/v1/admin/overdue/{item.id}/resume" if item.is_resumable else None,
    )


def resumed_answer(waiting: Waiting) -> ResumedAnswer:
    """How what was gone on with stands."""
    return ResumedAnswer(
        id=waiting.id,
        noun=waiting.noun,
        subject=waiting.subject,
        account=waiting.account,
        next_at=waiting.next_at,
    )


def explanation_answer(explanation: Explanation) -> ExplanationAnswer:
    """The chain of an explanation."""
    return ExplanationAnswer(
        account=explanation.account,
        noun=explanation.noun,
        subject=explanation.subject,
        steps=tuple(ExplanationStep(**asdict(step)) for step in explanation.steps),
    )


def command_answer(command: CommandView, problem: Problem | None) -> CommandAnswer:
    """What became of a command."""
    return CommandAnswer(
        id=command.id,
        type=command.type,
        status=command.status,
        resources=command.resources,
        position=command.position,
        problem=None if problem is None else ProblemAnswer.model_validate(problem.body(command.correlation_id)),
        received_at=command.received_at,
        decided_at=command.decided_at,
    )
