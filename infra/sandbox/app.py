"""The sandbox as an ASGI application, and the program that serves it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Any

import orjson
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.clock import clock_of
from infra.sandbox import checkout, events, idempotency, refunds
from infra.sandbox.control import Controls
from infra.sandbox.deliveries import Sender
from infra.sandbox.errors import InvalidParameterError
from infra.sandbox.faults import Switches
from infra.sandbox.hosted import HostedPages
from infra.sandbox.ledger import Ledger, LedgerClosedError
from infra.sandbox.service import Call, Reply, Service
from infra.sandbox.settings import DEFAULT_SECRET_KEY, DEFAULT_WEBHOOK_SECRET, SandboxSettings
from infra.sandbox.store import Store
from infra.stripe.names import HANDLED_EVENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from domain.ports import Clock
    from infra.sandbox.store import Transaction
    from infra.settings import Settings

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = structlog.get_logger(__name__)

HOUSEKEEPING_S = 0.5
"""How often the clock is looked at: for sessions that expire and refunds that settle."""

HOUSEKEEPING_LENGTH_MAX = 200
TRANSPORT = "billing.transport"


class Sandbox:
    """The application. Its lifespan opens the books, and closes them."""

    def __init__(self, settings: SandboxSettings, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self._switches = Switches()
        self._ledger: Ledger | None = None
        self._sender: Sender | None = None
        self._housekeeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Opens the books, and goes on where a killed sandbox stopped. Raises `StoreError`."""
        settings = self.settings
        store = Store(settings.data_dir / "sandbox.db")
        ledger = Ledger(
            store, self._clock, queue_length_max=settings.queue_length_max, batch_length_max=settings.batch_length_max
        )
        ledger.start()
        self._ledger = ledger
        await ledger.run(lambda tx: events.configure(tx, settings))
        await ledger.run(self._switches.load)
        self._service = Service(ledger, settings, self._switches)
        self._pages = HostedPages(ledger, settings)
        self._controls = Controls(ledger, settings, self._switches)
        self._sender = Sender(ledger, settings, self._switches)
        self._sender.start()
        self._housekeeper = asyncio.create_task(self._keep_house(ledger), name="sandbox-housekeeping")

    async def stop(self) -> None:
        """Stops sending and closes the books."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        if self._sender is not None:
            await self._sender.stop()
        if self._ledger is not None:
            await self._ledger.stop()

    async def _keep_house(self, ledger: Ledger) -> None:
        with contextlib.suppress(LedgerClosedError):
            while True:
                try:
                    await ledger.run(self._what_is_due)
                except LedgerClosedError:
                    raise
                except Exception:
                    log.exception("sandbox.housekeeping_broke")
                await asyncio.sleep(HOUSEKEEPING_S)

    def _what_is_due(self, tx: Transaction) -> None:
        rows = tx.rows(
            "SELECT id, kind FROM objects WHERE due <= ? ORDER BY due LIMIT ?", (tx.now, HOUSEKEEPING_LENGTH_MAX)
        )
        for identifier, kind in rows:
            body = tx.get(kind, identifier)
            if kind == "checkout.session" and body["status"] == "open":
                checkout.expire_session(tx, body)
            elif kind == "refund":
                refunds.settle(tx, body)
            else:
                tx.update(body)
        idempotency.forget_old(tx, lifetime_s=self.settings.idempotency_seconds)
        tx.execute(
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE created <= ? AND seq NOT IN "
            "(SELECT event_seq FROM deliveries) LIMIT ?)",
            (tx.now - self.settings.event_seconds, HOUSEKEEPING_LENGTH_MAX),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except Exception as error:
            await self.stop()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive, self.settings.request_bytes_max)
        if body is None:
            error = InvalidParameterError("The request body is too large.")
            await _send(send, Reply(status=413, body=orjson.dumps(error.body())))
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path: str = scope["path"]
        call = Call(method=scope["method"], path=path, query=scope["query_string"], headers=headers, body=body)
        if path.startswith("/v1/") or path == "/v1":
            reply = await self._service.call(call)
        elif path.startswith("/_sandbox"):
            client = scope.get("client")
            reply = await self._controls.call(call, client[0] if client else None)
        else:
            reply = await self._pages.call(call)
        if reply.silence:
            await _keep_silent(receive, self.settings.hang_s_max)
            _reset(scope)
        elif reply.reset:
            _reset(scope)
        else:
            await _send(send, reply)


async def _body(receive: Receive, bytes_max: int) -> bytes | None:
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(chunks)
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > bytes_max:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(send: Send, reply: Reply) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body)), **reply.headers}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    await send({"type": "http.response.body", "body": reply.body})


async def _keep_silent(receive: Receive, seconds: float) -> None:
    """Holds the connection until the client has had enough."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass


def _reset(scope: Scope) -> None:
    """Cuts the connection with a TCP reset; raises where the server gives no access to it."""
    transport = scope.get("extensions", {}).get(TRANSPORT, {}).get("transport")
    if transport is None:
        raise ConnectionResetError("a fault of the sandbox resets this connection")
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class ResettableProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also gives the application its transport, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        """A request begins: its scope gets the transport."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


def create_app(settings: SandboxSettings, clock: Clock) -> Sandbox:
    """The application for a server or a test; its lifespan has to run."""
    return Sandbox(settings, clock)


def server(settings: SandboxSettings, app: Any) -> uvicorn.Server:
    """A server that is not yet running, for the application or for something around it."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=ResettableProtocol,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def settings_of(settings: Settings) -> SandboxSettings:
    """What the product's settings say to the sandbox: keys that it shares with the adapter, and where the API is."""
    webhook_secrets = [secret.get_secret_value() for secret in settings.stripe_webhook_secrets]
    return SandboxSettings(
        data_dir=settings.data_dir,
        host=settings.sandbox_host,
        port=settings.sandbox_port,
        public_url=settings.sandbox_url,
        secret_key=settings.stripe_secret_key.get_secret_value() or DEFAULT_SECRET_KEY,
        webhook_url=settings.sandbox_webhook_url or f"{settings.api_url}/v1/webhooks/stripe",
        webhook_secret=webhook_secrets[0] if webhook_secrets else DEFAULT_WEBHOOK_SECRET,
        webhook_events=HANDLED_EVENTS,
    )


def run(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. Exits with a status other than 0 if the port or the books cannot be had."""
    if settings.environment == "production":
        log.error("sandbox.refused", reason="the sandbox moves no money; it has no place in production")
        raise SystemExit(1)
    sandbox_settings = settings_of(settings)
    running = server(sandbox_settings, create_app(sandbox_settings, clock_of(settings)))
    running.run()
    if not running.started:
        raise SystemExit(1)
