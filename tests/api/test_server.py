"""The server itself, over real connections: bytes that are no request, and requests that never end."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
import uvicorn

from api.server import HEAD_BYTES_MAX, config_of
from infra.embedded.process import LOOPBACK, free_port
from infra.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WAIT_S = 60.0


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that has neither broker nor database, which none of this needs."""
    with _serving() as found:
        yield found


@contextmanager
def _serving() -> Iterator[int]:
    port = free_port()
    settings = Settings(
        _env_file=None,
        api_port=port,
        kafka_bootstrap=f"{LOOPBACK}:1",
        database_url=f"postgresql://postgres@{LOOPBACK}:1/x",
    )
    server = uvicorn.Server(config_of(settings))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + WAIT_S
    while not server.started:
        assert thread.is_alive()
        assert time.monotonic() < deadline
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


async def _say(port: int, parts: Iterable[bytes]) -> bytes:
    """Send, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(WAIT_S):
            try:
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


def _is_problem(answer: bytes, status: int, code: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head.lower()
    assert orjson.loads(body)["code"] == code


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/orders HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT evil:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request(port: int, sent: bytes) -> None:
    answer = await _say(port, [sent])
    _is_problem(answer, 400, "request_malformed")


@pytest.mark.parametrize("line", [b"X-A: " + b"a" * 1000 + b"\r\n", b"a" * 1000])
async def test_head_that_does_not_end_is_cut_off(port: int, line: bytes) -> None:
    begin = b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: "
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        async with asyncio.timeout(WAIT_S):
            writer.write(begin + line * (HEAD_BYTES_MAX // len(line) - 1))
            await writer.drain()
            writer.write(line * 2)
            answer = await reader.read()
    finally:
        writer.close()
    _is_problem(answer, 431, "head_too_large")


async def test_head_that_does_not_come_ends_the_connection(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.server.HEAD_DEADLINE_S", 0.2)
    assert await _say(port, []) == b""
    assert await _say(port, [b"GET /health/live HTTP/1.1\r\nHost"]) == b""
    # A second request on the same connection is watched like the first.
    answer = await _say(port, [b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /health/live HT"])
    assert answer.endswith(b'{"status":"ok"}')


async def test_requests_in_a_row_are_answered_in_their_order(port: int) -> None:
    last = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await _say(port, [b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + last])
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.rindex(b"200 OK") < answer.index(b"404 Not Found")


async def test_other_protocols_get_http(port: int) -> None:
    upgrade = (
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert (await _say(port, [upgrade])).startswith(b"HTTP/1.1 200 OK")


async def test_names_nobody(port: int) -> None:
    answer = await _say(port, [b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"])
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"uvicorn" not in answer.lower()
