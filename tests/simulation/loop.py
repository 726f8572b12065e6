"""An event loop without a machine: its time jumps to the next timer, and a seed says which of two ready steps is first.

Everything that runs on it happens in one order that the seed alone decides, so a failure can be seen again.
"""

from __future__ import annotations

import asyncio
import heapq
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Context
    from random import Random

    from tests.simulation.process import Process

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process that a step belongs to; None for the world outside of all processes."""
TIMERS_LOOKED_THROUGH = 2_000
TASK_BITS = 24
"""Room for the numbers of the tasks of one history: asyncio keeps the tasks of all of them in one set."""


class StuckError(Exception):
    """Nothing can happen any more, or far too much happens."""


class Step(list[Any]):
    """What is to be called: callback, arguments and context; no callback once it is cancelled.

    Every turn of a task is one, so it is what costs least to make: `asyncio.Handle` took four times as long.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Do nothing when its turn comes."""
        self[0] = None


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
        self._ready: list[Step] = []
        self._scheduled: list[tuple[float, int, Step]] = []
        self._scheduled_max = TIMERS_LOOKED_THROUGH
        self._timers_made = 0
        self._tasks_made = 0
        self.steps = 0
        self.frozen: set[Process | None] = set()
        """Those whose steps are held back."""

    get_debug = bool  # every future asks: `bool()` is False, and no call of Python

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def call_soon(  # type: ignore[override]  # the types of the arguments belong to the callback
        self, callback: Any, *args: Any, context: Context | None = None
    ) -> Step:
        """Let it be ready. There is one thread and no debugging, so nothing has to be checked."""
        step = Step((callback, args, copy_context() if context is None else context))
        self._ready.append(step)
        return step

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # there is no other thread

    def call_later(  # type: ignore[override]  # likewise
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Step:
        """Let it be ready after so many seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]  # likewise
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Step:
        """Let it be ready at that time, behind what is due then already."""
        step = Step((callback, args, copy_context() if context is None else context))
        self._timers_made += 1
        heapq.heappush(self._scheduled, (when, self._timers_made, step))
        if len(self._scheduled) > self._scheduled_max:
            self._forget_cancelled()
        return step

    def create_task(  # type: ignore[override]  # likewise
        self, coro: Any, *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Begin a task. It belongs to the process that begins it."""
        self._tasks_made += 1
        number = self._first_task + self._tasks_made
        task = NumberedTask(coro, number=number, loop=self, name=name or "task", context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.adopt(task)
        return task

    def resume(self, steps: list[Step]) -> None:
        """Let steps that were held back be ready."""
        self._ready.extend(steps)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Whoever died leaves exceptions behind that nobody takes; they say nothing."""

    def _run_once(self) -> None:
        """Run what is ready, in an order of its own; where nothing is, let time jump. Returns when the loop stops."""
        ready, random = self._ready, self._random
        while not self._stopping:  # type: ignore[attr-defined]
            count = len(ready)
            if not count:
                self._jump()
                continue
            step = ready.pop()
            if count > 1:
                index = int(random() * count)
                if index < count - 1:
                    ready[index], step = step, ready[index]
            callback, args, context = step
            if callback is None:
                continue
            if self.frozen and (process := context.get(PROCESS)) in self.frozen:
                process.held.append(step)
                continue
            self.steps += 1
            if self.steps > self._steps_max:
                raise StuckError(f"{self.steps} steps were not enough: something runs in a circle")
            try:
                context.run(callback, *args)
            except (Exception, asyncio.CancelledError):
                continue  # see `call_exception_handler`

    def _jump(self) -> None:
        """Go to the next timer."""
        scheduled = self._scheduled
        while scheduled and scheduled[0][2][0] is None:
            heapq.heappop(scheduled)
        if not scheduled:
            raise StuckError("nothing is left that could ever happen")
        now = self._now_s = scheduled[0][0]
        while scheduled and scheduled[0][0] <= now:
            self._ready.append(heapq.heappop(scheduled)[2])

    def _forget_cancelled(self) -> None:
        """Forget cancelled timers before they are most of all."""
        scheduled = self._scheduled
        scheduled[:] = [entry for entry in scheduled if entry[2][0] is not None]
        heapq.heapify(scheduled)
        self._scheduled_max = max(TIMERS_LOOKED_THROUGH, 2 * len(scheduled))

    def _process_events(self, event_list: Any) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There is no other thread to be woken by."""
