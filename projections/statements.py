"""The SQL that merges a batch into a table, written once from the table's own definition.

Rows are copied into a temporary table first. Those that are whole are inserted, or laid over the row that is there;
of the others only the columns that changed are set, which a bit for each column tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import JSONB

from projections import commands
from projections.fold import to_json
from projections.model import SCHEMA, Merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Table

    from projections.fold import Row
    from projections.model import ReadModel

HISTORY_COLUMNS = (
    "account",
    "entity_id",
    "sequence",
    "event_id",
    "event_type",
    "partition",
    "offset",
    "at",
    "actor",
    "command_id",
    "changes",
)
UPDATED_AT = "updated_at"


class MergeStatements:
    """How rows come into the table of one read model."""

    def __init__(self, model: ReadModel, schema: str = SCHEMA) -> None:
        table = model.table
        self.stage = f"stage_{table.name}"
        self._keys = tuple(column.name for column in table.primary_key.columns)
        self._columns = tuple(
            column.name for column in table.columns if column.name not in self._keys and column.name != UPDATED_AT
        )
        self._bits = {name: 1 << index for index, name in enumerate(self._columns)}
        self._json = tuple(isinstance(table.columns[name].type, JSONB) for name in self._columns)
        target = _target(table, schema)
        everything = [*self._keys, *self._columns, UPDATED_AT]
        self.create_stage = (
            f"CREATE TEMPORARY TABLE {self.stage} ON COMMIT DELETE ROWS AS "  # noqa: S608  names of our own tables
            f"SELECT {_listed(everything)}, 0::bigint AS changed_bits, false AS is_whole FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY {self.stage} FROM STDIN"
        self.insert = (
            f"INSERT INTO {target} AS present ({_listed(everything)}) "  # noqa: S608
            f"SELECT {_listed(everything)} FROM {self.stage} WHERE is_whole ORDER BY {_listed(self._keys)} "
            f"ON CONFLICT ({_listed(self._keys)}) DO UPDATE SET "
            + ", ".join(_on_conflict(name, model.merge.get(name, Merge.SET)) for name in (*self._columns, UPDATED_AT))
        )
        self.update = (
            f"UPDATE {target} AS present SET "  # noqa: S608
            + "".join(
                f"{quoted(name)} = CASE WHEN changed_bits & {bit} <> 0 "
                f"THEN {self.stage}.{quoted(name)} ELSE present.{quoted(name)} END, "
                for name, bit in self._bits.items()
            )
            + f"{UPDATED_AT} = {self.stage}.{UPDATED_AT} FROM {self.stage} WHERE NOT is_whole AND "
            + " AND ".join(f"present.{quoted(key)} = {self.stage}.{quoted(key)}" for key in self._keys)
        )

    def staged(self, rows: dict[tuple[str, ...], Row]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as the stage takes them."""
        columns, is_json, bits = self._columns, self._json, self._bits
        has_json = any(is_json)
        for key, row in rows.items():
            values = row.values
            fields = [values.get(name) for name in columns]
            if has_json:
                fields = [
                    to_json(value) if encode and value is not None else value
                    for value, encode in zip(fields, is_json, strict=True)
                ]
            changed = 0 if row.creates else sum(bits[name] for name in values)
            yield (*key, *fields, row.updated_at, changed, row.creates)


class PendingStatements:
    """How commands that wait for their outcome come into the table of commands.

    An outcome that came first stays as it is; it only learns when its command was received.
    """

    def __init__(self, schema: str = SCHEMA) -> None:
        target = _target(commands.commands, schema)
        columns = _listed(commands.PENDING_COLUMNS)
        self.create_stage = (
            f"CREATE TEMPORARY TABLE stage_pending ON COMMIT DELETE ROWS AS "  # noqa: S608  names of our own tables
            f"SELECT {columns} FROM {target} WITH NO DATA"
        )
        self.copy = f"COPY stage_pending ({columns}) FROM STDIN"
        self.insert = (
            f"INSERT INTO {target} AS present ({columns}, status, {UPDATED_AT}) "  # noqa: S608
            f"SELECT {columns}, '{commands.PENDING}', received_at FROM stage_pending ORDER BY id "
            "ON CONFLICT (id) DO UPDATE SET received_at = EXCLUDED.received_at WHERE present.received_at IS NULL"
        )


def copy_history(history: Table, schema: str = SCHEMA) -> str:
    """Return the statement that appends lines to a history."""
    return f"COPY {_target(history, schema)} ({_listed(HISTORY_COLUMNS)}) FROM STDIN"


def quoted(name: str) -> str:
    """Return a name of ours as SQL wants it."""
    assert name.replace("_", "").isalnum(), f"{name!r} is not a name of ours"
    return f'"{name}"'


def _target(table: Table, schema: str) -> str:
    return f"{quoted(schema)}.{quoted(table.name)}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _on_conflict(name: str, how: Merge) -> str:
    column = quoted(name)
    match how:
        case Merge.SET:
            return f"{column} = EXCLUDED.{column}"
        case Merge.ADD:
            return f"{column} = present.{column} + EXCLUDED.{column}"
        case Merge.KEEP:
            return f"{column} = COALESCE(present.{column}, EXCLUDED.{column})"
