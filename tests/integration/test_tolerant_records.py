"""What strangers may put on a topic without stopping its readers: odd names of headers, compression, no values."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

from infra.kafka.log_reader import open_log
from infra.kafka.topics import topics_of
from infra.memory.provider import MemoryProvider
from schemas.codec import encode
from schemas.envelope import headers_of_type, timestamp
from tests.integration.gateway_harness import NOW, answer_id, answers, checkout, committed, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.settings import Settings

ODD_NAME = b"\xff\xfe\xff\xfe"
PLACE_OF_LENGTH, PLACE_OF_CRC, PLACE_AFTER_CRC, PLACE_OF_RECORDS = 8, 17, 21, 61
SNAPPY = 2
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, max_request_size=50_000_000)
    await producer.start()
    yield producer
    await producer.stop()


def snappy(content: bytes) -> bytes:
    """Pack a few bytes as snappy does: their length, and one literal."""
    assert len(content) <= 60
    return bytes([len(content), (len(content) - 1) << 2]) + content


async def send_raw(producer: AIOKafkaProducer, topic: str, records: list[Record], *, pack: bool = False) -> None:
    """Write one batch whose header names `odd!` are bytes that are no UTF-8, as a client in C would."""
    await producer.send_and_wait(topic, b"{}", key=b"warm", partition=0)
    builder = producer.create_batch()
    for key, value, headers in records:
        builder.append(key=key, value=value, timestamp=None, headers=headers)
    builder.close()
    content = bytearray(bytes(builder._build()).replace(b"odd!", ODD_NAME))
    if pack:
        content[PLACE_OF_RECORDS:] = snappy(bytes(content[PLACE_OF_RECORDS:]))
        struct.pack_into(">i", content, PLACE_OF_LENGTH, len(content) - PLACE_OF_LENGTH - 4)
        struct.pack_into(">h", content, PLACE_AFTER_CRC, SNAPPY)
    struct.pack_into(">I", content, PLACE_OF_CRC, calc_crc32c(bytes(content[PLACE_AFTER_CRC:])))
    node = producer.client.cluster.leader_for_partition(TopicPartition(topic, 0))
    request = ProduceRequest(
        transactional_id=None, required_acks=-1, timeout=5000, topics=[(topic, [(0, bytes(content))])]
    )
    ((_, ((_, error, *_),)),) = (await producer.client.send(node, request)).topics
    assert error == 0


async def read_all(settings: Settings, topic: str) -> list[Any]:
    async with open_log(settings.kafka_bootstrap, topic, silence_s_max=20) as log:
        return [record async for record in log.read(partitions=[0])]


async def test_a_name_that_is_no_text_is_read_with_its_bytes_escaped(
    settings: Settings, producer: AIOKafkaProducer
) -> None:
    topic = topics_of(settings).events
    await send_raw(
        producer,
        topic,
        [
            (b"a", b"1", [("fine", b"x")]),
            (b"b", None, [("odd!", b"y"), ("fine", None)]),
            (None, b"3", []),
            (b"d", b"4", [("odd!", b"z")]),
        ],
    )
    await producer.send_and_wait(topic, b"after", key=b"e", partition=0)

    records = await read_all(settings, topic)

    escaped = r"\xff\xfe\xff\xfe"
    assert [(record.offset, record.key, record.value, record.headers) for record in records[1:]] == [
        (1, b"a", b"1", (("fine", b"x"),)),
        (2, b"b", None, ((escaped, b"y"), ("fine", None))),
        (3, None, b"3", ()),
        (4, b"d", b"4", ((escaped, b"z"),)),
        (5, b"e", b"after", ()),
    ]


async def test_the_gateway_goes_on_behind_it(settings: Settings, producer: AIOKafkaProducer) -> None:
    effect = checkout("odd")
    headers: list[tuple[str, bytes | None]] = [
        *headers_of_type("billing.effect.create_checkout"),
        ("ce_id", b"effect"),
        ("ce_source", b"billing/engine"),
        ("ce_subject", b"ann"),
        ("ce_time", timestamp(NOW)),
        ("command_id", b"a-command"),
        ("correlation_id", b"a-request"),
        ("odd!", b"anything"),
        ("nothing", None),
    ]
    topic = topics_of(settings).effects
    await send_raw(producer, topic, [(b"ann", b"broken", [("odd!", b"x")]), (b"ann", encode(effect), headers)])

    async with running(settings, MemoryProvider()):
        assert answer_id(effect) in await answers(settings, 1)
        letters = await read_dead_letters(settings)
    assert {letter.value for letter in letters} == {b"{}", b"broken"}
    assert (await committed(settings))[0] == 3


async def read_dead_letters(settings: Settings) -> list[Any]:
    async with open_log(settings.kafka_bootstrap, topics_of(settings).dead_letters, silence_s_max=20) as log:
        return [record async for record in log.read()]


async def test_what_comes_compressed_is_unpacked_by_the_broker(settings: Settings, producer: AIOKafkaProducer) -> None:
    """So that no reader needs the codec: aiokafka without snappy stands still before such a batch."""
    topic = topics_of(settings).commands
    await send_raw(producer, topic, [(b"k", b"packed", [])], pack=True)
    assert [record.value for record in await read_all(settings, topic)] == [b"{}", b"packed"]


async def test_what_unpacks_to_more_than_a_record_may_have_is_refused(settings: Settings) -> None:
    topic = topics_of(settings).commands
    packed = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, compression_type="gzip", max_request_size=50_000_000
    )
    await packed.start()
    with pytest.raises(KafkaError):
        await packed.send_and_wait(topic, b"x" * 20_000_000, key=b"k", partition=0)
    await packed.stop()


def test_every_reader_is_tolerant() -> None:
    """Whoever makes a consumer says so, since the client is mended for a whole process at once."""
    root = Path(__file__).parents[2]
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True)
    sources = [root / name for name in listed.stdout.splitlines() if not name.startswith(("tests/", "docs/"))]
    readers = [path for path in sources if "AIOKafkaConsumer(" in path.read_text("utf-8")]
    assert len(readers) >= 4
    for path in readers:
        assert "accept_any_header_name()" in path.read_text("utf-8"), path
