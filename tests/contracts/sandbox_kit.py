"""A sandbox for tests: served on a port of its own, with a clock to move and a place where its webhooks arrive."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import stripe

from infra.sandbox.app import create_app, server
from infra.sandbox.settings import DEFAULT_SECRET_KEY, DEFAULT_WEBHOOK_SECRET, SandboxSettings
from infra.trust import authorities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from uvicorn import Server

Json = dict[str, Any]

DEADLINE_S = 60.0
RECORD_PATH = "BILLING_RECORD_SANDBOX"
"""Name of a variable: where every answer is written, for the judges to look at."""


def wait_for(condition: Callable[[], Any], *, what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of the condition; fails with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline_s} s: {what}")


class MovableClock:
    """The machine's time plus what a test adds."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The moved present."""
        return datetime.now(UTC) + self.offset

    def advance(self, **parts: int) -> None:
        """Moves on."""
        self.offset += timedelta(**parts)


@dataclass
class Delivered:
    """A webhook as it arrived."""

    payload: bytes
    signature: str
    status: int
    """What was answered."""

    @property
    def event(self) -> Json:
        """The body, unverified."""
        parsed: Json = json.loads(self.payload)
        return parsed


@dataclass
class Receiver:
    """A webhook endpoint; `statuses` are given as answers one after the other, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    delivered: list[Delivered] = field(default_factory=list)

    def of_type(self, type_: str) -> list[Delivered]:
        """What arrived of one type of event."""
        return [item for item in list(self.delivered) if item.event["type"] == type_]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Serves a receiver."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            payload = self.rfile.read(length)
            if len(payload) < length:
                return  # its sender was killed in the middle of it
            status = receiver.statuses.pop(0) if receiver.statuses else 200
            receiver.delivered.append(Delivered(payload, self.headers["Stripe-Signature"], status))
            record({"webhook": True, "body": payload.decode()})
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Keeps the tests' output clean."""

    class Endpoint(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A sender that is killed breaks its connections; that is the sender's test, not ours."""

    httpd = Endpoint(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{httpd.server_address[1]}/hook"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


_record_lock = threading.Lock()


def record(entry: Json) -> None:
    """Writes what the sandbox said down, if the judges asked for it."""
    path = os.environ.get(RECORD_PATH)
    if path:
        with _record_lock, open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def recorder(app: Any) -> Any:
    """The application, with every answer of its API written down."""

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
            await app(scope, receive, send)
            return
        status = 0

        async def listen(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                record(
                    {
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "body": message["body"].decode(),
                    }
                )
            await send(message)

        await app(scope, receive, listen)

    return recorded


class SandboxUnderTest:
    """A served sandbox, its SDK client, and what a customer's browser does."""

    def __init__(self, settings: SandboxSettings, clock: MovableClock) -> None:
        self.settings = settings
        self.clock = clock
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.http = httpx.Client(base_url=settings.base_url, timeout=DEADLINE_S, verify=authorities())
        self.client = client_of(settings.base_url)

    def start(self) -> None:
        """Serves in a thread of its own."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.settings.host, self.settings.port))
        running = server(self.settings, recorder(create_app(self.settings, self.clock)))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        self._server, self._thread = running, thread
        wait_for(lambda: running.started or not thread.is_alive(), what="the sandbox starts")
        assert running.started

    def stop(self) -> None:
        """Stops it in an orderly manner."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive()

    def control(self, method: str, path: str, body: Json | None = None) -> Json:
        """One of the sandbox's own calls."""
        answer = self.http.request(method, f"/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        parsed: Json = answer.json()
        return parsed

    def fault(self, kind: str, **fields: Any) -> None:
        """Switches a fault on."""
        self.control("POST", "faults", {"kind": kind, **fields})

    def books(self) -> list[Json]:
        """All entries of the books, read page by page."""
        entries: list[Json] = []
        after: int | None = 0
        while after is not None:
            page = self.control("GET", f"books?after={after}&limit=3")
            entries += page["entries"]
            after = page["next_after"]
        return entries

    def charges(self) -> list[Json]:
        """The charges that took money."""
        return [entry for entry in self.books() if entry["object"] == "charge" and entry["paid"]]

    def pay(self, url: str, card: str = "4242424242424242", **fields: str) -> httpx.Response:
        """Fills the form of the hosted page in and sends it, as a browser does."""
        page = self.http.get(url)
        assert page.status_code == 200, page.text
        return self.http.post(
            url, data={"action": "pay", "card_number": card, "expiry": "12 / 40", "cvc": "123", **fields}
        )

    def act(self, url: str, action: str) -> httpx.Response:
        """Presses another button."""
        return self.http.post(url, data={"action": action})


def client_of(url: str, key: str = DEFAULT_SECRET_KEY) -> stripe.StripeClient:
    """The official SDK, pointed at a sandbox."""
    return stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=0)


def alert_of(page: httpx.Response) -> str:
    """What the page says is wrong."""
    found = re.search(r'<p class="alert"[^>]*>(.*?)</p>', page.text)
    return unescape(found[1]) if found else ""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def served(data_dir: Path, receiver: Receiver | None = None, **overrides: Any) -> Iterator[SandboxUnderTest]:
    """A served sandbox in a directory; its retries are quick."""
    settings = SandboxSettings(
        data_dir=data_dir,
        port=free_port(),
        webhook_url=receiver.url if receiver else "",
        webhook_secret=DEFAULT_WEBHOOK_SECRET,
        webhook_retry_delay_s_min=0.05,
        webhook_retry_delay_s_max=0.2,
    )
    sandbox = SandboxUnderTest(replace(settings, **overrides), MovableClock())
    sandbox.start()
    try:
        yield sandbox
    finally:
        sandbox.stop()
        sandbox.http.close()


def session_params(payment_id: str = "payment-1", **changes: Any) -> Any:
    """A Checkout Session as our adapter asks for it."""
    return {
        "mode": "payment",
        "client_reference_id": payment_id,
        "success_url": "https://shop.example/thanks?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://shop.example/cart",
        "line_items": [
            {
                "price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "A film"}},
                "quantity": 1,
            }
        ],
        "metadata": {"payment_id": payment_id, "account": "alice"},
        "payment_intent_data": {
            "setup_future_usage": "off_session",
            "metadata": {"payment_id": payment_id, "account": "alice"},
        },
        "customer_creation": "always",
        **changes,
    }
