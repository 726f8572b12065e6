"""Laws of periods: the anchor day is kept, ends only move forward, and no month or day is lost."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import Period, PeriodUnit, end_of

anchors = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
months = st.builds(Period, count=st.integers(1, 120), unit=st.just(PeriodUnit.MONTH))
days = st.builds(Period, count=st.integers(1, 3660), unit=st.just(PeriodUnit.DAY))
MONTH = Period(count=1, unit=PeriodUnit.MONTH)
YEAR = Period(count=12, unit=PeriodUnit.MONTH)


def at(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("anchor", "period", "ends"),
    [
        (at(2030, 1, 31), MONTH, [at(2030, 2, 28), at(2030, 3, 31), at(2030, 4, 30), at(2030, 5, 31)]),
        (at(2028, 1, 31), MONTH, [at(2028, 2, 29), at(2028, 3, 31)]),
        (at(2028, 2, 29), YEAR, [at(2029, 2, 28), at(2030, 2, 28), at(2031, 2, 28), at(2032, 2, 29)]),
        (at(2030, 12, 31), MONTH, [at(2031, 1, 31), at(2031, 2, 28)]),
        (at(2030, 10, 30), Period(count=4, unit=PeriodUnit.MONTH), [at(2031, 2, 28), at(2031, 6, 30)]),
        (at(2028, 2, 28), Period(count=1, unit=PeriodUnit.DAY), [at(2028, 2, 29), at(2028, 3, 1)]),
        (at(2030, 3, 30), Period(count=30, unit=PeriodUnit.DAY), [at(2030, 4, 29), at(2030, 5, 29)]),
    ],
)
def test_examples(anchor: datetime, period: Period, ends: list[datetime]) -> None:
    assert [end_of(anchor, period, number + 1) for number in range(len(ends))] == ends


@given(anchor=anchors, period=months, times=st.integers(1, 36))
def test_a_month_keeps_the_day_of_the_anchor_or_ends_with_the_month(
    anchor: datetime, period: Period, times: int
) -> None:
    end = end_of(anchor, period, times)
    assert end.day == min(anchor.day, calendar.monthrange(end.year, end.month)[1])
    assert end.timetz() == anchor.timetz()
    assert (end.year * 12 + end.month) - (anchor.year * 12 + anchor.month) == period.count * times


@given(anchor=anchors, period=months | days, times=st.integers(0, 36))
def test_every_end_is_later_than_the_one_before(anchor: datetime, period: Period, times: int) -> None:
    assert end_of(anchor, period, times) < end_of(anchor, period, times + 1)
    assert end_of(anchor, period, 0) == anchor


@given(anchor=anchors, later=st.timedeltas(timedelta(0), timedelta(days=400)), period=months | days)
def test_who_pays_later_ends_no_earlier(anchor: datetime, later: timedelta, period: Period) -> None:
    assert end_of(anchor, period) <= end_of(anchor + later, period)


@given(anchor=anchors, count=st.integers(1, 12), times=st.integers(1, 36))
def test_n_periods_are_one_period_that_is_n_times_as_long(anchor: datetime, count: int, times: int) -> None:
    for unit in PeriodUnit:
        short, long = Period(count=count, unit=unit), Period(count=count * times, unit=unit)
        assert end_of(anchor, short, times) == end_of(anchor, long)


@given(anchor=anchors, period=days)
def test_a_day_has_24_hours(anchor: datetime, period: Period) -> None:
    assert end_of(anchor, period) - anchor == timedelta(days=period.count)


@given(anchor=anchors)
def test_a_year_of_months_does_not_drift(anchor: datetime) -> None:
    """36 renewals, each counted from the anchor: the day never slips as it would from end to end."""
    ends = [end_of(anchor, MONTH, number) for number in range(1, 37)]
    assert max(end.day for end in ends) == anchor.day
    assert ends[11] == end_of(anchor, YEAR)
