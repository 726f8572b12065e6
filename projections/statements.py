"""The SQL that merges a batch into a table, written once from the table's own definition.

Rows are copied into a temporary table first, or come as arrays where they are few. Those that are whole are inserted,
or laid over the row that is there; of the others only the columns that changed are set, which a bit for each tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import PGDialect

from infra.postgres.csv_lines import OPTIONS
from projections import commands
from projections.fold import to_json
from projections.model import SCHEMA, Merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Table

    from projections.fold import Row
    from projections.model import ReadModel

UPDATED_AT = "updated_at"
_TEXTS = frozenset({"TEXT", "JSONB"})
_DIALECT = PGDialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


class MergeStatements:
    """How rows come into the table of one read model: `insert` and `update`, from a given source of staged rows."""

    def __init__(self, model: ReadModel, schema: str = SCHEMA) -> None:
        table = model.table
        self.stage = f"stage_{table.name}"
        self._keys = tuple(column.name for column in table.primary_key.columns)
        self._columns = tuple(
            column.name for column in table.columns if column.name not in self._keys and column.name != UPDATED_AT
        )
        self._bits = {name: 1 << index for index, name in enumerate(self._columns)}
        self._json = [index for index, name in enumerate(self._columns) if isinstance(table.columns[name].type, JSONB)]
        self._target = _target(table, schema)
        self._merge = model.merge
        everything = (*self._keys, *self._columns, UPDATED_AT)
        self._everything = _listed(everything)
        self.create_stage = (
            f"CREATE TEMPORARY TABLE {self.stage} ON COMMIT DELETE ROWS AS SELECT {self._everything}, "  # noqa: S608
            f"0::bigint AS changed_bits, false AS is_whole FROM {self._target} WITH NO DATA"
        )
        self.copy = f"COPY {self.stage} FROM STDIN {OPTIONS}"
        types = [*(_type(table, name) for name in everything), "bigint", "boolean"]
        self.some = Arrays((*everything, "changed_bits", "is_whole"), types, self.stage)
        self.insert = self._insert(self.stage)
        self.insert_some = self._insert(self.some.source)
        self.update = self._update(self.stage)
        self.update_some = self._update(self.some.source)

    def _insert(self, source: str) -> str:
        updates = (_on_conflict(name, self._merge.get(name, Merge.SET)) for name in (*self._columns, UPDATED_AT))
        return (
            f"INSERT INTO {self._target} AS present ({self._everything}) "  # noqa: S608  names of our own tables
            f"SELECT {self._everything} FROM {source} WHERE is_whole ORDER BY {_listed(self._keys)} "
            f"ON CONFLICT ({_listed(self._keys)}) DO UPDATE SET {', '.join(updates)}"
        )

    def _update(self, source: str) -> str:
        columns = (
            f"{quoted(name)} = CASE WHEN changed_bits & {bit} <> 0 "
            f"THEN {self._changed(name)} ELSE present.{quoted(name)} END, "
            for name, bit in self._bits.items()
        )
        keys = (f"present.{quoted(key)} = {self.stage}.{quoted(key)}" for key in self._keys)
        return (
            f"UPDATE {self._target} AS present SET {''.join(columns)} "  # noqa: S608  names of our own tables
            f"{UPDATED_AT} = {self.stage}.{UPDATED_AT} FROM {source} WHERE NOT is_whole AND {' AND '.join(keys)}"
        )

    def _changed(self, name: str) -> str:
        """What a column becomes in a row that is there: what adds up in memory adds up in the table, too."""
        newer = f"{self.stage}.{quoted(name)}"
        return f"present.{quoted(name)} + {newer}" if self._merge.get(name) is Merge.ADD else newer

    def staged(self, rows: dict[tuple[str, ...], Row]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows as the stage takes them."""
        columns, json_columns, bits = self._columns, self._json, self._bits
        for key, row in rows.items():
            values = row.values
            fields = [values.get(name) for name in columns]
            for index in json_columns:
                if fields[index] is not None:
                    fields[index] = to_json(fields[index])
            changed = 0 if row.creates else sum(bits[name] for name in values)
            yield (*key, *fields, row.updated_at, changed, row.creates)


class PendingStatements:
    """How commands without an outcome come into the table of commands.

    An outcome that came first stays as it is; it only learns when its command was received.
    """

    def __init__(self, schema: str = SCHEMA) -> None:
        self._target = _target(commands.commands, schema)
        self._columns = _listed(commands.PENDING_COLUMNS)
        stage = "stage_pending"
        self.create_stage = (
            f"CREATE TEMPORARY TABLE {stage} ON COMMIT DELETE ROWS AS "  # noqa: S608  names of our own tables
            f"SELECT {self._columns} FROM {self._target} WITH NO DATA"
        )
        self.copy = f"COPY {stage} ({self._columns}) FROM STDIN {OPTIONS}"
        types = [_type(commands.commands, name) for name in commands.PENDING_COLUMNS]
        self.some = Arrays(commands.PENDING_COLUMNS, types, stage)
        self.insert = self._insert(stage)
        self.insert_some = self._insert(self.some.source)

    def _insert(self, source: str) -> str:
        return (
            f"INSERT INTO {self._target} AS present ({self._columns}, {UPDATED_AT}) "  # noqa: S608
            f"SELECT {self._columns}, received_at FROM {source} ORDER BY id "
            "ON CONFLICT (id) DO UPDATE SET received_at = EXCLUDED.received_at, "
            "received_offset = EXCLUDED.received_offset WHERE present.received_at IS NULL"
        )


class AppendStatements:
    """How lines come into a table to which lines are only ever added."""

    def __init__(self, table: Table, schema: str = SCHEMA) -> None:
        target, names = _target(table, schema), [column.name for column in table.columns]
        columns = _listed(names)
        self.copy = f"COPY {target} ({columns}) FROM STDIN {OPTIONS}"
        self.some = Arrays(names, [_type(table, name) for name in names], "lines")
        self.insert_some = f"INSERT INTO {target} ({columns}) SELECT * FROM {self.some.source}"  # noqa: S608


class Arrays:
    """Some rows as parameters of a statement, one array for each column: cheaper than a stage where rows are few."""

    def __init__(self, columns: Sequence[str], types: Sequence[str], name: str) -> None:
        casts = ", ".join(f"%s::{type_}[]" for type_ in types)
        self.source = f"unnest({casts}) AS {name} ({_listed(columns)})"
        self._is_text = [type_ in _TEXTS for type_ in types]

    def parameters(self, rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
        """Return the columns of the rows. Texts lose their subclasses, of which an array may not have several."""
        return [
            [None if value is None else str(value) for value in column] if is_text else list(column)
            for column, is_text in zip(zip(*rows, strict=True), self._is_text, strict=True)
        ]


def quoted(name: str) -> str:
    """Return a name of ours as SQL wants it."""
    assert name.replace("_", "").isalnum(), f"{name!r} is not a name of ours"
    return f'"{name}"'


def _target(table: Table, schema: str) -> str:
    return f"{quoted(schema)}.{quoted(table.name)}"


def _type(table: Table, column: str) -> str:
    return str(table.columns[column].type.compile(dialect=_DIALECT))


def _listed(names: Sequence[str]) -> str:
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
