"""A proxy in front of a broker: it cuts all connections, at once or at a request, or holds one EndTxn back.

The latter reproduces what a network may do: a request is under way, its connection breaks, the client repeats it over
another one, and the first copy arrives late.
"""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from infra.embedded.kafka import EmbeddedKafka
from infra.embedded.process import LOOPBACK

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from pathlib import Path

PRODUCE, ADD_PARTITIONS_TO_TXN, END_TXN = 0, 24, 26
ARRIVAL_S = 0.3
"""How long the late request has to arrive and do its harm before traffic goes on."""


class ProxiedKafka(EmbeddedKafka):
    """A broker that tells clients the address of the proxy instead of its own."""

    def __init__(self, data_dir: Path, *, proxy_port: int) -> None:
        super().__init__(data_dir)
        self._proxy_port = proxy_port

    def _write_configuration(self, home: Path) -> Path:
        properties = super()._write_configuration(home)
        own = f"advertised.listeners=PLAINTEXT://{LOOPBACK}:{self.port}"
        text = properties.read_text("utf-8")
        assert own in text
        properties.write_text(text.replace(own, own.replace(str(self.port), str(self._proxy_port))), "utf-8")
        return properties


class Proxy:
    """Passes frames on; on demand it cuts every connection, at once or at a request, or delays one EndTxn."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port = port
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], StreamWriter] = {}
        self._held: tuple[StreamWriter, bytes] | None = None
        self._is_armed = False
        self._cut_at: tuple[int, bool] | None = None
        self.delays = 0
        """How many EndTxn requests arrived late so far."""
        self.cuts = 0
        """How many requests everything was cut at so far."""

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)

    async def stop(self) -> None:
        """Cut every connection, and take no new ones."""
        assert self._server is not None
        self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Cut every connection; new ones are taken."""
        tasks = tuple(self._clients)
        self._abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut_at_next(self, kind: int, *, has_arrived: bool) -> None:
        """Cut every connection at the next request of a kind: before the broker has it, or before it can answer."""
        self._cut_at = (kind, has_arrived)

    def _cut_here(self) -> None:
        self._cut_at, self.cuts = None, self.cuts + 1
        self._abort()

    def _abort(self) -> None:
        for client in self._clients.values():
            client.transport.abort()

    def delay_next_end(self) -> None:
        """Hold the next EndTxn, break its connection, and release it after the next batch that is produced."""
        self._is_armed = True

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        with suppress(asyncio.IncompleteReadError, OSError):
            try:
                await self._join(reader, writer)
            finally:
                writer.close()
                del self._clients[task]

    async def _join(self, reader: StreamReader, writer: StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(LOOPBACK, self._broker_port)
        answers = asyncio.create_task(_pump(upstream_reader, writer))
        try:
            await self._forward(reader, writer, upstream)
        finally:
            if self._held is None or self._held[0] is not upstream:
                upstream.close()
            answers.cancel()

    async def _forward(self, reader: StreamReader, writer: StreamWriter, upstream: StreamWriter) -> None:
        while True:
            head = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack(">i", head)[0])
            kind = struct.unpack(">h", body[:2])[0]
            if kind == END_TXN and self._is_armed:
                self._is_armed, self._held = False, (upstream, head + body)
                writer.close()  # the client sees a reset; the way to the broker stays open
                return
            if self._cut_at == (kind, False):
                self._cut_here()
                return
            upstream.write(head + body)
            await upstream.drain()
            if self._cut_at == (kind, True):
                self._cut_here()
                return
            if kind == PRODUCE and self._held is not None:
                await asyncio.sleep(ARRIVAL_S)  # until the broker has the batch
                await self._release()

    async def _release(self) -> None:
        assert self._held is not None
        (upstream, frame), self._held = self._held, None
        upstream.write(frame)
        await upstream.drain()
        self.delays += 1
        await asyncio.sleep(ARRIVAL_S)
        upstream.close()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        while data := await reader.read(65536):
            if not writer.is_closing():
                writer.write(data)
                await writer.drain()
    writer.close()
