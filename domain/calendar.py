"""The one rule for periods: calendar months keep their anchor day, days are days of 24 hours of UTC."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from enum import StrEnum

from domain.records import dataclass


class PeriodUnit(StrEnum):
    """What a period is counted in."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A length of paid time, such as 1 month or 30 days."""

    count: int
    unit: PeriodUnit


def end_of(anchor: datetime, period: Period, times: int = 1) -> datetime:
    """Return the end of the `times`-th period counted from the anchor.

    Months are counted from the anchor, never from the last end, so that 31 January gives 28 February and then
    31 March; a day that a month lacks becomes its last day. The time of day stays as it is in UTC.
    """
    if period.unit is PeriodUnit.DAY:
        return anchor + timedelta(days=period.count * times)
    months = anchor.month - 1 + period.count * times
    year, month = anchor.year + months // 12, months % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))
