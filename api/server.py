"""The process: `billing api`. A server that bounds what a stranger may send before there is a request to answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.app import create_app
from api.edge import new_request_id
from api.problems import CONTENT_TYPE, Problem
from infra.oidc_keys import require_identity

if TYPE_CHECKING:
    import asyncio

    from infra.settings import Settings

HEAD_BYTES_MAX = 64 * 1024
HEAD_DEADLINE_S = 20.0
KEEP_ALIVE_S = 65
"""Longer than the minute that proxies in front keep a connection, so that it is they who close it."""
_GRACEFUL_SHUTDOWN_S = 5


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; what is under way is answered first. Raises SettingsInvalidError."""
    require_identity(settings)
    server = uvicorn.Server(config_of(settings))
    server.run()
    if not server.started:
        sys.exit(1)


def config_of(settings: Settings) -> uvicorn.Config:
    """How the API is served."""
    return uvicorn.Config(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on what a proxy says of its client
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACEFUL_SHUTDOWN_S,
    )


class BoundedProtocol(HttpToolsProtocol):
    """HTTP by uvicorn and httptools, which know no bound for the head of a request, neither in bytes nor in time."""

    _is_in_head = False
    _head_bytes = 0
    _head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A new connection has to say something, and soon."""
        super().connection_made(transport)
        self._head_deadline = self.loop.call_later(HEAD_DEADLINE_S, self._close_late)

    def data_received(self, data: bytes) -> None:
        """Read what came; a head that does not end in time and within its bounds ends the connection."""
        super().data_received(data)
        if not self._is_in_head:
            self._head_bytes = 0
            self._forget_deadline()
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._is_in_head = False
            self._refuse(Problem("head_too_large", f"The head of a request has at most {HEAD_BYTES_MAX} bytes."))
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_DEADLINE_S, self._close_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._forget_deadline()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Bytes that are no HTTP get a problem, as everything else does."""
        self._is_in_head = False
        self._refuse(Problem("request_malformed", msg))

    def _unsupported_upgrade_warning(self) -> None:
        """A client that wants another protocol gets HTTP, and no line in our log."""

    def _refuse(self, problem: Problem) -> None:
        body = problem.encoded(new_request_id())
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: {CONTENT_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _close_late(self) -> None:
        self._head_deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _forget_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
