"""The loop's own promises: virtual time, an order by the seed, processes that stand still or die."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

from tests.simulation.climate import Climate
from tests.simulation.loop import StuckError, VirtualLoop
from tests.simulation.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator


@pytest.fixture
def run() -> Iterator[Callable[..., object]]:
    """Run something on a virtual loop, and leave the loop of the tests as it was."""
    loops: list[VirtualLoop] = []

    def begin(seed: int, main: Callable[[VirtualLoop], Coroutine[object, object, object]]) -> object:
        loop = VirtualLoop(Random(seed), seed=seed, steps_max=10_000)
        loops.append(loop)
        outer = asyncio.events._get_running_loop()
        asyncio.events._set_running_loop(None)
        try:
            return loop.run_until_complete(main(loop))
        finally:
            asyncio.events._set_running_loop(outer)

    yield begin
    for loop in loops:
        loop.close()


def test_time_jumps(run: Callable[..., object]) -> None:
    async def wait(loop: VirtualLoop) -> float:
        await asyncio.sleep(10 * 365 * 86_400)
        return loop.time()

    assert run(1, wait) == 10 * 365 * 86_400


def test_the_seed_says_who_is_first(run: Callable[..., object]) -> None:
    async def race(loop: VirtualLoop) -> str:
        came: list[str] = []

        async def go(name: str) -> None:
            await asyncio.sleep(0)
            came.append(name)

        await asyncio.gather(*(go(name) for name in "abcdef"))
        return "".join(came)

    assert run(1, race) == run(1, race)
    assert len({run(seed, race) for seed in range(10)}) > 5


def test_whoever_waits_for_nothing_is_noticed(run: Callable[..., object]) -> None:
    async def wait(loop: VirtualLoop) -> None:
        await asyncio.Event().wait()

    async def spin(loop: VirtualLoop) -> None:
        for _ in range(20_000):
            await asyncio.sleep(1)

    for stuck in (wait, spin):
        with pytest.raises(StuckError):
            run(1, stuck)


async def _count(process: Process, seen: list[int]) -> None:
    for number in range(100):
        await asyncio.sleep(1)
        await process.weather.pause("a step")
        seen.append(number)


def test_a_frozen_process_goes_on_later(run: Callable[..., object]) -> None:
    async def freeze(loop: VirtualLoop) -> tuple[int, int]:
        seen: list[int] = []
        process = Process(loop, "one", climate=Climate(), random=Random(1))
        task = process.start(_count(process, seen))
        await asyncio.sleep(10.5)
        process.freeze()
        await asyncio.sleep(50)
        before = len(seen)
        process.thaw()
        await task
        return before, len(seen)

    before, after = cast("tuple[int, int]", run(1, freeze))
    assert before <= 10
    assert after == 100


def test_a_dead_process_does_nothing_more(run: Callable[..., object]) -> None:
    async def kill(loop: VirtualLoop) -> tuple[int, int]:
        seen: list[int] = []
        process = Process(loop, "one", climate=Climate(), random=Random(1))
        process.start(_count(process, seen))
        await asyncio.sleep(10.5)
        process.kill("because")
        before = len(seen)
        await asyncio.sleep(500)
        assert not process.is_at_work
        return before, len(seen)

    before, after = cast("tuple[int, int]", run(1, kill))
    assert before == after
