"""Look-ups of commands: whoever waits gets an answer, whatever becomes of the query."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from api.lookups import CommandLookups
from projections.positions import PositionWatcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DEADLINE_S = 10.0


def looking_up(connect: Callable[[], Awaitable[Any]]) -> CommandLookups:
    """Look-ups whose connections come from there."""
    engine = create_async_engine("postgresql+psycopg://", async_creator=connect)
    return CommandLookups(engine, PositionWatcher("postgresql://"))


async def test_a_fault_that_nobody_foresaw_is_told_to_all_who_wait() -> None:
    async def fail() -> Any:
        raise RuntimeError("a fault of the driver")

    lookups = looking_up(fail)
    async with asyncio.timeout(DEADLINE_S):
        answers = await asyncio.gather(lookups.get("a"), lookups.get("b"), lookups.get("a"), return_exceptions=True)
        again = await asyncio.gather(lookups.get("a"), return_exceptions=True)
    assert [str(answer) for answer in (*answers, *again)] == ["a fault of the driver"] * 4


async def test_closing_keeps_nobody_waiting() -> None:
    begun = asyncio.Event()

    async def never() -> Any:
        begun.set()
        await asyncio.Event().wait()

    lookups = looking_up(never)
    async with asyncio.timeout(DEADLINE_S):
        waiting = [asyncio.create_task(lookups.get("a"))]
        await begun.wait()
        waiting += [asyncio.create_task(lookups.get(name)) for name in ("a", "b")]
        await asyncio.sleep(0)
        await lookups.close()
        for each in waiting:
            with pytest.raises(asyncio.CancelledError):
                await each
