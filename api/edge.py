"""The outermost layer: a name for every request, one line in the log, headers of safety, and no stack trace outside."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from api.errors import problem_of
from api.problems import CONTENT_TYPE, Problem
from infra.logging import get_logger

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send
    from structlog.typing import FilteringBoundLogger

    from api.metrics import Metrics

log = get_logger("api.http")

_SCOPE_KEY = "billing.request_id"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499
_APOLOGY = "Something went wrong on our side. It has been noted under the request_id; please try again."
_SAFETY: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_API_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_DOCS_POLICY = (
    b"content-security-policy",
    (
        b"default-src 'none'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; "
        b"script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
    ),
)
_NO_STORE = (b"cache-control", b"no-store")

_names = random.Random()  # noqa: S311  a name has to be unique, not secret, and this asks the kernel only once


def new_request_id() -> str:
    """A name that no other request has."""
    return f"{_names.getrandbits(128):032x}"


def request_id_of(scope: Scope) -> str:
    """The name of a request: it stands in the answer, in the log, and in every record that the request causes."""
    request_id: str = scope[_SCOPE_KEY]
    return request_id


class Edge:
    """Wraps the whole application. Plain ASGI: a request costs two function calls more, and no task."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access_log: FilteringBoundLogger) -> None:
        self._app = app
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens inside."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = new_request_id()
        scope[_SCOPE_KEY] = request_id
        status = 0
        is_complete = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message["headers"], request_id, scope["path"])
            else:
                is_complete = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = status or _CLIENT_GONE
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                log.exception("http.request.failed", request_id=request_id, route=_route_of(scope))
                problem = Problem("internal_error", _APOLOGY)
            if not status:
                await send_problem(problem, request_id, send_with_headers)
            elif not is_complete:
                raise  # half an answer is out: the connection has to end
        finally:
            self._finish(scope, request_id, status, time.perf_counter() - started)

    def _finish(self, scope: Scope, request_id: str, status: int, duration_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = _route_of(scope)
        self._metrics.finished(method, route, status, duration_s)
        self._access_log.info(
            "http.request.finished",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            duration_ms=round(duration_s * 1000, 2),
        )


async def send_problem(problem: Problem, request_id: str, send: Send) -> None:
    """Answer with a problem."""
    body = problem.encoded(request_id)
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in problem.headers.items()]
    headers += [(b"content-type", CONTENT_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _route_of(scope: Scope) -> str:
    """The template of the route, such as `/v1/orders/{order_id}`."""
    route: Any = scope.get("route")
    return getattr(route, "path_format", None) or "unmatched"


def _add_headers(headers: list[tuple[bytes, bytes]], request_id: str, path: str) -> None:
    headers += _SAFETY
    headers.append(_DOCS_POLICY if path == "/docs" else _API_POLICY)
    headers.append((b"x-request-id", request_id.encode()))
    if not any(name == b"cache-control" for name, _ in headers):
        headers.append(_NO_STORE)
