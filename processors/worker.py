"""Drives one partition: takes what Faust delivers, commits it in groups, acks it after the commit, fires timers.

Nothing leaves a worker but the end of the process: trouble is retried within bounds, and then everything is delivered
again to whoever comes next.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import structlog

from infra.kafka.fenced_log import FencedError, UnsureError
from processors import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from processors.decisions import Incoming
    from processors.journal import Journal
    from schemas.envelope import CommandRecord

log = structlog.get_logger(__name__)

QUEUE_MAX = 4_000
"""Commands of one partition in memory; Faust stops fetching when it is full."""
BATCH_MAX = 1_000
GROUP_S_MIN = 0.010
GROUP_S_MAX = 0.100
GROUP_S_PER_COMMAND = 0.001
IDLE_S = 0.020
"""A partition that committed nothing for so long is idle: its next command is committed at once."""
ATTEMPTS_MAX = 12
RETRY_S_MIN = 0.2
RETRY_S_MAX = 10.0
TIMER_S = 1.0
TIMER_AGAIN_S = 30.0
"""A timer that was fired and is still due after this long is fired again; its command id stays the same."""


class Ack(Protocol):
    """What Faust wants to hear once a command is committed."""

    def ack(self) -> bool:
        """Let the group's offset move on."""


class Sender(Protocol):
    """The way into `billing.commands`."""

    async def send(self, command: CommandRecord) -> object:
        """Return when the broker has the command; raises where that is not known."""


class Delivery(NamedTuple):
    """A command and the word to say when it is done."""

    incoming: Incoming
    event: Ack


class PartitionWorker:
    """The owner's loop for one partition."""

    def __init__(
        self,
        journal: Journal,
        *,
        sender: Sender,
        is_assigned: Callable[[], bool],
        give_up: Callable[[str], None],
        timer_s: float = TIMER_S,
    ) -> None:
        """`give_up` ends the process; `is_assigned` tells whether the group still gives the partition to us.

        Once in `timer_s` it looks for what is due.
        """
        self._journal = journal
        self._sender = sender
        self._is_assigned = is_assigned
        self._give_up = give_up
        self._timer_s = timer_s
        self._journal_lock = asyncio.Lock()
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_MAX)
        self._last_commit = 0.0
        self._last_size = 0
        self._last_duration = 0.0
        self._fired: dict[str, float] = {}
        self._reached = 0
        """The offset behind the commands that were decided, as far as the broker promised."""
        self._tasks: list[asyncio.Task[Any]] = []
        self._is_closed = False

    @property
    def next_command_offset(self) -> int | None:
        """Where to go on in `billing.commands`."""
        return self._journal.next_command_offset

    @property
    def is_running(self) -> bool:
        """Tell whether the worker still works: it stops by itself where the group took its partition away."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    async def open(self) -> None:
        """Open the journal, with retries, and start to work; `close` may come before or in the middle of it."""
        if self._is_closed:
            return
        opening = asyncio.create_task(self._with_retries(self._journal.open), name=f"open-{self._journal.partition}")
        self._tasks = [opening]
        await asyncio.wait(self._tasks)
        if self._is_closed or not opening.result():
            return
        self._tasks = [
            asyncio.create_task(self._guard(self._commit_loop), name=f"commit-{self._journal.partition}"),
            asyncio.create_task(self._guard(self._timer_loop), name=f"timers-{self._journal.partition}"),
        ]

    async def offer(self, delivery: Delivery) -> None:
        """Hand a command in; waits while the partition has as much as it can hold."""
        if self._queue.full():
            await self._queue.put(delivery)
        else:
            self._queue.put_nowait(delivery)

    async def close(self) -> None:
        """Stop at once; what was not committed will be delivered to the next owner."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        while not self._queue.empty():  # whoever waits to hand in must not wait for ever
            self._queue.get_nowait()
        await self._journal.close()

    async def _guard(self, loop: Callable[[], Awaitable[None]]) -> None:
        try:
            await loop()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a bug of ours: end, so that all is delivered again
            log.exception("engine.worker.crashed", partition=self._journal.partition)
            self._give_up(f"partition {self._journal.partition}: {error!r}")

    async def _commit_loop(self) -> None:
        while True:
            batch = await self._collect()
            begin = _now_s()
            done = await self._with_retries(lambda batch=batch: self._handle(batch))  # type: ignore[misc]
            if not done:
                log.info("engine.partition.left", partition=self._journal.partition)
                return
            self._last_commit = _now_s()
            self._last_size = len(batch)
            self._last_duration = self._last_commit - begin
            metrics.BATCH_SECONDS.observe(self._last_commit - begin)
            metrics.BATCH_COMMANDS.observe(len(batch))
            for delivery in batch:
                delivery.event.ack()

    async def _collect(self) -> list[Delivery]:
        """Return the next group: at once when the partition is idle, else what comes in while the group is open."""
        batch = [await self._queue.get()]
        if _now_s() - self._last_commit < IDLE_S:
            wait_s = max(GROUP_S_MIN, self._last_size * GROUP_S_PER_COMMAND, 2 * self._last_duration)
            await asyncio.sleep(min(GROUP_S_MAX, wait_s))
        while len(batch) < BATCH_MAX and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _handle(self, batch: list[Delivery]) -> None:
        async with self._journal_lock:
            await self._be_open()
            decided = await self._journal.handle([delivery.incoming for delivery in batch])
            self._reached = max(self._reached, self._journal.next_command_offset or 0)
        metrics.ACCEPTED.inc(decided.accepted)
        metrics.REJECTED.inc(decided.rejected)
        metrics.REPEATED.inc(decided.repeated)
        metrics.DEAD_LETTERS.inc(len(decided.dead_letters))

    async def _be_open(self) -> None:
        """Open the journal where it is not. Commands that the broker promised and lost are delivered again, from there.

        They were acknowledged, so it takes a new process: that one begins where the log says.
        """
        if self._journal.is_open:
            return
        await self._journal.open()
        if (self._journal.next_command_offset or 0) < self._reached:
            self._give_up(f"partition {self._journal.partition}: the broker lost a transaction that it had promised")
            raise UnsureError("the process ends")

    async def _find_due(self, found: list[CommandRecord]) -> None:
        async with self._journal_lock:
            await self._be_open()
            found[:] = self._journal.due_timers()

    async def _with_retries(self, action: Callable[[], object]) -> bool:
        """Do it until it is done; False when the partition is no longer ours. Ends the process when nothing helps."""
        delay_s = RETRY_S_MIN
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await action()  # type: ignore[misc]  # an awaitable of nothing
            except (FencedError, UnsureError, ValueError, OSError) as error:
                metrics.REOPENED.inc()
                log.warning(
                    "engine.journal.unsure", partition=self._journal.partition, attempt=attempt, reason=repr(error)
                )
                if not self._is_assigned():
                    return False
                await asyncio.sleep(delay_s)
                delay_s = min(RETRY_S_MAX, delay_s * 2)
            else:
                return True
        self._give_up(f"partition {self._journal.partition} could not go on after {ATTEMPTS_MAX} attempts")
        return False

    async def _timer_loop(self) -> None:
        """Fire what is due: a round a second, each timer at most once in a while until its command is decided."""
        while True:
            await asyncio.sleep(self._timer_s)
            now = _now_s()
            self._fired = {name: fired for name, fired in self._fired.items() if now - fired < TIMER_AGAIN_S}
            due: list[CommandRecord] = []
            if not await self._with_retries(lambda found=due: self._find_due(found)):  # type: ignore[misc]
                return
            commands = [command for command in due if command.id not in self._fired]
            if not commands:
                continue
            results = await asyncio.gather(
                *(self._sender.send(command) for command in commands), return_exceptions=True
            )
            for command, result in zip(commands, results, strict=True):
                if not isinstance(result, BaseException):
                    self._fired[command.id] = now
            failed = [result for result in results if isinstance(result, BaseException)]
            if failed:
                log.warning("engine.timers.not_sent", count=len(failed), reason=repr(failed[0]))
            metrics.TIMERS.inc(len(results) - len(failed))


def _now_s() -> float:
    """The event loop's own time: monotonic, and virtual where the loop's is."""
    return asyncio.get_running_loop().time()
