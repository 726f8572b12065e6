"""Order without waiting: one effect of an account at a time, many accounts at once, offsets committed in order."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class PartitionProgress:
    """How far one partition is done. An offset may be committed when everything before it is done."""

    def __init__(self) -> None:
        self._taken: deque[int] = deque()
        self._done: set[int] = set()
        self._committable: int | None = None
        self._committed: int | None = None
        self.is_revoked = False
        """Set when the partition belongs to another worker: what has not begun is left to it."""
        self.running = 0

    def take(self, offset: int) -> None:
        """Note a record in hand. Offsets come in their order, with the gaps that transactions leave."""
        assert not self._taken or offset > self._taken[-1], "offsets of a partition ascend"
        self._taken.append(offset)

    def finish(self, offset: int) -> None:
        """Note that the work of a record is done."""
        self._done.add(offset)
        while self._taken and self._taken[0] in self._done:
            first = self._taken.popleft()
            self._done.remove(first)
            self._committable = first + 1

    def reach(self, position: int) -> None:
        """Note where the next read begins, with nothing in hand: past the markers that end transactions.

        Without it the last marker would look like a record that waits.
        """
        assert not self._taken, "records before the position are in hand"
        if self._committed is not None and position > max(self._committed, self._committable or 0):
            self._committable = position

    def to_commit(self) -> int | None:
        """Return the next offset to be read after a restart, or None where nothing was done since `committed`."""
        return self._committable

    def committed(self, offset: int) -> None:
        """Note that the broker has this offset."""
        self._committed = offset
        if self._committable == offset:
            self._committable = None

    @property
    def is_idle(self) -> bool:
        """Whether something was done and committed here, and nothing is in hand."""
        return self._committed is not None and not self._taken


@dataclass(frozen=True, slots=True)
class Taken:
    """A record in hand, and the progress of its partition."""

    record: Any
    """`aiokafka.ConsumerRecord` of bytes."""
    progress: PartitionProgress


class Lanes:
    """Runs `work` on each record: in its order within a key, at most `concurrency` at once over all keys.

    Work that raises ends everything: `failure` has the reason, nothing more is begun, and the record is not done.
    """

    def __init__(self, work: Callable[[Any], Awaitable[None]], *, concurrency: int) -> None:
        self._work = work
        self._room = asyncio.Semaphore(concurrency)
        self._lanes: dict[bytes | None, deque[Taken]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._is_open = True
        self.size = 0
        """Records in hand, running and waiting."""
        self.failure: BaseException | None = None

    def put(self, taken: Taken) -> None:
        """Take a record. It runs when its key's earlier records are done and there is room."""
        taken.progress.take(taken.record.offset)
        self.size += 1
        lane = self._lanes.get(taken.record.key)
        if lane is not None:
            lane.append(taken)
            return
        lane = self._lanes[taken.record.key] = deque((taken,))
        task = asyncio.create_task(self._run(taken.record.key, lane))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when a record is done, or after the timeout."""
        self._changed.clear()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return

    async def drain(self, timeout_s: float) -> None:
        """Begin nothing more, and give what runs this long to end; then it is abandoned."""
        self._is_open = False
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)
        for task in self._tasks:
            task.cancel()

    async def _run(self, key: bytes | None, lane: deque[Taken]) -> None:
        while lane:
            taken = lane[0]
            async with self._room:
                if self._is_open and not taken.progress.is_revoked:
                    await self._work_on(taken)
            lane.popleft()
            self.size -= 1
            self._changed.set()
        del self._lanes[key]

    async def _work_on(self, taken: Taken) -> None:
        taken.progress.running += 1
        try:
            await self._work(taken.record)
        finally:
            taken.progress.running -= 1
        taken.progress.finish(taken.record.offset)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._is_open = False
            self.failure = self.failure or error
        self._changed.set()
