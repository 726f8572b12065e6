"""Rows of the read models as managers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.views import (
    balance_entry,
    order_answer,
    payment_answer,
    price_answer,
    product_answer,
    refund_answer,
    subscription_answer,
)
from schemas.http.admin import AccountOrderAnswer, AccountPaymentAnswer, AccountRefundAnswer, GrantAnswer
from schemas.http.catalog import ManagedPriceAnswer, ManagedProductAnswer, TermsAnswer
from schemas.http.credits import AccountBalanceEntryAnswer, AccountCreditsAnswer
from schemas.http.discounts import (
    MonthsDiscountsAnswer,
    MonthsStepAnswer,
    PersonalDiscountAnswer,
    PromoCodeAnswer,
    PromoUseAnswer,
)
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, MoneyAnswer
from schemas.http.subscriptions import AccountSubscriptionAnswer

if TYPE_CHECKING:
    from domain.money import Money
    from projections.balances import EntryView
    from projections.discounts import MonthsDiscountsView, PersonalDiscountView
    from projections.grants import GrantView
    from projections.model import HistoryEntry
    from projections.orders import OrderView
    from projections.paging import Page
    from projections.payments import PaymentView
    from projections.products import ProductView
    from projections.promo_codes import PromoCodeView
    from projections.promo_uses import PromoUseView
    from projections.refunds import RefundView
    from projections.subscriptions import SubscriptionView


def history_answer(entries: tuple[HistoryEntry, ...]) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of a thing, oldest first."""
    return ItemsAnswer(
        items=tuple(
            HistoryEntryAnswer(
                event_id=entry.event_id,
                event_type=entry.event_type,
                sequence=entry.sequence,
                position=f"{entry.partition}:{entry.offset}",
                at=entry.at,
                actor=entry.actor,
                command_id=entry.command_id,
                changes=entry.changes,
            )
            for entry in entries
        )
    )


def managed_product(product: ProductView) -> ManagedProductAnswer:
    """A product, on sale or not, with every price that it ever had."""
    shown = {
        **dict(product_answer(product)),
        "terms": None if product.terms is None else TermsAnswer.of(product.terms),
        "active": product.active,
        "prices": tuple(
            ManagedPriceAnswer(active=price.active, **dict(price_answer(price))) for price in product.prices
        ),
    }
    return ManagedProductAnswer(**shown)


def account_order(order: OrderView) -> AccountOrderAnswer:
    """An order with whose it is."""
    return AccountOrderAnswer(account=order.account, **dict(order_answer(order)))


def account_payment(payment: PaymentView) -> AccountPaymentAnswer:
    """A payment with whose it is, and what the provider calls it."""
    return AccountPaymentAnswer(account=payment.account, reference=payment.reference, **dict(payment_answer(payment)))


def account_refund(refund: RefundView) -> AccountRefundAnswer:
    """A refund with whose it is."""
    return AccountRefundAnswer(account=refund.account, **dict(refund_answer(refund)))


def account_subscription(subscription: SubscriptionView) -> AccountSubscriptionAnswer:
    """A subscription with whose it is."""
    return AccountSubscriptionAnswer(account=subscription.account, **dict(subscription_answer(subscription)))


def grant_answer(grant: GrantView) -> GrantAnswer:
    """Access that a manager gave."""
    return GrantAnswer(
        account=grant.account,
        resource=grant.resource,
        until=grant.until,
        reason=grant.reason,
        given_at=grant.given_at,
        given_by=grant.given_by,
        ended_at=grant.ended_at,
        ended_because=grant.ended_because,
    )


def account_credits(account: str, held: tuple[Money, ...], page: Page[EntryView]) -> AccountCreditsAnswer:
    """A customer's balance, and what changed it, by whom and why."""
    return AccountCreditsAnswer(
        account=account,
        balances=tuple(map(MoneyAnswer.of, held)),
        items=tuple(
            AccountBalanceEntryAnswer(reason=entry.reason, by=entry.by, **dict(balance_entry(entry)))
            for entry in page.items
        ),
        next_cursor=page.next_cursor,
    )


def months_answer(view: MonthsDiscountsView) -> MonthsDiscountsAnswer:
    """The table of discounts by months."""
    steps = tuple(MonthsStepAnswer(months=step.months, basis_points=step.basis_points) for step in view.table.steps)
    return MonthsDiscountsAnswer(steps=steps, updated_at=view.updated_at)


def personal_answer(view: PersonalDiscountView) -> PersonalDiscountAnswer:
    """One customer's discount."""
    discount = view.discount
    return PersonalDiscountAnswer(
        id=discount.id,
        account=view.account,
        basis_points=discount.basis_points,
        reason=discount.reason,
        products=discount.products,
        valid_from=discount.valid_from,
        valid_until=discount.valid_until,
        granted_at=view.granted_at,
        granted_by=view.granted_by,
        revoked_at=view.revoked_at,
    )


def promo_answer(view: PromoCodeView) -> PromoCodeAnswer:
    """A promo code with how often it is used."""
    promo = view.promo
    return PromoCodeAnswer(
        code=promo.code,
        basis_points=promo.basis_points,
        amount=None if promo.amount is None else MoneyAnswer.of(promo.amount),
        products=promo.products,
        months_min=promo.months_min,
        valid_from=promo.valid_from,
        valid_until=promo.valid_until,
        uses_max=promo.uses_max,
        uses_per_account_max=promo.uses_per_account_max,
        active=promo.active,
        uses=view.uses,
        updated_at=view.updated_at,
    )


def use_answer(use: PromoUseView) -> PromoUseAnswer:
    """One order that asked for a promo code."""
    return PromoUseAnswer(
        order_id=use.order_id,
        account=use.account,
        status=use.status,
        refusal=use.refusal,
        asked_at=use.asked_at,
        updated_at=use.updated_at,
    )
