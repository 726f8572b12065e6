"""A call into an adapter that ends within its time, whatever the adapter does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class NoAnswerError(Exception):
    """The call has no result; the message says why, and nothing of what a library of a provider wrote."""


async def bounded(call: Coroutine[Any, Any, T], timeout_s: float) -> T:
    """Return what the call returns. Raises NoAnswerError, also where the adapter hangs and ignores its cancellation."""
    task = asyncio.create_task(call)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
    if not done:
        raise NoAnswerError(f"no answer within {timeout_s:g} s")
    if task.cancelled():
        raise NoAnswerError("the call was cancelled inside the adapter")
    error = task.exception()
    if error is not None:
        raise NoAnswerError(f"the adapter raised {type(error).__name__}")
    return task.result()


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at the end of an abandoned call, so that asyncio does not complain of an exception nobody saw."""
    if not task.cancelled():
        task.exception()
