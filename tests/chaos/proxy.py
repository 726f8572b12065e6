"""A proxy in front of a broker: it cuts all connections, or holds one EndTxn back until the next transaction is open.

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

PRODUCE, END_TXN = 0, 26
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
    """Passes frames on; on demand it cuts every connection, or delays one EndTxn."""

    def __init__(self, port: int, broker_port: int) -> None:
        self.port = port
        self._broker_port = broker_port
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.Task[None], StreamWriter] = {}
        self._held: tuple[StreamWriter, bytes] | None = None
        self._is_armed = False
        self._steps_to_cut: int | None = None
        self.delays = 0
        """How many EndTxn requests arrived late so far."""

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
        self._abort_all()
        await asyncio.gather(*tasks, return_exceptions=True)

    def cut_at(self, step: int) -> None:
        """Cut once, later: 0 is before the next request, 1 after it (its answer is lost), 2 before the second, …"""
        self._steps_to_cut = step

    def cancel_cut(self) -> bool:
        """Whether the cut was still to come."""
        steps, self._steps_to_cut = self._steps_to_cut, None
        return steps is not None

    def _abort_all(self) -> None:
        for client in self._clients.values():
            client.transport.abort()

    def _cuts_now(self) -> bool:
        """Count a step, and cut where it is the one."""
        if self._steps_to_cut is None:
            return False
        if self._steps_to_cut > 0:
            self._steps_to_cut -= 1
            return False
        self._steps_to_cut = None
        self._abort_all()
        return True

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
            if self._cuts_now():
                return
            if kind == END_TXN and self._is_armed:
                self._is_armed, self._held = False, (upstream, head + body)
                writer.close()  # the client sees a reset; the way to the broker stays open
                return
            upstream.write(head + body)
            await upstream.drain()
            if self._cuts_now():
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
