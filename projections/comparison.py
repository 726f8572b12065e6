"""Two schemas of read models against each other, row by row. PostgreSQL joins them: it needs no memory of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from projections.statements import quoted

if TYPE_CHECKING:
    from typing import LiteralString

    import psycopg
    from sqlalchemy import Table

EXAMPLES_MAX = 20
"""Rows of one table that are named; all are counted."""
ONLY_SERVED = "only in the served one"
ONLY_REBUILT = "only in the rebuilt one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that is not the same in both. What it says is not told: it is about customers."""

    table: str
    key: tuple[str, ...]
    what: str
    """Where the row is alone, or the names of the columns that differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableComparison:
    """How one table compares: how many rows the rebuilt one has, and how many are not the same in both."""

    table: str
    rows: int
    differing: int
    examples: tuple[Difference, ...]


async def compare_table(
    connection: psycopg.AsyncConnection[Any], table: Table, *, served: str, rebuilt: str
) -> TableComparison:
    """Compare the rows of a table in two schemas, as the connection's snapshot has them. Raises psycopg.Error."""
    counted = await connection.execute(f"SELECT count(*) FROM {quoted(rebuilt)}.{quoted(table.name)}")  # noqa: S608
    (rows,) = await counted.fetchone() or (0,)
    cursor = await connection.execute(_statement(table, served, rebuilt))
    found = await cursor.fetchall()
    return TableComparison(
        table=table.name,
        rows=rows,
        differing=found[0][0] if found else 0,
        examples=tuple(
            Difference(
                table=table.name,
                key=tuple(key),
                what=ONLY_REBUILT if no_served else ONLY_SERVED if no_rebuilt else ", ".join(columns),
            )
            for _, key, no_served, no_rebuilt, columns in found
        ),
    )


def _statement(table: Table, served: str, rebuilt: str) -> LiteralString:
    keys = [quoted(column.name) for column in table.primary_key.columns]
    columns = [column.name for column in table.columns]
    no_served, no_rebuilt = f"served.{keys[0]} IS NULL", f"rebuilt.{keys[0]} IS NULL"
    differing = ", ".join(
        f"CASE WHEN served.{quoted(name)} IS DISTINCT FROM rebuilt.{quoted(name)} THEN '{name}' END" for name in columns
    )
    key = ", ".join(f"COALESCE(served.{name}, rebuilt.{name})::text" for name in keys)
    return (
        f"SELECT count(*) OVER (), ARRAY[{key}], {no_served}, {no_rebuilt}, "  # noqa: S608  names of our own tables
        f"array_remove(ARRAY[{differing}], NULL) "
        f"FROM {quoted(served)}.{quoted(table.name)} AS served "
        f"FULL JOIN {quoted(rebuilt)}.{quoted(table.name)} AS rebuilt USING ({', '.join(keys)}) "
        f"WHERE {no_served} OR {no_rebuilt} "
        f"OR ({_row('served', columns)}) IS DISTINCT FROM ({_row('rebuilt', columns)}) "
        f"ORDER BY {', '.join(keys)} LIMIT {EXAMPLES_MAX}"
    )


def _row(alias: str, columns: list[str]) -> str:
    return ", ".join(f"{alias}.{quoted(name)}" for name in columns)
