"""Sends dead letters, for those who write nothing else: a plain producer that lives as long as one is needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.kafka.dead_letters import RECORD_BYTES_MAX
from infra.logging import get_logger

if TYPE_CHECKING:
    from infra.kafka.dead_letters import DeadLetter

log = get_logger(__name__)
_ATTEMPT_TIMEOUT_S = 10.0
_ATTEMPTS_MAX = 4
_RETRY_DELAY_S = 1.0


class DeadLetterNotSentError(Exception):
    """The broker did not confirm a dead letter within all attempts. The record must not count as handled."""


class DeadLetterSender:
    """Opens a connection for each dead letter: they are rare, and nothing has to be kept alive for them."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._one_at_a_time = asyncio.Lock()

    async def send(self, letter: DeadLetter) -> None:
        """Return when the broker has it. Raises DeadLetterNotSentError after about a minute."""
        async with self._one_at_a_time:
            for attempt in range(1, _ATTEMPTS_MAX + 1):
                try:
                    async with asyncio.timeout(_ATTEMPT_TIMEOUT_S):
                        await self._send_once(letter)
                except (KafkaError, TimeoutError, OSError) as error:
                    log.warning("dead_letter.send.failed", attempt=attempt, error=repr(error))
                    await asyncio.sleep(_RETRY_DELAY_S * attempt)
                else:
                    return
        raise DeadLetterNotSentError(f"no acknowledgement in {_ATTEMPTS_MAX} attempts")

    async def _send_once(self, letter: DeadLetter) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            max_request_size=RECORD_BYTES_MAX,
            request_timeout_ms=int(_ATTEMPT_TIMEOUT_S * 1000),
        )
        try:
            await producer.start()
            await producer.send_and_wait(self._topic, key=letter.key, value=letter.value, headers=letter.headers)
        finally:
            await producer.stop()
