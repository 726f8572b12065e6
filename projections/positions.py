"""How far the read models are, and a way to wait until they are further."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import psycopg
from sqlalchemy import BigInteger, Column, Integer, PrimaryKeyConstraint, Table, Text, select

from infra.logging import get_logger
from infra.postgres.deadline import within
from infra.postgres.engine import connect
from projections.model import SCHEMA, metadata

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncConnection


def channel_of(schema: str) -> str:
    """Return where each batch is told that is projected into a schema, inside its transaction.

    It is told as `<topic> <partition> <next offset>`. What a rebuild does beside the served schema is no news to those
    who wait for that.
    """
    return f"{schema}_projected"


CHANNEL = channel_of(SCHEMA)

positions = Table(
    "positions",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("topic", "partition", name="positions_pkey"),
)

_CHECK_INTERVAL_S = 5.0
_ANSWER_TIMEOUT_S = 5.0
_RETRY_DELAYS_S = (0.1, 0.2, 0.5, 1.0, 2.0)

log = get_logger(__name__)


async def next_offsets(connection: AsyncConnection, topic: str) -> dict[int, int]:
    """Return, for each partition of the topic, the offset of the first record that is not projected yet."""
    rows = await connection.execute(
        select(positions.c.partition, positions.c.next_offset).where(positions.c.topic == topic)
    )
    return {row.partition: row.next_offset for row in rows}


class PositionWatcher:
    """Knows, within milliseconds, how far the projector is. One LISTEN connection for a whole process.

    A lost connection is made again and everything that was missed is read; until then, waiting simply lasts longer.
    Deadlines are moments of `time.monotonic()`.
    """

    def __init__(self, database_url: str, *, topic: str = "billing.events") -> None:
        self._database_url = database_url
        self._topic = topic
        self._next_offsets: dict[int, int] = {}
        self._generation = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connected = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Begin to listen. It does not wait for the database: that may come later."""
        assert self._task is None, "the watcher runs already"
        self._task = asyncio.create_task(self._run(), name="position-watcher")

    async def stop(self) -> None:
        """Stop listening; whoever still waits sees nothing more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @property
    def is_connected(self) -> bool:
        """Whether news of the projector arrive at present."""
        return self._connected

    @property
    def generation(self) -> int:
        """A number that grows with everything that is projected: see `wait_for_change`."""
        return self._generation

    def next_offset(self, partition: int) -> int:
        """Return the offset of the first record of the partition that is not projected yet, as far as is known."""
        return self._next_offsets.get(partition, 0)

    async def wait_for_position(self, partition: int, offset: int, deadline: float) -> bool:
        """Wait until the record at the offset is projected; False when the deadline passes first."""
        while self.next_offset(partition) <= offset:
            if not await self._wait(deadline):
                return self.next_offset(partition) > offset
        return True

    async def wait_for_change(self, seen: int, deadline: float) -> bool:
        """Wait until anything is projected after the generation `seen`; False when the deadline passes first.

        Read `generation`, then the row, then wait with what was read: nothing is missed between the two.
        """
        while self._generation == seen:
            if not await self._wait(deadline):
                return self._generation != seen
        return True

    async def _wait(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            async with asyncio.timeout(left):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                async with await connect(self._database_url, application_name="billing-watcher") as connection:
                    if failures:
                        log.info("projections.watcher.connected")
                    failures = 0
                    await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if failures == 0:
                    log.warning("projections.watcher.lost", error=str(error))
                delay = _RETRY_DELAYS_S[min(failures, len(_RETRY_DELAYS_S) - 1)]
                failures += 1
                await asyncio.sleep(delay)
            finally:
                self._connected = False

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        async with within(connection, _ANSWER_TIMEOUT_S):
            await connection.execute(f"LISTEN {CHANNEL}")
        while True:
            # Read at the start and then every few seconds: a frozen server is noticed, and nothing can be missed.
            async with within(connection, _ANSWER_TIMEOUT_S):
                found = await connection.execute(
                    f"SELECT partition, next_offset FROM {SCHEMA}.positions WHERE topic = %s",  # noqa: S608  ours
                    (self._topic,),
                )
                self._take(dict(await found.fetchall()))
            self._connected = True
            async for notification in connection.notifies(timeout=_CHECK_INTERVAL_S):
                topic, partition, next_offset = notification.payload.split(" ")
                self._take({int(partition): int(next_offset)} if topic == self._topic else {})

    def _take(self, news: dict[int, int]) -> None:
        """Note what is known now (a rebuild may take a position back) and wake everybody who waits."""
        self._next_offsets |= news
        self._generation += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
