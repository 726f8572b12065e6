"""A batch of the log, folded in memory: one row for each thing that changed, however often it did."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from domain.ledger import journal
from projections import (
    account_events,
    balances,
    commands,
    customers,
    deadlines,
    discounts,
    disputes,
    entitlements,
    grants,
    ledger,
    orders,
    payment_methods,
    payments,
    products,
    promo_codes,
    promo_uses,
    refunds,
    subscriptions,
)
from projections.model import Merge
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Table

    from domain.ledger.entries import Schedule
    from domain.ledger.state import Books, Sale
    from projections.model import Change, ReadModel
    from schemas.envelope import CommandRecord, EventRecord

    Key = tuple[str, ...]
    Project = Callable[[EventRecord], tuple[Change, ...]]

_encode = msgspec.json.Encoder().encode
_OUTCOMES = (CommandAccepted, CommandRejected)

READ_MODELS: tuple[ReadModel, ...] = (
    orders.MODEL,
    payments.MODEL,
    refunds.MODEL,
    disputes.MODEL,
    payment_methods.MODEL,
    subscriptions.MODEL,
    entitlements.MODEL,
    products.MODEL,
    products.PRICES,
    discounts.MODEL,
    discounts.MONTHS,
    promo_codes.MODEL,
    promo_uses.MODEL,
    grants.MODEL,
    balances.MODEL,
    customers.MODEL,
    customers.PAID,
    commands.MODEL,
    deadlines.MODEL,
    ledger.SCHEDULES,
    ledger.SALES,
)
"""Every table whose rows change with events."""
APPENDED: tuple[Table, ...] = (
    *dict.fromkeys(model.history for model in READ_MODELS if model.history is not None),
    ledger.postings,
    account_events.account_events,
)
"""Every table to which lines are only ever added."""


def _listeners() -> dict[type, tuple[Project, ...]]:
    found: dict[type, tuple[Project, ...]] = {}
    for slice_ in (
        orders,
        payments,
        refunds,
        disputes,
        payment_methods,
        subscriptions,
        entitlements,
        products,
        deadlines,
        discounts,
        promo_codes,
        promo_uses,
        grants,
        balances,
        customers,
    ):
        project: Project = slice_.project
        hears: tuple[type, ...] = slice_.HEARS
        for event_type in hears:
            found[event_type] = (*found.get(event_type, ()), project)
    return found


LISTENERS = _listeners()
"""Which read models hear of which event; outcomes of commands, which are told where they stand, come beside it."""


class Place(NamedTuple):
    """Where a record stands in its topic."""

    partition: int
    offset: int


class Row(msgspec.Struct, kw_only=True):
    """What a batch changes in one row. `creates`: the values make a whole row, which may be inserted."""

    values: dict[str, Any]
    creates: bool
    updated_at: datetime


class Batch:
    """Changes of some records of the log, ready to be merged into the tables. Pure: it knows no database."""

    def __init__(self) -> None:
        self.rows: dict[ReadModel, dict[Key, Row]] = {}
        self.lines: dict[Table, list[tuple[Any, ...]]] = {}
        self.booked: list[tuple[EventRecord, Place]] = []
        """Events that the books take note of: they are posted when the sales that they touch are known."""
        self.pending: dict[str, tuple[Any, ...]] = {}

    def add_event(self, event: EventRecord, place: Place) -> None:
        """Take in one event with its place in the log."""
        kind = type(event.data)
        told = (
            event.key,
            event.sequence,
            event.id,
            event.type,
            event.time,
            event.actor,
            event.command_id,
            event.correlation_id,
            place.partition,
            place.offset,
            event.body,
        )
        self.lines.setdefault(account_events.account_events, []).append(told)
        if kind in _OUTCOMES:
            for change in commands.project(event, *place):
                self._apply(change, event, place)
            return
        for project in LISTENERS.get(kind, ()):
            for change in project(event):
                self._apply(change, event, place)
        if kind in ledger.HEARS:
            self.booked.append((event, place))

    def post(self, books: dict[str, Books]) -> None:
        """Write the entries of the events that are to be booked; `books` are the sales that they may touch.

        A sale that several events touch becomes one row, as the last of them leaves it; so does a schedule.
        """
        sales: dict[Key, tuple[Sale, str, datetime]] = {}
        schedules: dict[Key, tuple[Schedule, str, datetime]] = {}
        for event, place in self.booked:
            account, at = event.key, event.time
            before = books.get(account, {})
            entry = journal.post(before, event.data, at)
            books[account] = journal.after(before, entry)
            if entry.postings:
                self.lines.setdefault(ledger.postings, []).extend(ledger.postings_of(entry, event, *place))
            for sale in entry.sales:
                sales[(sale.order_id,)] = (sale, account, at)
            for schedule in entry.schedules:
                schedules[(schedule.id,)] = (schedule, account, at)
        self.booked = []
        if sales:
            self.rows[ledger.SALES] = {
                key: Row(values=ledger.sale_row(sale, account), creates=True, updated_at=at)
                for key, (sale, account, at) in sales.items()
            }
        if schedules:
            self.rows[ledger.SCHEDULES] = {
                key: Row(values=ledger.schedule_row(schedule, account), creates=True, updated_at=at)
                for key, (schedule, account, at) in schedules.items()
            }

    def add_command(self, command: CommandRecord, offset: int, misplaced: str | None = None) -> None:
        """Take in a command without its outcome; of repeats, the first one counts. See commands.pending_row."""
        self.pending.setdefault(command.id, commands.pending_row(command, offset, misplaced))

    def size(self) -> int:
        """Return the number of rows and lines to be written."""
        return (
            len(self.pending)
            + len(self.booked)
            + sum(len(rows) for rows in self.rows.values())
            + sum(len(lines) for lines in self.lines.values())
        )

    def settle(self) -> None:
        """Give outcomes of this batch the time at which their commands, in this batch too, were received."""
        outcomes = self.rows.get(commands.MODEL)
        if not outcomes:
            return
        for key, outcome in outcomes.items():
            row = self.pending.pop(key[0], None)
            if row is not None:
                outcome.values["received_at"] = row[commands.RECEIVED_AT]
                outcome.values["received_offset"] = row[commands.RECEIVED_OFFSET]

    def _apply(self, change: Change, event: EventRecord, place: Place) -> None:
        """Lay a change over its row, and note it; this runs for every event, so it looks up everything once."""
        model, values = change.model, change.values
        if values:
            rows = self.rows.get(model)
            if rows is None:
                rows = self.rows[model] = {}
            row = rows.get(change.key)
            if row is None:
                rows[change.key] = Row(values=values, creates=change.creates, updated_at=event.time)
            else:
                merge(row.values, values, model)
                row.creates = row.creates or change.creates
                row.updated_at = event.time
        noted = values if change.noted is None else change.noted
        history = model.history
        if not noted or history is None:
            return
        lines = self.lines.get(history)
        if lines is None:
            lines = self.lines[history] = []
        lines.append(
            (
                event.key,
                change.entity,
                event.sequence,
                event.id,
                event.type,
                place.partition,
                place.offset,
                event.time,
                event.actor,
                event.command_id,
                to_json(noted),
            )
        )


def merge(values: dict[str, Any], newer: dict[str, Any], model: ReadModel) -> None:
    """Lay newer values over a row in memory, as the table's own merge would do it."""
    if not model.merge:
        values.update(newer)
        return
    for column, value in newer.items():
        before = values.get(column)
        how = model.merge.get(column, Merge.SET)
        if how is Merge.ADD and before is not None:
            values[column] = before + value
        elif how is Merge.SET or before is None:
            values[column] = value


def to_json(value: Any) -> str:
    """Return the JSON text of a value made of the domain's types."""
    return _encode(value).decode()
