"""What stands in the journal: postings, and schedules of postings that time makes.

Both name the ledger account that is debited and the one that is credited, with one amount: there is no way to write
something that does not balance.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NewType

from domain.ids import OrderId, Resource, SubscriptionId
from domain.ledger.accounts import LedgerAccount
from domain.money import Money
from domain.records import dataclass

ScheduleId = NewType("ScheduleId", str)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """An amount above zero that is debited to one ledger account and credited to another."""

    debit: LedgerAccount
    credit: LedgerAccount
    amount: Money
    order_id: OrderId | None = None
    """The order that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An amount that goes from one ledger account to another evenly between two moments.

    How much has gone by a moment is `amount × time passed ÷ whole time`, rounded down to the minor unit: what a day
    brings is the difference between two such sums, so that all days together bring exactly the amount. Nothing goes
    before `since`, the event that opened it, nor after `until`, the event that closed it: the past never changes.
    """

    id: ScheduleId
    debit: LedgerAccount
    credit: LedgerAccount
    amount: Money
    starts_at: datetime
    ends_at: datetime
    since: datetime
    until: datetime | None = None
    order_id: OrderId
    resource: Resource
    subscription_id: SubscriptionId | None = None
    monthly: int = 0
    """Minor units that an average month of it brings, for what recurs by the month."""


def moved(schedule: Schedule, moment: datetime) -> int:
    """Return the minor units that have gone by a moment."""
    if moment < schedule.since:
        return 0
    return reached(schedule, moment if schedule.until is None else min(moment, schedule.until))


def reached(schedule: Schedule, moment: datetime) -> int:
    """Return the part for the time up to a moment, whenever the schedule was opened or closed."""
    if moment >= schedule.ends_at:
        return schedule.amount.amount
    if moment <= schedule.starts_at:
        return 0
    passed = (moment - schedule.starts_at) // _MICROSECOND
    return schedule.amount.amount * passed // ((schedule.ends_at - schedule.starts_at) // _MICROSECOND)
