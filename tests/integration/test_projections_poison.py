"""Records that nobody can read or store: a dead letter each, and everything around them is projected."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from domain.ids import CommandId, PriceId, derive
from domain.orders.commands import OrderItem, PlaceOrder
from infra.kafka.log_reader import open_log, partition_of
from infra.kafka.topics import topics_of
from infra.postgres.engine import create_engine
from infra.postgres.migrations import upgrade
from projections import commands
from projections.projector import SKIPPED
from schemas.envelope import command_body, command_headers, new_command
from tests.conftest import PARTITIONS
from tests.integration.projections_harness import assert_each_counted_once, caught_up, projecting, publish, until
from tests.sample_log import BEGIN, SampleLog

if TYPE_CHECKING:
    from infra.kafka.log_reader import LogRecord
    from infra.settings import Settings


def with_header(record: LogRecord, name: str, value: bytes | None) -> LogRecord:
    headers = [(key, content) for key, content in record.headers if key != name]
    if value is not None:
        headers.append((name, value))
    return replace(record, headers=tuple(headers))


def poison(good: LogRecord) -> dict[str, LogRecord]:
    """Ways to break the first record of an account (an order that is placed)."""
    assert good.value is not None
    body = json.loads(good.value)
    later = with_header(good, "sequence", b"1000")
    return {
        "no body": replace(good, value=None),
        "empty body": replace(good, value=b""),
        "no JSON": replace(good, value=b"\x00\xff\xfe garbage"),
        "another type's body": replace(good, value=b'{"order_id":"x"}'),
        "wrong types": replace(good, value=json.dumps(body | {"lines": "many"}).encode()),
        "too large": replace(good, value=b'"' + b"x" * 300_000 + b'"'),
        "too deep": replace(good, value=b"[" * 100_000),
        "no headers": replace(good, headers=()),
        "unknown type": with_header(good, "ce_type", b"billing.order.eaten"),
        "a command's type": with_header(good, "ce_type", b"billing.order.place"),
        "no time": with_header(good, "ce_time", b"yesterday"),
        "no sequence": with_header(good, "sequence", None),
        "sequence is no number": with_header(good, "sequence", b"-1"),
        "bytes that are no text": with_header(good, "actor", b"\xff\xfe"),
        "no key": replace(good, key=None),
        "long key": replace(good, key=b"k" * 300),
        # These can be read. PostgreSQL cannot store them.
        "sequence beyond 64 bits": with_header(good, "sequence", b"9" * 30),
        "zero character": replace(later, value=json.dumps(body | {"order_id": "a\0b"}).encode()),
        "zero character inside": replace(later, value=good.value.replace(b"Solaris", b"So\\u0000laris")),
        "amount beyond 64 bits": replace(later, value=good.value.replace(b'"amount":499', b'"amount":' + b"9" * 25)),
        "id too long for an index": replace(later, value=json.dumps(body | {"order_id": _noise(20_000)}).encode()),
        "the same event again": good,
    }


def _noise(length: int) -> str:
    """Text that does not compress into an index page."""
    return "".join(derive("noise", str(number)) for number in range(length // 36))


async def test_poison_among_good_records(settings: Settings) -> None:
    upgrade(settings.database_url)
    log = SampleLog()
    for number in range(40):
        log.buy(f"account-{number}")
    good, bad = log.records, poison(log.records[0])
    mixed = list(good[:50])
    for index, record in enumerate(bad.values()):
        mixed += [record, *good[50 + index * 10 : 60 + index * 10]]
    mixed += good[50 + len(bad) * 10 :]
    async with projecting(settings):
        await publish(settings, mixed, size=200)
        await caught_up(settings)
    await assert_each_counted_once(settings, log, good)
    letters = await dead_letters(settings)
    assert len(letters) == len(bad)
    for (name, record), letter in zip(bad.items(), letters, strict=True):
        headers = dict(letter.headers)
        assert letter.value == record.value, name
        assert letter.key == record.key, name
        assert set(record.headers) <= set(letter.headers), name
        assert headers["dead_letter_topic"].decode() == topics_of(settings).events
        assert headers["dead_letter_partition"].decode() == str(record.partition)
        assert headers["dead_letter_by"] == b"projector"
        assert headers["dead_letter_reason"], name
    offsets = [int(dict(letter.headers)["dead_letter_offset"]) for letter in letters]
    assert offsets == sorted(set(offsets)), "each once"


@pytest.mark.parametrize("position", [0, 7, 15])
async def test_one_that_cannot_be_stored_takes_nothing_with_it(settings: Settings, position: int) -> None:
    """At the beginning, in the middle and at the end of what is fetched at once."""
    upgrade(settings.database_url)
    log = SampleLog()
    for number in range(2):
        log.buy(f"account-{number}")
    stranger = SampleLog()
    stranger.buy("stranger")
    broken = poison(stranger.records[0])["zero character"]
    mixed = [*log.records[:position], broken, *log.records[position:]]
    await publish(settings, mixed, size=100)
    async with projecting(settings):
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)
    assert len(await dead_letters(settings)) == 1


async def test_commands_are_pending_as_soon_as_they_are_sent(settings: Settings) -> None:
    upgrade(settings.database_url)
    data = PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe")
    command_id = CommandId(derive("ada", "key"))
    command = new_command(
        command_id=command_id, key="ada", time=BEGIN, source="test", actor="user:ada", data=data, body_hash="ff"
    )
    skipped = SKIPPED._value.get()
    topic, partition = topics_of(settings).commands, partition_of(b"ada", PARTITIONS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
    await producer.start()
    engine = create_engine(settings.database_url, pool_size=1)
    try:
        async with projecting(settings):
            for _ in range(2):
                await producer.send_and_wait(topic, key=b"ada", value=b"garbage", partition=partition)
                await producer.send_and_wait(
                    topic,
                    key=b"ada",
                    value=command_body(command),
                    headers=command_headers(command),
                    partition=partition,
                )

            async def is_there() -> bool:
                async with engine.connect() as connection:
                    return await commands.get(connection, "ada", command_id) is not None

            await until(is_there)
            async with engine.connect() as connection:
                view = await commands.get(connection, "ada", command_id)
    finally:
        await engine.dispose()
        await producer.stop()
    assert view is not None
    assert (view.status, view.type, view.body_hash, view.received_at) == ("pending", "billing.order.place", "ff", BEGIN)
    assert SKIPPED._value.get() == skipped + 2
    assert await dead_letters(settings) == [], "what is wrong with commands is the engine's to keep"


async def dead_letters(settings: Settings) -> list[Any]:
    """All of them, in the order of their origin."""
    async with open_log(settings.kafka_bootstrap, topics_of(settings).dead_letters) as log:
        letters = [letter async for letter in log.read()]
    return sorted(letters, key=lambda letter: int(dict(letter.headers)["dead_letter_offset"]))
