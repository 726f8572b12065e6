"""Read models against the fold of the log: what audits and tests call equal, column by column.

The expected rows are made from the state that `domain.account.evolve` folds, not from the projections' own code, so
that a mistake in one of the two shows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select

from domain.balance.state import BALANCE
from domain.entitlements.commands import EndEntitlement
from domain.grants.commands import EndGrant
from domain.operations.decider import subject_of
from domain.payments.commands import RepeatCall, SweepPayment
from domain.payments.state import ActionRequired, PaymentStatus, Succeeded
from domain.policies.reactions import pending
from domain.promo.commands import RepeatPromoCall
from domain.refunds.commands import RepeatRefund, SweepRefund
from domain.subscriptions.commands import ContinueSubscription, RenewSubscription
from domain.subscriptions.state import SubscriptionStatus
from projections.balances import balances
from projections.customers import customers, paid_totals
from projections.deadlines import ENTITLEMENT, GRANT, deadlines, row_id
from projections.discounts import personal_discounts
from projections.disputes import disputes
from projections.entitlements import entitlements
from projections.grants import grants
from projections.model import storable
from projections.orders import orders
from projections.payment_methods import payment_methods
from projections.payments import payments
from projections.promo_uses import UseStatus, promo_uses
from projections.refunds import refunds
from projections.subscriptions import subscriptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Select, Table
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.account.state import Account

    Rows = dict[str, dict[str, Any]]
    """Rows by id, each the columns that are compared."""

ACCOUNTS_MAX = 500
"""Accounts whose rows are read at once."""


async def compare_many(connection: AsyncConnection, states: Mapping[str, Account]) -> dict[str, list[str]]:
    """Return what differs between each account's rows and its fold, a sentence each: an empty list where nothing does.

    Many accounts are read with few queries.
    """
    found: dict[str, list[str]] = {account: [] for account in states}
    accounts = [account for account in states if storable(account)]
    for start in range(0, len(accounts), ACCOUNTS_MAX):
        some = accounts[start : start + ACCOUNTS_MAX]
        await _compare_some(connection, {account: states[account] for account in some}, found)
    return found


async def _compare_some(connection: AsyncConnection, states: dict[str, Account], found: dict[str, list[str]]) -> None:
    for table, key, expected_of in (
        (orders, "id", _orders),
        (payments, "id", _payments),
        (subscriptions, "id", _subscriptions),
        (entitlements, "resource", _entitlements),
        (refunds, "id", _refunds),
        (disputes, "id", _disputes),
        (payment_methods, "id", _methods),
        (personal_discounts, "id", _discounts),
        (promo_uses, "order_id", _promo_uses),
        (grants, "resource", _grants),
        (balances, "currency", _balances),
        (customers, "account", _customers),
        (paid_totals, "currency", _paid_totals),
        (deadlines, "id", _deadlines),
    ):
        statement = select(table).where(table.c.account == func.any(list(states)))
        if table is entitlements:
            statement = statement.where(entitlements.c.ended_at.is_(None))
        elif table is payment_methods:
            statement = statement.where(payment_methods.c.removed_at.is_(None))
        elif table is deadlines:
            statement = statement.where(func.least(*(deadlines.c[name] for name in _DUE)).is_not(None))
        elif table is personal_discounts:
            statement = statement.where(personal_discounts.c.revoked_at.is_(None))
        elif table is grants:
            statement = statement.where(grants.c.ended_at.is_(None))
        elif table is promo_uses:
            statement = statement.where(promo_uses.c.status.not_in([UseStatus.REFUSED, UseStatus.RELEASED]))
        shown = await _shown(connection, statement, key)
        for account, state in states.items():
            found[account] += differences(table, expected_of(account, state), shown.get(account, {}))


async def _shown(connection: AsyncConnection, statement: Select[Any], key: str) -> dict[str, Rows]:
    shown: dict[str, Rows] = {}
    for row in (await connection.execute(statement)).mappings():
        shown.setdefault(row["account"], {})[row[key]] = dict(row)
    return shown


def differences(table: Table, expected: Rows, shown: Rows) -> list[str]:
    """Return what differs between rows as the fold has them and rows as they are, one sentence each."""
    noun = table.name
    sentences = [f"{noun} {name}: the log has it, the read model does not" for name in expected.keys() - shown.keys()]
    sentences += [f"{noun} {name}: the read model has it, the log does not" for name in shown.keys() - expected.keys()]
    for name, columns in expected.items():
        row = shown.get(name)
        if row is not None:
            sentences += [
                f"{noun} {name}: {column} is {row[column]!r}, the log says {value!r}"
                for column, value in columns.items()
                if row[column] != value
            ]
    return sorted(sentences)


def _orders(_account: str, state: Account) -> Rows:
    return {
        order.id: {
            "payment_id": order.payment_id,
            "status": order.status,
            "total": order.total.amount,
            "credit": None if order.credit is None else order.credit.amount,
            "balance_used": order.balance_used,
            "currency": order.total.currency,
            "auto_renew": order.auto_renew,
            "purpose": order.purpose,
            "lines": as_json(order.lines),
            "placed_at": order.placed_at,
        }
        for order in state.orders.values()
    }


def _payments(_account: str, state: Account) -> Rows:
    return {
        payment.id: {
            "order_id": payment.order_id,
            "status": _bare(payment.status),
            "refunded": payment.refunded,
            "refunding": payment.refunding,
            "disputed": payment.disputed,
            "amount": payment.amount.amount,
            "currency": payment.amount.currency,
            "provider": payment.provider,
            "reference": payment.reference,
            "confirmation_url": (payment.phase.confirmation_url if isinstance(payment.phase, ActionRequired) else None),
            "created_at": payment.created_at,
            "expires_at": payment.expires_at,
            "paid_at": payment.phase.paid_at if isinstance(payment.phase, Succeeded) else None,
        }
        for payment in state.payments.values()
    }


def _bare(status: PaymentStatus) -> PaymentStatus:
    """The table keeps what went back in columns of their own, and shows the status from all of them."""
    is_paid = status in {PaymentStatus.PARTIALLY_REFUNDED, PaymentStatus.REFUNDED, PaymentStatus.DISPUTED}
    return PaymentStatus.SUCCEEDED if is_paid else status


def _running(status: SubscriptionStatus) -> SubscriptionStatus:
    """The table keeps trials, pauses and declined renewals in columns of their own, and shows the status from all."""
    is_bare = status in {SubscriptionStatus.GRACE, SubscriptionStatus.ENDED}
    return status if is_bare else SubscriptionStatus.ACTIVE


def as_json(value: object) -> Any:
    """Return a value as a column of JSON gives it back."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _subscriptions(_account: str, state: Account) -> Rows:
    return {
        subscription.id: {
            "order_id": subscription.order_id,
            "product_id": subscription.product_id,
            "price_id": subscription.price_id,
            "amount": subscription.price.amount,
            "currency": subscription.price.currency,
            "period_count": subscription.period.count,
            "period_unit": subscription.period.unit,
            "resource": subscription.resource,
            "status": _running(subscription.status),
            "title": subscription.title,
            "auto_renew": subscription.auto_renew,
            "access_end": subscription.access_end,
            "renew_at": subscription.renew_at,
            "is_trial": subscription.status is SubscriptionStatus.TRIALING,
            "paused_at": subscription.paused_at,
            "resume_by": subscription.resume_by,
            "planned": as_json(subscription.planned),
            "terms": as_json(subscription.terms),
            "anchor": subscription.anchor,
            "units": subscription.units,
            "period_start": subscription.period_start,
            "period_end": subscription.period_end,
            "paid": as_json(subscription.paid),
        }
        for subscription in state.subscriptions.values()
    }


def _entitlements(_account: str, state: Account) -> Rows:
    return {
        held.resource: {
            "until": held.until,
            "reason": held.reason,
            "order_id": held.order_id,
            "subscription_id": held.subscription_id,
        }
        for held in state.entitlements.values()
    }


_DUE = ("repeat_at", "look_at", "end_at", "paused_until")


def _deadlines(account: str, state: Account) -> Rows:
    """What the account waits for, as its policies say it: the timers that the engine fires."""
    rows: Rows = {}
    for timer in pending(state):
        match timer.data:
            case RepeatCall() | RepeatRefund() | RepeatPromoCall():
                column = "repeat_at"
            case SweepPayment() | SweepRefund() | RenewSubscription():
                column = "look_at"
            case ContinueSubscription():
                column = "paused_until"
            case _:
                column = "end_at"
        noun = GRANT if isinstance(timer.data, EndGrant) else ""
        noun = ENTITLEMENT if isinstance(timer.data, EndEntitlement) else noun
        entity = row_id(account, noun, str(subject_of(timer)))
        rows.setdefault(entity, dict.fromkeys(_DUE))[column] = timer.due_at
    for subscription in state.subscriptions.values():
        if subscription.resume_by is not None and subscription.id in rows:
            rows[subscription.id]["end_at"] = subscription.period_end  # kept for after the pause
    return rows


def _discounts(_account: str, state: Account) -> Rows:
    return {
        discount.id: {
            "basis_points": discount.basis_points,
            "reason": discount.reason,
            "products": list(discount.products),
            "valid_from": discount.valid_from,
            "valid_until": discount.valid_until,
        }
        for discount in state.personal_discounts.values()
    }


def _promo_uses(_account: str, state: Account) -> Rows:
    return {use.order_id: {"code": use.code, "is_limited": use.is_limited} for use in state.promo_uses.values()}


def _grants(_account: str, state: Account) -> Rows:
    return {given.resource: {"until": given.until, "reason": given.reason} for given in state.grants.values()}


def _balances(_account: str, state: Account) -> Rows:
    return {currency: {"amount": amount} for currency, amount in state.balances.items()}


def _customers(account: str, state: Account) -> Rows:
    return {account: {"orders": len(state.orders)}} if state.orders else {}


def _refunds(_account: str, state: Account) -> Rows:
    return {
        refund.id: {
            "payment_id": refund.payment_id,
            "status": refund.status,
            "amount": refund.amount.amount,
            "currency": refund.amount.currency,
            "reason": refund.reason,
            "requested_at": refund.requested_at,
            "reversed_at": refund.reversed_at,
            "ends_access": refund.ends_access,
            "rule": refund.rule,
        }
        for refund in state.refunds.values()
    }


def _disputes(_account: str, state: Account) -> Rows:
    return {
        dispute.id: {
            "payment_id": dispute.payment_id,
            "provider": dispute.provider,
            "reference": dispute.reference,
            "status": dispute.status,
            "is_inquiry": dispute.is_inquiry,
            "amount": dispute.amount.amount,
            "currency": dispute.amount.currency,
            "reason": dispute.reason,
            "evidence_due_at": dispute.evidence_due_at,
            "opened_at": dispute.opened_at,
            "closed_at": None if dispute.is_open else dispute.told_at,
        }
        for dispute in state.disputes.values()
    }


def _methods(_account: str, state: Account) -> Rows:
    return {
        method.method_reference: {"provider": method.provider, "label": method.label, "saved_at": method.saved_at}
        for method in state.methods
    }


def _paid_totals(_account: str, state: Account) -> Rows:
    amounts: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for payment in state.payments.values():
        if isinstance(payment.phase, Succeeded) and payment.provider != BALANCE:
            amounts[payment.amount.currency] += payment.amount.amount
            counts[payment.amount.currency] += 1
    return {currency: {"amount": amounts[currency], "payments": counts[currency]} for currency in counts}
