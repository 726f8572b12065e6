"""The gateway as a process: signals, sudden death, and a broker that does not come back."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from infra.kafka.topics import Topics, create_topics
from infra.memory.provider import MemoryProvider
from infra.settings import Settings
from tests.integration.gateway_harness import answer_id, answers, checkout, committed, running, write_effects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from infra.embedded.kafka import EmbeddedKafka

WAIT_S = 60.0


class Process:
    """A gateway of one's own, see `gateway_process`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def called(self) -> None:
        """Wait until it calls its provider."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            assert await self._process.stdout.readline() == b"called\n"

    async def answer(self) -> None:
        """Let the call return."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        await self._process.stdin.drain()

    async def ended(self) -> int:
        """Wait for its end; the exit status."""
        async with asyncio.timeout(WAIT_S):
            return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)


@asynccontextmanager
async def gateway_process(settings: Settings) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.gateway_process", settings.model_dump_json()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_was_in_hand_when_the_process_was_killed_is_done_again(settings: Settings) -> None:
    effect = checkout("one")
    await write_effects(settings, [("ann", effect)])
    async with gateway_process(settings) as process:
        await process.called()
        process.send(signal.SIGKILL)
        assert await process.ended() == -signal.SIGKILL

    assert set((await committed(settings)).values()) == {None}
    async with running(settings, MemoryProvider()):
        assert set(await answers(settings, 1)) == {answer_id(effect)}


async def test_sigterm_lets_the_call_end_and_tells_its_answer(settings: Settings) -> None:
    effect = checkout("one")
    await write_effects(settings, [("ann", effect)])
    async with gateway_process(settings) as process:
        await process.called()
        process.send(signal.SIGTERM)
        await process.answer()
        assert await process.ended() == 0

    assert set(await answers(settings, 1)) == {answer_id(effect)}
    assert {offset for offset in (await committed(settings)).values() if offset} == {1}


async def test_sigterm_does_not_wait_for_ever(settings: Settings) -> None:
    await write_effects(settings, [("ann", checkout("one"))])
    async with gateway_process(settings) as process:
        await process.called()
        process.send(signal.SIGTERM)
        await process.ended()
    assert set((await committed(settings)).values()) == {None}


async def test_a_broker_that_stays_away_ends_the_process(private_kafka: EmbeddedKafka, data_dir: Path) -> None:
    """The effect was carried out and its answer could not be told: the process ends, and all is done again."""
    settings = Settings(
        _env_file=None, kafka_bootstrap=private_kafka.bootstrap, topic_prefix="away", partitions=2, data_dir=data_dir
    )
    await create_topics(private_kafka.bootstrap, Topics("away"), partitions=2)
    effect = checkout("one")
    await write_effects(settings, [("ann", effect)])
    async with gateway_process(settings) as process:
        await process.called()
        await asyncio.to_thread(private_kafka.freeze)
        await process.answer()
        assert await process.ended() == 1

    await asyncio.to_thread(private_kafka.thaw)
    async with running(settings, MemoryProvider()):
        assert set(await answers(settings, 1)) == {answer_id(effect)}
