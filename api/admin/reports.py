"""Reports for managers. Days are whole days of UTC; `until` is the first day that is not included."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api import docs
from api.dependencies import CurrentManager, Now, Reader
from api.problems import Problem
from projections import reports
from projections.reports import DAYS_MAX, Days
from schemas.http.fields import ItemsAnswer
from schemas.http.ledger import DunningAnswer, RevenueDayAnswer, SubscriptionsReportAnswer

router = APIRouter(prefix="/v1/admin/reports", tags=["admin: books"])

_DAYS_DEFAULT = 30


async def _days(
    now: Now,
    since: Annotated[date | None, Query(description="The first day. Default: 30 days.")] = None,
    until: Annotated[date | None, Query(description="The day after the last. Default: tomorrow.")] = None,
) -> Days:
    """Raises Problem where there is no day, or there are too many."""
    try:
        end = until or now.date() + timedelta(days=1)
        begin = since or end - timedelta(days=_DAYS_DEFAULT)
    except OverflowError:
        begin = end = date.min
    if not 0 < (end - begin).days <= DAYS_MAX or end == date.max:
        detail = f"`until` must be 1 to {DAYS_MAX} days after `since`."
        raise Problem("query_invalid", detail, extra={"errors": [{"parameter": "until", "detail": detail}]})
    return Days(begin=begin, end=end)


DaysDep = Annotated[Days, Depends(_days)]


@router.get("/revenue", **docs.query(403))
async def read_revenue(_manager: CurrentManager, connection: Reader, days: DaysDep) -> ItemsAnswer[RevenueDayAnswer]:
    """Revenue by day and currency, as it was earned; days with none are left out."""
    found = await reports.revenue(connection, days)
    return ItemsAnswer(items=tuple(RevenueDayAnswer(**asdict(row)) for row in found))


@router.get("/subscriptions", **docs.query(403))
async def read_subscriptions(_manager: CurrentManager, connection: Reader, days: DaysDep) -> SubscriptionsReportAnswer:
    """Subscriptions that began, ended and run, their churn, and the monthly recurring revenue."""
    return SubscriptionsReportAnswer.model_validate(asdict(await reports.subscriptions_report(connection, days)))


@router.get("/dunning", **docs.query(403))
async def read_dunning(_manager: CurrentManager, connection: Reader, days: DaysDep) -> ItemsAnswer[DunningAnswer]:
    """What became of the renewals that were declined: recovered, lost, or still tried."""
    found = await reports.dunning(connection, days)
    return ItemsAnswer(items=tuple(DunningAnswer(**asdict(row)) for row in found))
