"""Read models built anew beside the served ones, compared with them, and swapped, while everything goes on.

A projector of its own folds the log from its beginning into a second schema, and never past where the served tables
stand. So both can be brought to one place: for a moment nobody may move the served positions, and the rebuilt tables
take the few records that they lack. What is compared, and what is swapped, is as of one place in the log: the running
projectors find every position as they left it, and go on without noticing.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError

from infra.kafka.log_reader import open_log
from infra.kafka.topics import topics_of
from infra.logging import get_logger
from infra.postgres.deadline import within
from infra.postgres.engine import connect
from projections.bounded_feed import BoundedFeed
from projections.comparison import TableComparison, compare_table
from projections.model import SCHEMA, metadata
from projections.projector import Projector
from projections.second_schema import (
    KEPT,
    REBUILT,
    REPLACED,
    TABLES,
    RebuildError,
    carry_over,
    create,
    drop,
    execute,
    exists,
    require_revision,
    swap,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from infra.kafka.dead_letters import DeadLetter
    from infra.kafka.log_reader import LogReader
    from infra.settings import Settings
    from projections.writer import Partition

log = get_logger(__name__)
Result = TypeVar("Result")

LOCK_KEY = 0x72656275696C64
"""The advisory lock of the one rebuild that may run: the letters `rebuild`."""
PATIENCE_S = 60.0
"""How long broker or database may be away before a rebuild gives up; the next one begins anew."""
NEAR_OFFSETS = 2_000
"""With no more to catch up than this, the served positions are held until it is done."""
HOLD_S_MAX = 5.0
"""How long they are held for one attempt. Meanwhile nothing new is projected; queries go on."""
HOLD_PATIENCE_S = 300.0
"""How long it is tried: `billing audit verify` reads the positions of a partition in one long transaction."""
_HOLD_PAUSE_S = 1.0
_LOCK_TIMEOUT_MS = 500
"""Others queue behind a lock that is waited for, so it is rather asked for again."""
_IDLE_TRANSACTION_TIMEOUT_MS = 5_000
"""A rebuild that is frozen while it holds the positions lets them go after that."""
_ANSWER_TIMEOUT_S = 30.0
_LONG_TIMEOUT_S = 3_600.0
"""For one table to be compared, analysed or dropped, however long it is."""
_POLL_S = 0.02
_BUSY = (psycopg.errors.LockNotAvailable, TimeoutError)
_TOLD_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a rebuild found and did."""

    tables: tuple[TableComparison, ...]
    given_up: tuple[str, ...]
    """Records of the log that could not be read or stored, as `<partition>:<offset>`; some of them where many are."""
    given_up_count: int
    is_swapped: bool
    old_schema: str | None
    """Where the tables are that were served before; None where they are dropped, or still served."""
    old_reason: str = ""
    """Why they could not be dropped, where they should have been."""

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return sum(table.differing for table in self.tables)


class _GivenUp:
    """Notes what cannot be read or stored. The served projector has sent it to the dead letters when it met it."""

    def __init__(self) -> None:
        self.count = 0
        self.places: list[str] = []

    async def send(self, letter: DeadLetter) -> None:
        """See projections.projector.DeadLetters."""
        self.count += 1
        if len(self.places) < _TOLD_MAX:
            headers = dict(letter.headers)
            self.places.append(f"{headers['dead_letter_partition'].decode()}:{headers['dead_letter_offset'].decode()}")


class Rebuild:
    """One rebuild. `progress` is called with what is being done, how much of it is done, and how much there is."""

    def __init__(self, settings: Settings, *, progress: Callable[[str, int, int], None]) -> None:
        self._settings = settings
        self._progress = progress
        self._given_up = _GivenUp()
        self._control: psycopg.AsyncConnection[Any]
        self._logs: dict[str, LogReader] = {}
        self._feed: BoundedFeed
        self._projecting: asyncio.Task[None]

    async def run(self, *, swaps: bool, keeps_old: bool) -> Outcome:
        """Build, compare and, where wanted, swap.

        Raises RebuildError, LogReadError, LogReplacedError; psycopg.Error and KafkaError when the servers are away.
        """
        topics = topics_of(self._settings)
        async with AsyncExitStack() as opened:
            self._control = await opened.enter_async_context(_connection(self._settings.database_url))
            await self._begin(keeps_old=keeps_old)
            for topic in (topics.events, topics.commands):
                self._logs[topic] = await opened.enter_async_context(open_log(self._settings.kafka_bootstrap, topic))
            await create(self._settings.database_url)
            opened.push_async_callback(self._clean_up)
            await opened.enter_async_context(self._project())
            await self._catch_up()
            tables = await self._compare()
            if not swaps:
                return self._outcome(tables, is_swapped=False)
            await self._catch_up()
            old = KEPT if keeps_old else REPLACED
            await self._hold("ACCESS EXCLUSIVE", lambda: swap(self._control, old=old))
            log.info("projections.rebuild.swapped", old=old)
            reason = "" if keeps_old else await self._drop(REPLACED)
            return self._outcome(
                tables, is_swapped=True, old_schema=old if keeps_old or reason else None, old_reason=reason
            )

    def _outcome(self, tables: tuple[TableComparison, ...], **values: Any) -> Outcome:
        return Outcome(
            tables=tables,
            given_up=tuple(self._given_up.places),
            given_up_count=self._given_up.count,
            **{"old_schema": None, **values},
        )

    async def _begin(self, *, keeps_old: bool) -> None:
        """Be the only one, and clear away what one left that was killed. The lock ends with its connection."""
        async with within(self._control, _LONG_TIMEOUT_S):
            (is_alone,) = (await execute(self._control, "SELECT pg_try_advisory_lock(%s)", [LOCK_KEY]))[0]
            if not is_alone:
                raise RebuildError("another rebuild is under way on this database")
            await require_revision(self._control)
            if keeps_old and await exists(self._control, KEPT):
                raise RebuildError(
                    f"the schema {KEPT} of an earlier rebuild is still there; "
                    f"drop it (DROP SCHEMA {KEPT} CASCADE), or rename it, before the next one is kept"
                )
        for schema in (REBUILT, REPLACED):
            reason = await self._drop(schema)
            if reason:
                raise RebuildError(f"the schema {schema} of an earlier rebuild cannot be dropped: {reason}")

    @asynccontextmanager
    async def _project(self) -> AsyncGenerator[None, None]:
        """Fold into the second schema, beside whatever is done inside."""
        partitions = frozenset((topic, number) for topic, reader in self._logs.items() for number in reader.partitions)
        self._feed = BoundedFeed(self._settings, partitions)
        projector = Projector(
            self._settings, patience_s=PATIENCE_S, schema=REBUILT, feed=self._feed, dead_letters=self._given_up
        )
        self._projecting = asyncio.create_task(projector.run(), name="rebuild")
        try:
            yield
        finally:
            projector.stop()
            await asyncio.gather(self._projecting, return_exceptions=True)

    async def _catch_up(self) -> None:
        """Come near to the served positions, which go on meanwhile; or as near as it gets."""
        before = None
        while True:
            await self._reach(await self._ends())
            behind = sum((await self._ends()).values()) - sum((await self._positions(REBUILT)).values())
            if behind <= NEAR_OFFSETS or (before is not None and behind >= before):
                return
            before = behind

    async def _ends(self) -> dict[Partition, int]:
        """Return where the served tables stand; no farther than the log goes, whatever they say."""
        served = await self._positions(SCHEMA)
        ends: dict[Partition, int] = {}
        for topic, reader in self._logs.items():
            for number, end in (await reader.end_offsets()).items():
                ends[topic, number] = min(served.get((topic, number), 0), end)
        return ends

    async def _positions(self, schema: str) -> dict[Partition, int]:
        async with within(self._control, _ANSWER_TIMEOUT_S):
            rows = await execute(
                self._control,
                f"SELECT topic, partition, next_offset FROM {schema}.positions WHERE topic = ANY(%s)",  # noqa: S608
                [list(self._logs)],
            )
        return {(topic, number): next_offset for topic, number, next_offset in rows}

    async def _reach(self, ends: Mapping[Partition, int]) -> None:
        """Fold up to these offsets."""
        self._feed.read_to(ends)
        total = sum(ends.values())
        while True:
            reached = await self._positions(REBUILT)
            left = {partition for partition, end in ends.items() if reached.get(partition, 0) < end}
            self._progress("folding the log", sum(reached.values()), total)
            if not left:
                return
            if self._projecting.done():
                self._projecting.result()
                raise RebuildError("the projector of the rebuild ended")
            await asyncio.sleep(_POLL_S)

    async def _hold(self, mode: str, do: Callable[[], Awaitable[Result]]) -> Result:
        """Do something while nobody may move the served positions, and the rebuilt tables stand at the same place.

        Every writer locks the positions first, so that this lock alone keeps all of them out.
        """
        deadline = monotonic() + HOLD_PATIENCE_S
        while monotonic() < deadline:
            try:
                async with self._control.transaction(), within(self._control, 3 * HOLD_S_MAX):
                    await execute(self._control, f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                    await execute(self._control, f"LOCK TABLE {SCHEMA}.positions IN {mode} MODE")
                    async with asyncio.timeout(HOLD_S_MAX):
                        await self._reach(await self._ends())
                    return await do()
            except _BUSY as error:
                log.info("projections.rebuild.busy", error=repr(error))
            await asyncio.sleep(_HOLD_PAUSE_S)
            await self._catch_up()
        raise RebuildError(
            f"the served positions could not be held for a moment in {HOLD_PATIENCE_S:.0f} s: somebody reads them in "
            "one long transaction (`billing audit verify` does), or projects as fast as the rebuild; try again later"
        )

    async def _compare(self) -> tuple[TableComparison, ...]:
        """Compare all tables as of one place in the log, while the served ones already go on."""
        async with within(self._control, _LONG_TIMEOUT_S):
            await carry_over(self._control, await self._logs[topics_of(self._settings).commands].beginning_offsets())
            for name in TABLES:  # those who join them, and after the swap query them, plan by it
                await execute(self._control, f"ANALYZE {REBUILT}.{name}")
        async with _connection(self._settings.database_url) as reading:
            await self._hold("EXCLUSIVE", lambda: _take_snapshot(reading))
            found = []
            for number, name in enumerate(TABLES):
                self._progress("comparing", number, len(TABLES))
                table = metadata.tables[f"{SCHEMA}.{name}"]
                async with within(reading, _LONG_TIMEOUT_S):
                    found.append(await compare_table(reading, table, served=SCHEMA, rebuilt=REBUILT))
            self._progress("comparing", len(TABLES), len(TABLES))
        return tuple(found)

    async def _drop(self, schema: str) -> str:
        """Drop the schema; return why not, where it cannot be done."""
        try:
            async with within(self._control, _LONG_TIMEOUT_S):
                await drop(self._control, schema)
        except psycopg.Error as error:
            log.warning("projections.rebuild.not_dropped", schema=schema, error=str(error))
            return str(error).splitlines()[0]
        return ""

    async def _clean_up(self) -> None:
        """Give the space back of tables that will not be served; what cannot be dropped now, the next rebuild drops."""
        with suppress(psycopg.Error, DBAPIError, OSError):
            await self._drop(REBUILT)


async def _take_snapshot(connection: psycopg.AsyncConnection[Any]) -> None:
    """Begin a transaction that sees everything as it is now; it ends with the connection."""
    async with within(connection, _ANSWER_TIMEOUT_S):
        await execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ")
        await execute(connection, "SELECT 1")


@asynccontextmanager
async def _connection(database_url: str) -> AsyncGenerator[psycopg.AsyncConnection[Any], None]:
    """A connection whose statements may take long; how long, each of its users says."""
    connection = await connect(
        database_url,
        application_name="billing-rebuild",
        idle_transaction_timeout_ms=_IDLE_TRANSACTION_TIMEOUT_MS,
    )
    try:
        await execute(connection, f"SET statement_timeout = '{_LONG_TIMEOUT_S:.0f}s'")
        yield connection
    finally:
        await connection.close()
