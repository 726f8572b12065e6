"""An event loop without a machine: its time jumps to the next timer, and a seed says which of two ready steps is first.

Everything that runs on it happens in one order that the seed alone decides, so a failure can be seen again.
"""

from __future__ import annotations

import asyncio
import heapq
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context
    from random import Random

    from tests.simulation.process import Process

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process that a step belongs to; None for the world outside of all processes."""
CANCELLED_TIMERS_MAX = 2_000
TASK_BITS = 24
"""Room for the numbers of the tasks of one history: asyncio keeps the tasks of all of them in one set."""


class StuckError(Exception):
    """Nothing can happen any more, or far too much happens."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not hang on where it lies in memory."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, no sockets, no clock of the machine."""

    def __init__(self, random: Random, *, seed: int, steps_max: int) -> None:
        """`steps_max`: whoever needs more is taken to run in a circle."""
        super().__init__()
        self._first_task = seed << TASK_BITS
        self._now_s = 0.0
        self._random = random.random
        self._steps_max = steps_max
        self._ready: list[asyncio.Handle] = []
        self._scheduled: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_made = 0
        self._timers_cancelled = 0
        self._tasks_made = 0
        self.steps = 0
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def call_soon(  # type: ignore[override]  # the types of the arguments belong to the callback
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Let it be ready. There is one thread and no debugging, so nothing has to be checked."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]  # likewise
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Let it be ready at that time, behind what is due then already."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_made += 1
        heapq.heappush(self._scheduled, (when, self._timers_made, timer))
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def resume(self, handles: list[asyncio.Handle]) -> None:
        """Let steps that were held back be ready."""
        self._ready.extend(handles)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Whoever died leaves exceptions behind that nobody takes; they say nothing."""

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        self._tasks_made += 1
        task = NumberedTask(coro, number=self._first_task + self._tasks_made, loop=loop, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.adopt(task)
        return task

    def _run_once(self) -> None:
        """Run what is ready, in an order of its own, until nothing is; then let time jump."""
        ready, random = self._ready, self._random
        if not ready:
            self._jump()
        while ready and not self._stopping:  # type: ignore[attr-defined]
            count = len(ready)
            handle = ready.pop()
            if count > 1:
                index = int(random() * count)
                if index < count - 1:
                    ready[index], handle = handle, ready[index]
            if handle._cancelled:
                continue
            context = handle._context  # type: ignore[attr-defined]
            process = context.get(PROCESS)
            if process is not None and process.is_frozen:
                process.held.append(handle)
                continue
            self.steps += 1
            try:
                context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
            except (Exception, asyncio.CancelledError):
                continue  # see `call_exception_handler`
        if self.steps > self._steps_max:
            raise StuckError(f"{self.steps} steps were not enough: something runs in a circle")

    def _jump(self) -> None:
        """Go to the next timer."""
        scheduled = self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            heapq.heappop(scheduled)[2]._scheduled = False  # type: ignore[attr-defined]
            self._timers_cancelled -= 1
        if not scheduled:
            raise StuckError("nothing is left that could ever happen")
        now = self._now_s = scheduled[0][0]
        while scheduled and scheduled[0][0] <= now:
            timer = heapq.heappop(scheduled)[2]
            timer._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(timer)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Forget cancelled timers before they are most of all."""
        self._timers_cancelled += 1
        scheduled = self._scheduled
        if self._timers_cancelled > CANCELLED_TIMERS_MAX and 2 * self._timers_cancelled > len(scheduled):
            kept = [entry for entry in scheduled if not entry[2]._cancelled]
            heapq.heapify(kept)
            scheduled[:] = kept
            self._timers_cancelled = 0

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""
