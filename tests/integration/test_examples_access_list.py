"""The example subscriber knows who may watch what from the topic alone, and never believes an aborted transaction."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from domain.ids import Resource
from schemas.codec import encode
from schemas.messages import EntitlementItem, EntitlementsRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import ModuleType

    from infra.kafka.topics import Topics
    from infra.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "access_list.py"
DEADLINE_S = 60


@pytest.fixture
def access_list() -> ModuleType:
    """The example, imported anew from its file."""
    spec = importlib.util.spec_from_file_location("access_list", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@asynccontextmanager
async def engine_of(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    """Write the topic as the engine does."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"engine-{settings.topic_prefix}"
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


def record(*items: tuple[str, datetime | None]) -> bytes:
    """The body that the engine publishes."""
    return encode(
        EntitlementsRecord(
            items=tuple(
                EntitlementItem(resource=Resource(resource), until=until, reason="purchase")
                for resource, until in items
            )
        )
    )


async def until_true(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  the condition lives in another task
            await asyncio.sleep(0.02)


@asynccontextmanager
async def following(module: Any, settings: Settings, topics: Topics) -> AsyncIterator[None]:
    task = asyncio.create_task(module.follow(settings.kafka_bootstrap, topics.entitlements))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_access_comes_and_goes_with_the_records(access_list: Any, settings: Settings, topics: Topics) -> None:
    now = datetime.now(UTC)
    async with engine_of(settings) as engine, following(access_list, settings, topics):
        async with engine.transaction():
            await engine.send(topics.entitlements, key=b"alice", value=record(("film:solaris", None)))
            await engine.send(
                topics.entitlements,
                key=b"bob",
                value=record(("role:premium", now + timedelta(days=1)), ("film:stalker", now - timedelta(seconds=1))),
            )
        await until_true(lambda: "bob" in access_list.access)
        assert access_list.may_watch("alice", "film:solaris")
        assert access_list.may_watch("bob", "role:premium")
        assert not access_list.may_watch("bob", "film:stalker")
        assert not access_list.may_watch("alice", "role:premium")
        assert not access_list.may_watch("mallory", "film:solaris")

        async with engine.transaction():
            await engine.send(topics.entitlements, key=b"alice", value=record())
        await until_true(lambda: not access_list.may_watch("alice", "film:solaris"))


async def test_what_was_never_committed_gives_nothing(access_list: Any, settings: Settings, topics: Topics) -> None:
    async with engine_of(settings) as engine, following(access_list, settings, topics):
        await engine.begin_transaction()
        await engine.send_and_wait(topics.entitlements, key=b"mallory", value=record(("film:solaris", None)))
        await engine.abort_transaction()
        async with engine.transaction():
            await engine.send(topics.entitlements, key=b"mallory", value=record(("film:stalker", None)))
        await until_true(lambda: "mallory" in access_list.access)

        assert not access_list.may_watch("mallory", "film:solaris")
        assert access_list.may_watch("mallory", "film:stalker")


async def test_it_runs_as_a_program(settings: Settings, topics: Topics) -> None:
    async with engine_of(settings) as engine:
        async with engine.transaction():
            await engine.send(topics.entitlements, key=b"alice", value=record(("film:solaris", None)))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-u",
            str(EXAMPLE),
            settings.kafka_bootstrap,
            topics.entitlements,
            stdout=subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        finally:
            process.kill()
            await process.wait()

    assert line == b"alice ['film:solaris']\n"
