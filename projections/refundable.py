"""What may be given back now. The rules are the domain's own: the rows are made into as much of an account as they ask.

So the list says exactly what a request for a refund would be allowed at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select

from domain.account.state import Account
from domain.calendar import Period, PeriodUnit
from domain.errors import DomainError
from domain.ids import OrderId, PaymentId, PriceId, ProductId, RefundId, Resource, SubscriptionId
from domain.money import Money
from domain.orders.state import Order, OrderLine
from domain.payments.state import Payment, PaymentStatus, Succeeded
from domain.policies.settings import RefundAccess
from domain.refunds import rules
from domain.refunds.state import Refund, RefundedBy, RefundStatus
from domain.subscriptions.state import PaidPeriod, Subscription, SubscriptionStatus
from projections import payments as payments_model
from projections.model import storable, utc, utc_or_none
from projections.orders import orders
from projections.paging import Page, checked_limit, decode_cursor, encode_cursor
from projections.payments import PaymentView, payments
from projections.refunds import refunds
from projections.subscriptions import subscriptions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.policies.settings import Policies

PAYMENTS_MAX = 1000
"""How many of an account's newest paid payments are looked at; nobody comes near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundablePayment:
    """A payment of which `amount` may be given back to its customer now, by `rule`."""

    payment: PaymentView
    amount: Money
    rule: str


async def list_page(  # a query has that many sides
    connection: AsyncConnection,
    account: str,
    now: datetime,
    policies: Policies,
    *,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[RefundablePayment]:
    """Return what the account's customer may have back now, newest first. Raises CursorInvalidError."""
    checked_limit(limit)
    if not storable(account):
        return Page(items=(), next_cursor=None)
    after = None if cursor is None else decode_cursor(cursor, tuple[datetime, str])
    rows = await _paid(connection, account)
    state = await _account(connection, account, rows)
    found: list[RefundablePayment] = []
    for row in rows:
        if after is not None and (row.created_at, row.id) >= after:
            continue
        payment = state.payments[PaymentId(row.id)]
        try:
            allowed = rules.allowance(state, payment, now, policies, by_manager=False)
        except DomainError:
            continue
        amount = Money(amount=allowed.amount, currency=payment.amount.currency)
        found.append(RefundablePayment(payment=payments_model.view(row), amount=amount, rule=allowed.rule))
    items = tuple(found[:limit])
    last = items[-1].payment if len(found) > limit else None
    return Page(items=items, next_cursor=None if last is None else encode_cursor((last.created_at, last.id)))


async def _paid(connection: AsyncConnection, account: str) -> list[Any]:
    statement = (
        select(payments)
        .where(payments.c.account == account, payments.c.status == PaymentStatus.SUCCEEDED)
        .order_by(payments.c.created_at.desc(), payments.c.id.desc())
        .limit(PAYMENTS_MAX)
    )
    return list((await connection.execute(statement)).all())


async def _account(connection: AsyncConnection, account: str, paid: list[Any]) -> Account:
    """Return the account as far as the rules of refunds look at it."""
    running = await connection.execute(
        select(subscriptions).where(
            subscriptions.c.account == account, subscriptions.c.status != SubscriptionStatus.ENDED
        )
    )
    held = {SubscriptionId(row.id): _subscription(row) for row in running}
    paid_for = {period.order_id for subscription in held.values() for period in subscription.paid}
    order_ids = sorted(paid_for.union(row.order_id for row in paid))
    ordered = await connection.execute(
        select(orders).where(orders.c.account == account, orders.c.id == func.any(order_ids))
    )
    given = await connection.execute(
        select(refunds).where(refunds.c.account == account, refunds.c.order_id == func.any(order_ids))
    )
    return Account(
        orders={OrderId(row.id): _order(row) for row in ordered},
        payments={PaymentId(row.id): _payment(row) for row in paid},
        subscriptions=held,
        refunds={RefundId(row.id): _refund(row) for row in given},
    )


def _order(row: Any) -> Order:
    return Order(
        id=OrderId(row.id),
        payment_id=PaymentId(row.payment_id),
        lines=msgspec.convert(row.lines, tuple[OrderLine, ...]),
        total=Money(amount=row.total, currency=row.currency),
        auto_renew=row.auto_renew,
        placed_at=utc(row.placed_at),
    )


def _payment(row: Any) -> Payment:
    return Payment(
        id=PaymentId(row.id),
        order_id=OrderId(row.order_id),
        amount=Money(amount=row.amount, currency=row.currency),
        provider=row.provider,
        created_at=utc(row.created_at),
        expires_at=utc(row.expires_at),
        return_url=None,
        save_method=False,
        phase=Succeeded(reference=row.reference or "", paid_at=utc(row.paid_at)),
        call=None,
        refunded=row.refunded,
        refunding=row.refunding,
        disputed=row.disputed,
    )


def _subscription(row: Any) -> Subscription:
    return Subscription(
        id=SubscriptionId(row.id),
        product_id=ProductId(row.product_id),
        price_id=PriceId(row.price_id),
        title=row.title,
        price=Money(amount=row.amount, currency=row.currency),
        period=Period(count=row.period_count, unit=PeriodUnit(row.period_unit)),
        resource=Resource(row.resource),
        order_id=OrderId(row.order_id),
        anchor=utc(row.anchor),
        units=row.units,
        paid=msgspec.convert(row.paid, tuple[PaidPeriod, ...]),
        period_start=utc(row.period_start),
        period_end=utc(row.period_end),
        access_end=utc(row.access_end),
        auto_renew=row.auto_renew,
        status=SubscriptionStatus(row.status),
        paused_at=utc_or_none(row.paused_at),
    )


def _refund(row: Any) -> Refund:
    return Refund(
        id=RefundId(row.id),
        payment_id=PaymentId(row.payment_id),
        order_id=OrderId(row.order_id),
        provider="",
        payment_reference="",
        amount=Money(amount=row.amount, currency=row.currency),
        reason=row.reason,
        requested_by=RefundedBy(row.requested_by),
        ends_access=row.ends_access,
        requested_at=utc(row.requested_at),
        status=RefundStatus(row.status),
        reference=row.reference,
        call=None,
        rule=row.rule,
        access=RefundAccess(row.access),
        reversed_at=utc_or_none(row.reversed_at),
    )
