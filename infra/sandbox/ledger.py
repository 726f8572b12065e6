"""The single writer of the books: requests that wait share one commit, and nobody is answered before it.

Handlers run one after the other on the event loop, so that no two of them ever see half of each other; each has its own
savepoint, so that one that fails leaves no trace. Only the commit, which waits for the disk, runs on a helper thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog

from infra.sandbox.errors import RateLimitError
from infra.sandbox.store import Store, Transaction

if TYPE_CHECKING:
    from domain.ports import Clock

log = structlog.get_logger(__name__)

T = TypeVar("T")
Work = Callable[[Transaction], T]


@dataclass(slots=True)
class Job(Generic[T]):
    """A piece of work that waits for its place in a commit."""

    work: Work[T]
    request_id: str | None
    key: str | None
    done: asyncio.Future[T]


class LedgerClosedError(Exception):
    """The sandbox is stopping, or its disk failed: nothing was written for this request."""


class Ledger:
    """Runs work on the books in groups. `start` before use, `stop` after."""

    def __init__(self, store: Store, clock: Clock, *, queue_length_max: int, batch_length_max: int) -> None:
        self._store = store
        self._clock = clock
        self._queue: asyncio.Queue[Job[Any]] = asyncio.Queue(queue_length_max)
        self._batch_length_max = batch_length_max
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sandbox-commit")
        self._task: asyncio.Task[None] | None = None
        self.wrote_deliveries = asyncio.Event()
        """Set after a commit that may have added webhooks to send."""

    def start(self) -> None:
        """Begins to work."""
        self._task = asyncio.create_task(self._run(), name="sandbox-ledger")

    async def stop(self) -> None:
        """Refuses what waits and closes the file."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        while not self._queue.empty():
            job = self._queue.get_nowait()
            if not job.done.done():
                job.done.set_exception(LedgerClosedError())
        self._thread.shutdown(wait=True)
        self._store.close()

    async def run(self, work: Work[T], *, request_id: str | None = None, key: str | None = None) -> T:
        """Runs the work; returns its result after the commit. What it raises is raised here, and not committed."""
        if self._task is None or self._task.done():
            raise LedgerClosedError
        job: Job[T] = Job(work, request_id, key, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            raise RateLimitError("Too many requests hit the API too quickly.", code="rate_limit") from None
        return await job.done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._batch_length_max and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                results = self._work(batch)
                await loop.run_in_executor(self._thread, self._store.connection.execute, "COMMIT")
            except asyncio.CancelledError:
                _refuse(batch, LedgerClosedError())
                raise
            except Exception:
                log.exception("sandbox.commit_failed", requests=len(batch))
                self._roll_back()
                _refuse(batch, LedgerClosedError())
                continue
            for job, (result, problem) in zip(batch, results, strict=True):
                if job.done.done():
                    continue
                if problem is not None:
                    job.done.set_exception(problem)
                else:
                    job.done.set_result(result)
            if self._store.deliveries_added:
                self._store.deliveries_added = False
                self.wrote_deliveries.set()

    def _work(self, batch: list[Job[Any]]) -> list[tuple[Any, Exception | None]]:
        connection = self._store.connection
        results: list[tuple[Any, Exception | None]] = []
        now, wall_now = int(self._clock.now().timestamp()), time.time()
        connection.execute("BEGIN IMMEDIATE")
        for job in batch:
            tx = Transaction(self._store, now=now, wall_now=wall_now, request_id=job.request_id, key=job.key)
            connection.execute("SAVEPOINT request")
            try:
                results.append((job.work(tx), None))
            except Exception as error:
                connection.execute("ROLLBACK TO request")
                self._store.forget_endpoints()
                results.append((None, error))
            connection.execute("RELEASE request")
        return results

    def _roll_back(self) -> None:
        if self._store.connection.in_transaction:
            self._store.connection.execute("ROLLBACK")
        self._store.forget_endpoints()


def _refuse(batch: list[Job[Any]], error: Exception) -> None:
    for job in batch:
        if not job.done.done():
            job.done.set_exception(error)
