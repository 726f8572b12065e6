"""Payments as customers see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import BigInteger, Column, ColumnElement, Index, Table, Text, select

from domain.balance.events import BalancePaid
from domain.balance.state import BALANCE
from domain.disputes.events import (
    DisputeClosed,
    DisputeEvent,
    DisputeLost,
    DisputeOpened,
    DisputeUpdated,
    DisputeWon,
)
from domain.money import Money
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentDeclined,
    PaymentEvent,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import PaymentStatus
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded
from projections.model import (
    Change,
    HistoryEntry,
    Merge,
    Moment,
    ReadModel,
    history_table,
    metadata,
    read_history,
    utc,
    utc_or_none,
)
from projections.paging import Page, read_one, read_page

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

payments = Table(
    "payments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text),
    Column("confirmation_url", Text),
    Column("decline_reason", Text),
    Column("failure_reason", Text),
    Column("method_label", Text),
    Column("refunded", BigInteger, nullable=False),
    Column("refunding", BigInteger, nullable=False),
    Column("disputed", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("paid_at", Moment),
    Column("updated_at", Moment, nullable=False),
)
Index("payments_account_created_at_idx", payments.c.account, payments.c.created_at.desc(), payments.c.id.desc())
Index("payments_order_id_idx", payments.c.order_id)
Index("payments_created_at_idx", payments.c.created_at.desc(), payments.c.id.desc())

MODEL = ReadModel(
    table=payments,
    history=history_table("payments"),
    merge={"refunded": Merge.ADD, "refunding": Merge.ADD},
)
HEARS = (
    BalancePaid,
    PaymentCreated,
    PaymentActionRequired,
    PaymentProcessing,
    PaymentCallRepeated,
    PaymentFetchRequested,
    PaymentUnchanged,
    PaymentDeclined,
    PaymentCloseRequested,
    PaymentSucceeded,
    PaymentFailed,
    PaymentCancelled,
    PaymentExpired,
    RefundRequested,
    RefundSucceeded,
    RefundFailed,
    RefundReinstated,
    RefundReversed,
    DisputeOpened,
    DisputeUpdated,
    DisputeWon,
    DisputeLost,
    DisputeClosed,
)


Refunding = RefundRequested | RefundSucceeded | RefundFailed | RefundReinstated | RefundReversed


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentView:
    """A payment. `confirmation_url` is there as long as the customer can act at it."""

    id: str
    account: str
    order_id: str
    status: str
    amount: Money
    provider: str
    reference: str | None
    confirmation_url: str | None
    decline_reason: str | None
    failure_reason: str | None
    method_label: str | None
    refunded: Money
    """What went back to the customer."""
    refunding: Money
    """What is on its way back."""
    disputed: Money
    """What the customer's bank has taken."""
    created_at: datetime
    expires_at: datetime
    paid_at: datetime | None
    updated_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: PaymentEvent | Refunding | DisputeEvent | BalancePaid = event.data
    if isinstance(data, BalancePaid):
        values = _by_balance(data, event.key)
        return (Change(model=MODEL, key=(data.payment_id,), values=values, creates=True, entity=data.payment_id),)
    if isinstance(data, Refunding):
        return (_refund(data),)
    if isinstance(data, DisputeEvent):
        return (_dispute(data),)
    values, noted = _changed(data, event.key)
    if not values and not noted:
        return ()
    change = Change(
        model=MODEL,
        key=(data.payment_id,),
        values=values,
        creates=isinstance(data, PaymentCreated),
        entity=data.payment_id,
        noted=noted,
    )
    return (change,)


def _refund(data: Refunding) -> Change:
    amount = data.amount.amount
    match data:
        case RefundRequested() | RefundReinstated():
            values = {"refunding": amount}
        case RefundSucceeded():
            values = {"refunding": -amount, "refunded": amount}
        case RefundFailed():
            values = {"refunding": -amount}
        case RefundReversed():
            values = {"refunded": -amount}
        case _:
            assert_never(data)
    noted = {"refund_id": data.refund_id, **{f"{name}_added": added for name, added in values.items()}}
    return Change(model=MODEL, key=(data.payment_id,), values=dict(values), entity=data.payment_id, noted=noted)


def _dispute(data: DisputeEvent) -> Change:
    values = {"disputed": data.disputed.amount}
    noted = {"dispute_id": data.dispute_id, **values}
    return Change(model=MODEL, key=(data.payment_id,), values=values, entity=data.payment_id, noted=noted)


def _changed(data: PaymentEvent, account: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the columns that the event sets, and what its line in the history says where that is something else."""
    match data:
        case PaymentCreated():
            return _created(data, account), None
        case PaymentActionRequired():
            return _asking(PaymentStatus.ACTION_REQUIRED, data.reference, data.confirmation_url), None
        case PaymentProcessing():
            return _asking(PaymentStatus.PROCESSING, data.reference, None), None
        case PaymentCallRepeated() | PaymentFetchRequested() | PaymentUnchanged():
            return {}, _waiting(data)
        case PaymentDeclined():
            return {"decline_reason": data.decline_reason}, None
        case PaymentCloseRequested():
            # The status stays until the provider confirms; the page is no longer shown to the customer.
            values = {"reference": data.reference, "confirmation_url": None}
            return values, {**values, "close_reason": data.reason, "detail": data.detail}
        case PaymentSucceeded():
            return _succeeded(data), None
        case PaymentFailed():
            named = {} if data.reference is None else {"reference": data.reference}
            return {**_ended(PaymentStatus.FAILED), **named, "failure_reason": data.reason}, None
        case PaymentCancelled():
            return _ended(PaymentStatus.CANCELLED), None
        case PaymentExpired():
            return _ended(PaymentStatus.EXPIRED), None
        case _:
            assert_never(data)


def _asking(status: PaymentStatus, reference: str, confirmation_url: str | None) -> dict[str, Any]:
    return {"status": status, "reference": reference, "confirmation_url": confirmation_url}


def _waiting(data: PaymentCallRepeated | PaymentFetchRequested | PaymentUnchanged) -> dict[str, Any]:
    """What is asked of the provider again is worth a line in the history and changes nothing that customers see."""
    match data:
        case PaymentCallRepeated():
            return {"call": data.kind, "attempt": data.attempt, "repeat_at": data.repeat_at}
        case PaymentFetchRequested():
            return {"sweep": data.sweep, "requested_at": data.requested_at}
        case PaymentUnchanged():
            return {"sweep_at": data.sweep_at}
        case _:
            assert_never(data)


def _succeeded(succeeded: PaymentSucceeded) -> dict[str, Any]:
    return {
        "status": PaymentStatus.SUCCEEDED,
        "reference": succeeded.reference,
        "confirmation_url": None,
        "decline_reason": None,
        "failure_reason": None,
        "method_label": succeeded.method_label,
        "paid_at": succeeded.paid_at,
    }


def _ended(status: PaymentStatus) -> dict[str, Any]:
    return {"status": status, "confirmation_url": None}


def _created(created: PaymentCreated, account: str) -> dict[str, Any]:
    return {
        "account": account,
        "order_id": created.order_id,
        "status": PaymentStatus.CREATED,
        "amount": created.amount.amount,
        "currency": created.amount.currency,
        "provider": created.provider,
        "reference": None,
        "confirmation_url": None,
        "decline_reason": None,
        "failure_reason": None,
        "method_label": None,
        "refunded": 0,
        "refunding": 0,
        "disputed": 0,
        "created_at": created.created_at,
        "expires_at": created.expires_at,
        "paid_at": None,
    }


def _by_balance(paid: BalancePaid, account: str) -> dict[str, Any]:
    return {
        "account": account,
        "order_id": paid.order_id,
        "status": PaymentStatus.SUCCEEDED,
        "amount": paid.amount.amount,
        "currency": paid.amount.currency,
        "provider": BALANCE,
        "reference": paid.payment_id,
        "confirmation_url": None,
        "decline_reason": None,
        "failure_reason": None,
        "method_label": None,
        "refunded": 0,
        "refunding": 0,
        "disputed": 0,
        "created_at": paid.paid_at,
        "expires_at": paid.paid_at,
        "paid_at": paid.paid_at,
    }


async def get(connection: AsyncConnection, account: str, payment_id: str) -> PaymentView | None:
    """Return the payment, or None where the account has no such payment."""
    return await read_one(connection, select(payments), {payments.c.account: account, payments.c.id: payment_id}, view)


async def list_page(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> Page[PaymentView]:
    """Return the account's payments, newest first. Raises CursorInvalidError."""
    return await list_all(connection, account=account, limit=limit, cursor=cursor)


async def find(connection: AsyncConnection, payment_id: str) -> PaymentView | None:
    """Return the payment of whichever account: for managers alone."""
    return await read_one(connection, select(payments), {payments.c.id: payment_id}, view)


async def list_all(
    connection: AsyncConnection,
    *,
    account: str | None = None,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Page[PaymentView]:
    """Return payments of one account, or of all accounts for managers, newest first. Raises CursorInvalidError."""
    statement = select(payments) if status is None else select(payments).where(_shown_as(status))
    sort = (payments.c.created_at, payments.c.id)
    return await read_page(connection, statement, {payments.c.account: account}, sort, view, limit=limit, cursor=cursor)


async def history(connection: AsyncConnection, account: str, payment_id: str) -> tuple[HistoryEntry, ...]:
    """Return every change of the payment, oldest first."""
    return await read_history(connection, MODEL, account, payment_id)


def view(row: Any) -> PaymentView:
    """Return the payment of a row."""
    return PaymentView(
        id=row.id,
        account=row.account,
        order_id=row.order_id,
        status=shown_status(row.status, paid=row.amount, refunded=row.refunded, disputed=row.disputed),
        amount=Money(amount=row.amount, currency=row.currency),
        provider=row.provider,
        reference=row.reference,
        confirmation_url=row.confirmation_url,
        decline_reason=row.decline_reason,
        failure_reason=row.failure_reason,
        method_label=row.method_label,
        refunded=Money(amount=row.refunded, currency=row.currency),
        refunding=Money(amount=row.refunding, currency=row.currency),
        disputed=Money(amount=row.disputed, currency=row.currency),
        created_at=utc(row.created_at),
        expires_at=utc(row.expires_at),
        paid_at=utc_or_none(row.paid_at),
        updated_at=utc(row.updated_at),
    )


def _shown_as(status: str) -> ColumnElement[bool]:
    """The condition of the rows that the outside sees in a status, as `shown_status` has it."""
    is_paid = (payments.c.status == PaymentStatus.SUCCEEDED) & (payments.c.disputed == 0)
    match status:
        case PaymentStatus.SUCCEEDED:
            return is_paid & (payments.c.refunded == 0)
        case PaymentStatus.PARTIALLY_REFUNDED:
            return is_paid & (payments.c.refunded > 0) & (payments.c.refunded < payments.c.amount)
        case PaymentStatus.REFUNDED:
            return is_paid & (payments.c.refunded > 0) & (payments.c.refunded >= payments.c.amount)
        case PaymentStatus.DISPUTED:
            return (payments.c.status == PaymentStatus.SUCCEEDED) & (payments.c.disputed > 0)
        case _:
            return payments.c.status == status


def shown_status(status: str, *, paid: int, refunded: int, disputed: int) -> str:
    """Return the status that the outside sees: what went back shows on a payment that succeeded."""
    if status == PaymentStatus.SUCCEEDED and disputed > 0:
        return PaymentStatus.DISPUTED
    if status != PaymentStatus.SUCCEEDED or refunded == 0:
        return status
    return PaymentStatus.REFUNDED if refunded >= paid else PaymentStatus.PARTIALLY_REFUNDED
