"""Writes a folded batch and the offsets after it in one transaction of PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg

from infra.logging import get_logger
from infra.postgres.csv_lines import csv_lines
from infra.postgres.deadline import within
from infra.postgres.engine import connect
from projections.fold import APPENDED, READ_MODELS
from projections.ledger import books_of, books_parameters, books_statement
from projections.model import SCHEMA
from projections.positions import channel_of
from projections.statements import AppendStatements, MergeStatements, PendingStatements, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import LiteralString, Self

    from projections.fold import Batch

log = get_logger(__name__)

WRITE_DEADLINE_S = 30.0
READ_DEADLINE_S = 10.0
IDLE_TRANSACTION_TIMEOUT_MS = 5_000
"""A projector that is frozen inside a transaction lets its partitions go after that."""
TRANSACTION_TIMEOUT_MS = 15_000
"""Likewise where it is frozen in the middle of a pipeline: the server does not take that for idle. Many times what a
batch takes; PostgreSQL has it from 17 on."""
SOME_ROWS_MAX = 200
"""Above it, copying into temporary tables costs less than arrays."""
COPIED_AT_ONCE = 200
"""Rows that are written for the server at once; larger blocks cost libpq more."""
APPLICATION_NAME = "billing-projector"
_LIMIT_EXCEEDED = "54"
"""The class of SQLSTATEs for a value that is too big for an index or a row; psycopg calls these operational."""

Partition = tuple[str, int]
"""Topic and partition number."""
Update = tuple[str, int, psycopg.AsyncCursor[Any]]
"""A table, how many rows of it were to be changed, and what will tell how many were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A partition is taken from `expected`, the next offset so far, to `reached`."""

    topic: str
    partition: int
    expected: int
    reached: int


class PositionTakenError(Exception):
    """Another projector has moved a partition meanwhile. Nothing was written."""


def is_fault_of_data(error: BaseException) -> bool:
    """Tell whether the error comes from what was to be written, so that writing it again would fail again."""
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError | UnicodeError):
        return True
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_LIMIT_EXCEEDED)


class Writer:
    """One connection, with the temporary tables that batches are merged from."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], *, schema: str = SCHEMA) -> None:
        self._connection = connection
        self._positions = f"{quoted(schema)}.positions"
        self._schema = schema
        self._channel = channel_of(schema)
        self._merges = {model: MergeStatements(model, schema) for model in READ_MODELS}
        self._appends = {table: AppendStatements(table, schema) for table in APPENDED}
        self._books = books_statement(schema)
        self._pending = PendingStatements(schema)

    @classmethod
    async def open(cls, database_url: str, *, schema: str = SCHEMA) -> Self:
        """Connect and prepare. Raises psycopg.Error."""
        connection = await connect(
            database_url, application_name=APPLICATION_NAME, idle_transaction_timeout_ms=IDLE_TRANSACTION_TIMEOUT_MS
        )
        writer = cls(connection, schema=schema)
        try:
            async with within(connection, READ_DEADLINE_S):
                await writer._prepare()
        except BaseException:
            await writer.close()
            raise
        return writer

    async def close(self) -> None:
        """Let go of the connection; a transaction that is open is rolled back by the server."""
        await self._connection.close()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is known to be gone."""
        return self._connection.closed

    async def positions(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Return the next offset of each partition; one that was never projected begins at 0. Raises psycopg.Error."""
        wanted = sorted(partitions)
        topics, numbers = [topic for topic, _ in wanted], [number for _, number in wanted]
        async with within(self._connection, READ_DEADLINE_S):
            await self._execute(
                f"INSERT INTO {self._positions} SELECT topic, partition, 0 "  # noqa: S608  names of our own tables
                "FROM unnest(%s::text[], %s::integer[]) AS wanted (topic, partition) ON CONFLICT DO NOTHING",
                (topics, numbers),
            )
            found = await self._execute(
                f"SELECT topic, partition, next_offset FROM {self._positions} "  # noqa: S608
                "JOIN unnest(%s::text[], %s::integer[]) AS wanted (topic, partition) USING (topic, partition)",
                (topics, numbers),
            )
            return {(topic, partition): next_offset for topic, partition, next_offset in await found.fetchall()}

    async def write(self, batch: Batch, moves: Sequence[Move]) -> None:
        """Write everything or nothing.

        Raises PositionTakenError; psycopg.Error or UnicodeError where `is_fault_of_data` tells a batch that cannot be
        written from trouble, after which it is not known whether it was.
        """
        batch.settle()
        write = self._write_some if batch.size() <= SOME_ROWS_MAX else self._write_many
        async with within(self._connection, WRITE_DEADLINE_S):
            missing = await write(batch, moves)
        for table, count in missing.items():
            # Its beginning could not be read and is a dead letter; what follows from it has nowhere to go.
            log.error("projections.rows.missing", table=table, count=count)

    async def _write_many(self, batch: Batch, moves: Sequence[Move]) -> dict[str, int]:
        """Copy and merge: what costs least a row. Return how many rows were not there to be changed, by table.

        Copies need a journey each, during which the next batch is folded; all merges then go in one.
        """
        async with self._connection.transaction():
            await self._compare(moves)
            await self._post(batch)
            for table, lines in batch.lines.items():
                await self._copy(self._appends[table].copy, iter(lines))
            for model, rows in batch.rows.items():
                await self._copy(self._merges[model].copy, self._merges[model].staged(rows))
            if batch.pending:
                await self._copy(self._pending.copy, iter(batch.pending.values()))
            updates: list[Update] = []
            async with self._connection.pipeline():
                for model, rows in batch.rows.items():
                    statements = self._merges[model]
                    whole = sum(row.creates for row in rows.values())
                    if whole:
                        await self._execute(statements.insert, prepare=False)
                    if whole < len(rows):
                        updated = await self._execute(statements.update, prepare=False)
                        updates.append((model.table.name, len(rows) - whole, updated))
                if batch.pending:
                    await self._execute(self._pending.insert, prepare=False)
                await self._set(moves)
        return _missing(updates)

    async def _write_some(self, batch: Batch, moves: Sequence[Move]) -> dict[str, int]:
        """Write few rows with two journeys to the server: one to compare the positions, one for all the rest."""
        updates: list[Update] = []
        async with self._connection.pipeline(), self._connection.transaction():
            await self._compare(moves)
            await self._post(batch)
            for model, rows in batch.rows.items():
                statements = self._merges[model]
                parameters = statements.some.parameters(statements.staged(rows))
                whole = sum(row.creates for row in rows.values())
                if whole:
                    await self._execute(statements.insert_some, parameters)
                if whole < len(rows):
                    updated = await self._execute(statements.update_some, parameters)
                    updates.append((model.table.name, len(rows) - whole, updated))
            if batch.pending:
                await self._execute(self._pending.insert_some, self._pending.some.parameters(batch.pending.values()))
            for table, lines in batch.lines.items():
                append = self._appends[table]
                await self._execute(append.insert_some, append.some.parameters(lines))
            await self._set(moves)
        return _missing(updates)

    async def _prepare(self) -> None:
        # A crash of the server takes rows and offsets back together, and they are folded again: nothing to wait for.
        await self._execute("SET synchronous_commit = off")
        await self._execute(
            "SELECT set_config(name, %s, false) FROM pg_settings WHERE name = 'transaction_timeout'",
            (str(TRANSACTION_TIMEOUT_MS),),
        )
        for statements in self._merges.values():
            await self._execute(statements.create_stage)
        await self._execute(self._pending.create_stage)

    async def _compare(self, moves: Sequence[Move]) -> None:
        """Lock the positions, always in the same order, and see that they are where this batch begins."""
        found = await self._execute(
            f"SELECT topic, partition, next_offset FROM {self._positions} "  # noqa: S608  names of our own tables
            "WHERE (topic, partition) IN (SELECT * FROM unnest(%s::text[], %s::integer[])) "
            "ORDER BY topic, partition FOR UPDATE",
            ([move.topic for move in moves], [move.partition for move in moves]),
        )
        present = {(topic, partition): next_offset for topic, partition, next_offset in await found.fetchall()}
        for move in moves:
            next_offset = present.get((move.topic, move.partition))
            if next_offset != move.expected:
                raise PositionTakenError(
                    f"{move.topic} {move.partition} is at {next_offset}, this batch begins at {move.expected}"
                )

    async def _post(self, batch: Batch) -> None:
        """Make the batch's entries in the books, from the sales as they stand now that the positions are locked."""
        if not batch.booked:
            return
        found = await self._execute(self._books, books_parameters(event for event, _ in batch.booked))
        batch.post(books_of(await found.fetchall()))

    async def _set(self, moves: Sequence[Move]) -> None:
        """Set the positions and tell whoever waits for them, as soon as the transaction commits."""
        await self._execute(
            f"UPDATE {self._positions} AS present SET next_offset = moves.reached "  # noqa: S608
            "FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[]) "
            "AS moves (topic, partition, expected, reached) "
            "WHERE present.topic = moves.topic AND present.partition = moves.partition "
            "AND present.next_offset = moves.expected "
            f"RETURNING pg_notify('{self._channel}', concat_ws(' ', moves.topic, moves.partition, moves.reached))",
            (
                [move.topic for move in moves],
                [move.partition for move in moves],
                [move.expected for move in moves],
                [move.reached for move in moves],
            ),
        )

    async def _copy(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(_ours(statement)) as copy:
            while some := list(islice(rows, COPIED_AT_ONCE)):
                await copy.write(csv_lines(some))

    async def _execute(
        self, statement: str, parameters: Sequence[Any] | None = None, *, prepare: bool | None = None
    ) -> psycopg.AsyncCursor[Any]:
        return await self._connection.execute(_ours(statement), parameters, prepare=prepare)


def _missing(updates: Iterable[Update]) -> dict[str, int]:
    return {table: count - updated.rowcount for table, count, updated in updates if count != updated.rowcount}


def _ours(statement: str) -> LiteralString:
    """Vouch for a statement: it is made of names of our own tables; values are parameters."""
    return statement
