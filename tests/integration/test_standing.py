"""Dead letters as a broker has them: the list says how far it was read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from infra.kafka.dead_letters import dead_letter
from infra.kafka.standing import LETTERS_MAX, Unread, read_letters

if TYPE_CHECKING:
    from infra.kafka.topics import Topics
    from tests.stack import Stack

DAY = timedelta(days=1)


async def bury(stack: Stack, topics: Topics, count: int, partition: int) -> None:
    """So many letters of the engine in one partition."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap)
    await producer.start()
    try:
        for number in range(count):
            letter = dead_letter(
                topic=topics.commands,
                partition=partition,
                offset=number,
                key=b"ann",
                value=b"?",
                headers=(),
                reason="no body",
                role="engine",
            )
            await producer.send(
                topics.dead_letters, key=letter.key, value=letter.value, headers=letter.headers, partition=partition
            )
    finally:
        await producer.stop()


async def test_all_are_read(stack: Stack, topics: Topics) -> None:
    await bury(stack, topics, 3, 0)
    await bury(stack, topics, 2, 1)
    letters = await read_letters(stack.kafka_bootstrap, topics, letters_of=DAY)
    assert sorted(letter.position for letter in letters.seen) == ["0:0", "0:1", "0:2", "1:0", "1:1"]
    assert letters.unread == ()


async def test_too_many_of_one_partition(stack: Stack, topics: Topics) -> None:
    await bury(stack, topics, LETTERS_MAX + 5, 1)
    letters = await read_letters(stack.kafka_bootstrap, topics, letters_of=DAY, within_s=60)
    assert len(letters.seen) == LETTERS_MAX
    assert letters.unread == (Unread(1, 0, 5),)


async def test_more_than_can_be_read_in_time(stack: Stack, topics: Topics) -> None:
    await bury(stack, topics, 3, 1)
    letters = await read_letters(stack.kafka_bootstrap, topics, letters_of=DAY, within_s=0)
    assert (letters.seen, letters.unread) == ((), (Unread(1, 0, 3),))
