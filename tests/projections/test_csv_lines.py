"""Whatever a row holds, PostgreSQL reads it from the projector's lines as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.postgres.csv_lines import OPTIONS, csv_lines

if TYPE_CHECKING:
    from tests.stack import Stack

_TEXTS = st.text(
    st.one_of(
        st.sampled_from('\\",\n\r\t\b\f\x1f\x7f.N]['), st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    )
) | st.sampled_from(["null", "\\N", "\\.", "\n\\.\n", "]\n[", "\\n", "\\u0041", '{"a":"\\"\\n"}', ""])
_MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(timezone(timedelta(hours=3))))  # noqa: DTZ001  naive bounds
_ROWS = st.lists(
    st.tuples(
        _TEXTS | st.none(),
        st.integers(-(2**63), 2**63 - 1) | st.none(),
        st.booleans() | st.none(),
        _MOMENTS | st.none(),
    ),
    min_size=1,
)


@given(rows=_ROWS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_read_back_as_they_were(stack: Stack, rows: list[tuple[str, int, bool, datetime]]) -> None:
    with psycopg.connect(stack.database_url) as connection:
        _copy(connection, csv_lines(rows))
        found = connection.execute("SELECT words, number, flag, moment FROM stage ORDER BY place").fetchall()
    assert found == [(*row[:3], row[3] and row[3].astimezone(UTC)) for row in rows]


def test_what_no_database_holds_is_a_fault_of_the_data(stack: Stack) -> None:
    with psycopg.connect(stack.database_url) as connection:
        with pytest.raises(psycopg.DataError):
            _copy(connection, csv_lines([("a\0b", 2, None, None)]))
        connection.rollback()
        with pytest.raises(psycopg.DataError):
            _copy(connection, csv_lines([("a", 2**64, None, None)]))
    with pytest.raises(UnicodeError):
        csv_lines([("\ud800",)])


def _copy(connection: psycopg.Connection, lines: bytes) -> None:
    connection.execute("SET timezone = 'UTC'")
    connection.execute(
        "CREATE TEMPORARY TABLE stage (place serial, words text, number bigint, flag boolean, moment timestamptz)"
    )
    statement = f"COPY stage (words, number, flag, moment) FROM STDIN {OPTIONS}"
    with connection.cursor().copy(statement.encode()) as copy:
        copy.write(lines)
