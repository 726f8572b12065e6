"""A small HTTP client for load: persistent connections and nothing else, so that it costs little."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson

HEAD_BYTES_MAX = 64 * 1024


class ConnectionLostError(Exception):
    """No whole answer came: what was asked may have happened or not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """The body, which has to be JSON."""
        return orjson.loads(self.body)


def request_bytes(method: str, path: str, *, host: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if body or method != "GET":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class Connection:
    """One connection, made anew when it breaks; one request at a time."""

    host: str
    port: int
    deadline_s: float = 30.0
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def send(self, raw: bytes) -> Answer:
        """Send a request and read its answer. Raises ConnectionLostError; nothing is repeated by itself."""
        try:
            async with asyncio.timeout(self.deadline_s):
                if self._writer is None or self._writer.is_closing():
                    self._reader, self._writer = await asyncio.open_connection(
                        self.host, self.port, limit=HEAD_BYTES_MAX
                    )
                assert self._reader is not None
                self._writer.write(raw)
                return await self._read(self._reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            await self.close()
            raise ConnectionLostError(repr(error)) from error
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = await reader.readexactly(length) if length else b""
        if headers.get("connection", "").lower() == "close":
            await self.close()
        return Answer(int(first.split(" ", 2)[1]), headers, body)


@dataclass(slots=True)
class Client:
    """A pool of connections to one server."""

    host: str
    port: int
    deadline_s: float = 30.0
    _idle: list[Connection] = field(default_factory=list)

    async def request(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request on whatever connection is free. Raises ConnectionLostError."""
        connection = self._idle.pop() if self._idle else Connection(self.host, self.port, self.deadline_s)
        raw = request_bytes(method, path, host=f"{self.host}:{self.port}", headers=headers or {}, body=body)
        answer = await connection.send(raw)
        self._idle.append(connection)
        return answer

    async def close(self) -> None:
        """Let go of all connections."""
        for connection in self._idle:
            await connection.close()
        self._idle.clear()
