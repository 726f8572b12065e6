"""One API process: how many commands it accepts a second from 32 clients, each waiting for its answer."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import psutil

from cli.token import signing_key
from infra.embedded.process import LOOPBACK, ChildProcess, free_port
from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics
from infra.postgres.migrations import upgrade
from infra.settings import Settings
from tests.chaos.roles import environment
from tests.chaos.tokens import Tokens
from tests.http_client import Connection, ConnectionLostError, request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack import Stack

PARTITIONS = 8
CLIENTS = 32
SECONDS = 10.0
WARM_UP_S = 2.0
START_DEADLINE_S = 60.0
BODY = orjson.dumps({"items": [{"price_id": "film-0:eur"}]})


def run(stack: Stack) -> dict[str, Any]:
    """Measure the process on the shared broker and a database of its own, with nobody behind it."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    with stack.fresh_database() as database_url, tempfile.TemporaryDirectory() as folder:
        upgrade(database_url)
        asyncio.run(create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS))
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=stack.kafka_bootstrap,
            database_url=database_url,
            topic_prefix=topics.prefix,
            partitions=PARTITIONS,
            data_dir=Path(folder),
        )
        signing_key(settings)
        port = free_port()
        told = {"API_PORT": str(port), "STRIPE_SECRET_KEY": "sk_test_none", "LOG_LEVEL": "WARNING"}
        api = ChildProcess(
            [sys.executable, "-m", "cli.main", "api"],
            log_path=settings.data_dir / "logs" / "api.log",
            environment=environment(settings, **told),
        )
        try:
            return asyncio.run(_measure(settings, topics, api, port))
        finally:
            api.kill()


async def _measure(settings: Settings, topics: Topics, api: ChildProcess, port: int) -> dict[str, Any]:
    await _until_live(api, port)
    tokens = Tokens(settings.data_dir)
    process = psutil.Process(api.pid)
    await _load(tokens, port, "warm-up", WARM_UP_S)
    before = await _sent(settings, topics)
    cpu_before, begin = sum(process.cpu_times()[:2]), time.perf_counter()
    latencies = await _load(tokens, port, "run", SECONDS)
    seconds, cpu_s = time.perf_counter() - begin, sum(process.cpu_times()[:2]) - cpu_before
    sent = await _sent(settings, topics) - before
    assert sent == len(latencies), f"{len(latencies)} commands were accepted and {sent} are on the topic"
    return {
        "clients": CLIENTS,
        "accepted_per_s": round(len(latencies) / seconds),
        "cpu_us_per_command": round(cpu_s / len(latencies) * 1e6),
        "latency_p50_ms": round(statistics.median(latencies) * 1e3, 1),
        "latency_p99_ms": round(statistics.quantiles(latencies, n=100)[98] * 1e3, 1),
        "memory_mib": round(process.memory_info().rss / 2**20),
    }


async def _until_live(api: ChildProcess, port: int) -> None:
    raw = request_bytes("GET", "/health/live", host=f"{LOOPBACK}:{port}", headers={})
    connection, deadline = Connection(LOOPBACK, port), time.monotonic() + START_DEADLINE_S
    while True:
        assert api.is_running() and time.monotonic() < deadline, api.log_tail()  # noqa: PT018
        try:
            if (await connection.send(raw)).status == 200:
                break
        except ConnectionLostError:
            await asyncio.sleep(0.1)
    await connection.close()


async def _load(tokens: Tokens, port: int, run: str, seconds: float) -> list[float]:
    """Let every client send one command after another; how long each answer took, in seconds."""
    latencies: list[float] = []
    until = time.perf_counter() + seconds

    async def client(number: int) -> None:
        connection = Connection(LOOPBACK, port)
        for raw in _requests(tokens.of(f"client-{number}"), port, run):
            begin = time.perf_counter()
            if begin > until:
                break
            answer = await connection.send(raw)
            assert answer.status == 202, answer
            latencies.append(time.perf_counter() - begin)
        await connection.close()

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return latencies


def _requests(token: str, port: int, run: str) -> Iterator[bytes]:
    """The same order over and over, each time with a key of its own: another command."""
    head = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    mark = "idempotency-key-goes-here"
    raw = request_bytes(
        "POST", "/v1/orders", host=f"{LOOPBACK}:{port}", headers=head | {"idempotency-key": mark}, body=BODY
    )
    first, _, last = raw.partition(mark.encode())
    number = 0
    while True:
        number += 1
        yield first + f"{run}-{number}".encode() + last


async def _sent(settings: Settings, topics: Topics) -> int:
    """How many commands the broker has; the topic of commands has no gaps."""
    async with open_log(settings.kafka_bootstrap, topics.commands) as log:
        return sum((await log.end_offsets()).values())
