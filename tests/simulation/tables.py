"""Read models in memory: rows and positions of the projector, written together or not at all.

The SQL of the projector runs in the tests on PostgreSQL. Here its pure part runs (`projections.fold`), and these tables
do with a batch what the statements of `projections.statements` do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from projections import commands
from projections.fold import Batch, Place
from projections.model import Merge
from schemas.envelope import read_event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Table

    from infra.memory.log import StoredRecord
    from projections.fold import Row
    from projections.model import ReadModel

Key = tuple[str, ...]


class PositionTakenError(Exception):
    """Somebody else has moved the partition."""


@dataclass(slots=True)
class Tables:
    """All rows by read model and key, and the next offset of each partition."""

    rows: dict[str, dict[Key, dict[str, Any]]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    by_account: dict[tuple[str, str], dict[Key, dict[str, Any]]] = field(default_factory=dict)
    """Rows by read model and account, as an index finds them."""

    def write(self, batch: Batch, partition: int, *, expected: int, reached: int) -> None:
        """Write a batch and the offset behind it. Raises PositionTakenError when another writer was there before."""
        if self.positions.get(partition, 0) != expected:
            raise PositionTakenError(f"partition {partition} is not at {expected}")
        for model, rows in batch.rows.items():
            table = self.rows.setdefault(model.table.name, {})
            for key, row in rows.items():
                self._merge(model, table, key, row)
        self.positions[partition] = reached

    def of(self, model: str, account: str) -> list[dict[str, Any]]:
        """Return the rows of an account."""
        return list(self.by_account.get((model, account), {}).values())

    def _merge(self, model: ReadModel, table: dict[Key, dict[str, Any]], key: Key, row: Row) -> None:
        present = table.get(key)
        if present is None:
            if row.creates:
                table[key] = {**dict(zip(_key_names(model.table), key, strict=True)), **row.values}
                account = table[key].get("account", key[0])
                self.by_account.setdefault((model.table.name, account), {})[key] = table[key]
            return
        for column, value in row.values.items():
            how = model.merge.get(column, Merge.SET)
            if how is Merge.ADD:
                present[column] = present[column] + value
            elif how is Merge.SET or present.get(column) is None:
                present[column] = value


@cache
def _key_names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


def fold(records: Iterable[StoredRecord]) -> Batch:
    """Return the changes that some events make."""
    batch = Batch()
    for record in records:
        event = read_event(record.key, record.value, [*record.headers])
        batch.add_event(event, Place(record.partition, record.offset))
    batch.rows.pop(commands.MODEL, None)
    batch.lines.clear()
    return batch
