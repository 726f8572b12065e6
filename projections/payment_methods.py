"""Saved means of payment: what the provider keeps for renewals, by the provider's names. Never a card number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import Column, PrimaryKeyConstraint, Table, Text, select

from domain.payments.events import MethodEvent, PaymentMethodRemoved, PaymentMethodSaved
from projections.model import Change, Moment, ReadModel, history_table, metadata, storable, utc

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncConnection

    from schemas.envelope import EventRecord

METHODS_MAX = 100

payment_methods = Table(
    "payment_methods",
    metadata,
    Column("account", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("label", Text),
    Column("saved_at", Moment, nullable=False),
    Column("removed_at", Moment),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("account", "id", name="payment_methods_pkey"),
)

MODEL = ReadModel(table=payment_methods, history=history_table("payment_methods"))
HEARS = (PaymentMethodSaved, PaymentMethodRemoved)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethodView:
    """A means of payment that may be charged for renewals. `id` is the provider's name of it."""

    id: str
    provider: str
    label: str | None
    saved_at: datetime


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data: MethodEvent = event.data
    match data:
        case PaymentMethodSaved(method=method):
            values = {
                "provider": method.provider,
                "label": method.label,
                "saved_at": method.saved_at,
                "removed_at": None,
            }
            return (_change(event.key, method.method_reference, values, creates=True),)
        case PaymentMethodRemoved():
            return (_change(event.key, data.method_reference, {"removed_at": event.time}),)
        case _:
            assert_never(data)


def _change(account: str, reference: str, values: dict[str, Any], *, creates: bool = False) -> Change:
    return Change(model=MODEL, key=(account, reference), values=values, creates=creates, entity=reference)


async def list_all(connection: AsyncConnection, account: str) -> tuple[PaymentMethodView, ...]:
    """Return the account's saved means of payment, the one that is charged first at the front."""
    if not storable(account):
        return ()
    statement = (
        select(payment_methods)
        .where(payment_methods.c.account == account, payment_methods.c.removed_at.is_(None))
        .order_by(payment_methods.c.saved_at.desc(), payment_methods.c.id)
        .limit(METHODS_MAX)
    )
    return tuple(_view(row) for row in await connection.execute(statement))


def _view(row: Any) -> PaymentMethodView:
    return PaymentMethodView(id=row.id, provider=row.provider, label=row.label, saved_at=utc(row.saved_at))
