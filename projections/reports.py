"""Reports for those who keep the books: revenue by day, recurring revenue and customers, what dunning brought back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, exists, func, or_, select, true

from domain.ledger.accounts import (
    CREDITS_GRANTED,
    DEFERRED_REVENUE,
    DISCOUNTS,
    DISPUTES,
    EARNED_REVENUE,
    REFUNDS,
)
from domain.orders.state import OPEN_STATUSES, OrderPurpose
from domain.payments.state import PaymentStatus
from domain.subscriptions.events import SubscriptionStarted
from projections import subscriptions as subscriptions_model
from projections.ledger import postings, schedules
from projections.ledger_queries import moved_by
from projections.orders import orders
from projections.payments import payments
from projections.subscriptions import subscriptions
from schemas.messages import TYPE_OF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

DAYS_MAX = 366
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Whole days of UTC, the last one not included."""

    begin: date
    end: date

    def __post_init__(self) -> None:
        assert 0 < (self.end - self.begin).days <= DAYS_MAX, f"a report has 1 to {DAYS_MAX} days"

    @property
    def starts(self) -> datetime:
        """When the first day begins."""
        return midnight(self.begin)

    @property
    def ends(self) -> datetime:
        """When the last day is over."""
        return midnight(self.end)

    def __iter__(self) -> Iterator[date]:
        return (self.begin + number * _DAY for number in range((self.end - self.begin).days))


REVENUE = (EARNED_REVENUE, DISCOUNTS, REFUNDS, DISPUTES, CREDITS_GRANTED)
"""The ledger accounts whose changes make the net revenue."""


def midnight(day: date) -> datetime:
    """Return the moment at which a day of UTC begins."""
    return datetime.combine(day, time(), UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenueDay:
    """What was earned on one day in one currency: `net` is `earned` less the others."""

    day: date
    currency: str
    earned: int
    discounts: int
    refunds: int
    disputes: int
    credits: int
    """Granted onto balances for nothing, less what was taken back."""
    net: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """What the periods that are paid and run bring in an average month, in one currency."""

    currency: str
    monthly: int
    subscriptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionsReport:
    """`active` and `recurring` are at the end of the days; `churn_basis_points` is `ended` of `active_before`."""

    active_before: int
    started: int
    ended: int
    active: int
    churn_basis_points: int | None
    recurring: tuple[Recurring, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dunning:
    """Renewals that were declined at least once, in one currency, by how they ended."""

    currency: str
    recovered: int
    recovered_amount: int
    lost: int
    lost_amount: int
    open: int
    open_amount: int


async def revenue(connection: AsyncConnection, days: Days) -> tuple[RevenueDay, ...]:
    """Return each day with its revenue by currency; a day on which nothing was earned or given back has no line.

    What a day brings is the difference between two sums, so that the days of a period bring exactly its price.
    """
    amounts: dict[str, Counter[tuple[date, str]]] = {name: Counter() for name in REVENUE}
    for row in [*await _posted(connection, days), *await _earned_by_time(connection, days)]:
        for leg, sign in ((row.debit, -1), (row.credit, 1)):
            if leg in amounts:
                grows = sign if leg == EARNED_REVENUE else -sign
                amounts[leg][row.day, row.currency] += grows * int(row.amount)
    keys = sorted({key for counter in amounts.values() for key, amount in counter.items() if amount})
    return tuple(_revenue_day(key, amounts) for key in keys)


def _revenue_day(key: tuple[date, str], amounts: dict[str, Counter[tuple[date, str]]]) -> RevenueDay:
    earned, discounts, refunds, disputes, credits_granted = (amounts[name][key] for name in REVENUE)
    day, currency = key
    return RevenueDay(
        day=day,
        currency=currency,
        earned=earned,
        discounts=discounts,
        refunds=refunds,
        disputes=disputes,
        credits=credits_granted,
        net=earned - discounts - refunds - disputes - credits_granted,
    )


async def _posted(connection: AsyncConnection, days: Days) -> list[Any]:
    day = func.date(func.timezone("UTC", postings.c.at)).label("day")
    income = REVENUE
    statement = (
        select(
            day, postings.c.debit, postings.c.credit, postings.c.currency, func.sum(postings.c.amount).label("amount")
        )
        .where(
            postings.c.at >= days.starts,
            postings.c.at < days.ends,
            or_(postings.c.debit.in_(income), postings.c.credit.in_(income)),
        )
        .group_by(day, postings.c.debit, postings.c.credit, postings.c.currency)
    )
    return list(await connection.execute(statement))


async def _earned_by_time(connection: AsyncConnection, days: Days) -> list[Any]:
    """A schedule has a line for each of the days on which it moves something."""
    table = schedules.c
    over = func.least(table.until, table.ends_at)
    first = func.greatest(days.starts, func.date_trunc("day", table.since, "UTC"))
    last = func.least(days.ends - _DAY, func.greatest(over, table.since))
    starts = func.generate_series(first, last, _DAY, "UTC").table_valued("starts", name="days").render_derived()
    begin = starts.c.starts
    before = case((begin > table.since, moved_by(begin)), else_=0)
    amount = moved_by(begin + _DAY) - before
    day = func.date(func.timezone("UTC", begin)).label("day")
    statement = (
        select(day, table.debit, table.credit, table.currency, func.sum(amount).label("amount"))
        .select_from(schedules.join(starts, true()))
        .where(table.since < days.ends, or_(over > days.starts, table.since >= days.starts))
        .group_by(day, table.debit, table.credit, table.currency)
    )
    return list(await connection.execute(statement))


async def subscriptions_report(connection: AsyncConnection, days: Days) -> SubscriptionsReport:
    """Return how many customers' subscriptions began, ended and run, and what they bring in a month."""

    history = subscriptions_model.MODEL.history
    assert history is not None
    started, ended = history.c.at, subscriptions.c.ended_at

    def running_at(moment: datetime) -> Any:
        return and_(started <= moment, or_(ended.is_(None), ended > moment))

    statement = (
        select(
            func.count().filter(running_at(days.starts)).label("active_before"),
            func.count().filter(running_at(days.ends)).label("active"),
            func.count().filter(_within(started, days)).label("started"),
            func.count().filter(_within(ended, days)).label("ended"),
        )
        .select_from(subscriptions.join(history, history.c.entity_id == subscriptions.c.id))
        .where(history.c.account == subscriptions.c.account, history.c.event_type == TYPE_OF[SubscriptionStarted])
    )
    counts = (await connection.execute(statement)).one()
    churned = None if counts.active_before == 0 else counts.ended * 10_000 // counts.active_before
    return SubscriptionsReport(
        active_before=counts.active_before,
        started=counts.started,
        ended=counts.ended,
        active=counts.active,
        churn_basis_points=churned,
        recurring=await recurring(connection, days.ends),
    )


async def recurring(connection: AsyncConnection, at: datetime) -> tuple[Recurring, ...]:
    """Return the monthly recurring revenue at a moment: of periods that are paid and run, after discounts."""
    table = schedules.c
    statement = (
        select(
            table.currency,
            func.sum(table.monthly).label("monthly"),
            func.count(table.subscription_id.distinct()).label("subscriptions"),
        )
        .where(
            table.since <= at,
            table.starts_at <= at,
            table.ends_at > at,
            or_(table.until.is_(None), table.until > at),
            table.debit == DEFERRED_REVENUE,
            table.subscription_id.is_not(None),
        )
        .group_by(table.currency)
        .order_by(table.currency)
    )
    return tuple(
        Recurring(currency=row.currency, monthly=int(row.monthly), subscriptions=row.subscriptions)
        for row in await connection.execute(statement)
    )


async def dunning(connection: AsyncConnection, days: Days) -> tuple[Dunning, ...]:
    """Return the renewals of these days that were declined at least once: by when they were ordered."""
    declined = exists().where(payments.c.order_id == orders.c.id, payments.c.status == PaymentStatus.FAILED)
    is_paid, is_open = orders.c.paid_at.is_not(None), orders.c.status.in_(tuple(OPEN_STATUSES))
    columns = []
    for name, condition in (
        ("recovered", is_paid),
        ("lost", and_(orders.c.paid_at.is_(None), ~is_open)),
        ("open", is_open),
    ):
        columns += [
            func.count().filter(condition).label(name),
            func.coalesce(func.sum(orders.c.total).filter(condition), 0).label(f"{name}_amount"),
        ]
    statement = (
        select(orders.c.currency, *columns)
        .where(orders.c.purpose == OrderPurpose.RENEWAL, _within(orders.c.placed_at, days), declined)
        .group_by(orders.c.currency)
        .order_by(orders.c.currency)
    )
    return tuple(
        Dunning(
            currency=row.currency,
            recovered=row.recovered,
            recovered_amount=int(row.recovered_amount),
            lost=row.lost,
            lost_amount=int(row.lost_amount),
            open=row.open,
            open_amount=int(row.open_amount),
        )
        for row in await connection.execute(statement)
    )


def _within(column: Any, days: Days) -> Any:
    return and_(column >= days.starts, column < days.ends)
