"""A call of the API from its bytes to its bytes: key, faults, idempotency, handler, answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import structlog

from infra.sandbox import idempotency
from infra.sandbox.errors import (
    ApiError,
    AuthenticationError,
    BrokenError,
    IdempotencyInUseError,
    InjectedError,
    UnknownRouteError,
)
from infra.sandbox.faults import Fault, Kind, Switches, first
from infra.sandbox.forms import Params, decode
from infra.sandbox.idempotency import Key, SavedAnswer
from infra.sandbox.ledger import LedgerClosedError
from infra.sandbox.requests import Answer, Handler, Json, Request
from infra.sandbox.routes import ROUTES, Router
from infra.stripe.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.sandbox.ledger import Ledger
    from infra.sandbox.settings import SandboxSettings
    from infra.sandbox.store import Transaction

log = structlog.get_logger(__name__)

HEADER_VALUE_ALPHABET = frozenset(map(chr, range(32, 127)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An HTTP request of a client of the API."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back; `silence` and `reset` are faults that keep it from arriving."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    silence: bool = False
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A call that is known and allowed, with the faults that hit it."""

    call: Call
    handler: Handler
    names: dict[str, str]
    request_id: str
    key: Key | None
    hits: Mapping[Kind, Fault]


class Service:
    """The API without its transport."""

    def __init__(self, ledger: Ledger, settings: SandboxSettings, switches: Switches) -> None:
        self._ledger = ledger
        self._settings = settings
        self._switches = switches
        self._router = Router(ROUTES)
        self._keys_in_use: set[str] = set()

    async def call(self, call: Call) -> Reply:
        """Answers a call. Never raises."""
        request_id = f"req_{secrets.token_urlsafe(12)}"
        headers = {"Request-Id": request_id, "Stripe-Version": call.headers.get("stripe-version", API_VERSION)}
        try:
            reply = await self._call(call, request_id)
        except ApiError as error:
            reply = Reply(status=error.status, body=orjson.dumps(error.body()))
        except LedgerClosedError:
            reply = Reply(status=503, body=orjson.dumps(BrokenError().body()))
        except Exception:
            log.exception("sandbox.request_broke", path=call.path)
            reply = Reply(status=500, body=orjson.dumps(BrokenError().body()))
        headers.update(reply.headers)
        return Reply(
            status=reply.status, body=reply.body, headers=_sendable(headers), silence=reply.silence, reset=reply.reset
        )

    async def _call(self, call: Call, request_id: str) -> Reply:
        authenticate(call.headers, self._settings.secret_key)
        found = self._router.find(call.method, call.path)
        if found is None:
            raise UnknownRouteError(
                f"Unrecognized request URL ({call.method}: {call.path[:200]}). "
                "The sandbox offers a part of Stripe's API."
            )
        handler, names, _ = found
        key = None
        if call.method == "POST":
            key = idempotency.key_of(call.headers.get("idempotency-key"), call.path, call.body)
        errand = Errand(
            call=call,
            handler=handler,
            names=names,
            request_id=request_id,
            key=key,
            hits={} if self._switches.idle else self._switches.hits(method=call.method, path=call.path),
        )
        if key is None:
            return await self._run(errand)
        if key.name in self._keys_in_use:
            raise IdempotencyInUseError(
                "There is currently another in-progress request using this Idempotency Key. Please try again later.",
                code="idempotency_key_in_use",
            )
        self._keys_in_use.add(key.name)
        try:
            return await self._run(errand)
        finally:
            self._keys_in_use.discard(key.name)

    async def _run(self, errand: Errand) -> Reply:
        call, key, hits = errand.call, errand.key, errand.hits
        if hits:
            await self._ledger.run(self._switches.save_counts)
        if (slow := hits.get(Kind.LATENCY)) is not None:
            await asyncio.sleep(slow.delay_ms / 1000)
        if (refusal := hits.get(Kind.REFUSE)) is not None:
            raise InjectedError(refusal.status, remembered=False)
        if Kind.RESET in hits or Kind.TIMEOUT_BEFORE in hits:
            return Reply(status=500, body=b"", reset=Kind.RESET in hits, silence=Kind.RESET not in hits)
        params = decode(call.body if call.method == "POST" else call.query)

        def work(tx: Transaction) -> tuple[SavedAnswer, bool]:
            request = Request(
                method=call.method,
                path=call.path,
                params=Params(params),
                settings=self._settings,
                names=errand.names,
                hits=hits,
            )
            return _answer(tx, errand, request)

        answer, replayed = await self._ledger.run(work, request_id=errand.request_id, key=key.name if key else None)
        headers = {}
        if key is not None:
            headers["Idempotency-Key"] = key.name
        if replayed:
            headers |= {"Idempotent-Replayed": "true", "Original-Request": answer.request_id}
        return Reply(
            status=answer.status,
            body=answer.body,
            headers=headers,
            silence=Kind.TIMEOUT in hits,
            reset=Kind.RESET_AFTER in hits,
        )


def _answer(tx: Transaction, errand: Errand, request: Request) -> tuple[SavedAnswer, bool]:
    """Works on a request inside its transaction: the objects, the webhooks and the key's record commit together.

    Returns the answer, and whether it was given before.
    """
    key = errand.key
    if key is not None:
        saved = idempotency.recall(tx, key, lifetime_s=request.settings.idempotency_seconds)
        if saved is not None:
            return saved, True
    broken = first(errand.hits, Kind.ERROR, Kind.ERROR_AFTER)
    status, body, remembered = 200, Json(), True
    tx.execute("SAVEPOINT handler")
    try:
        if broken is not None and broken.kind is Kind.ERROR:
            raise InjectedError(broken.status, remembered=True)
        result = errand.handler(tx, request)
        status, body = (result.status, result.body) if isinstance(result, Answer) else (200, result)
        if broken is not None:
            injected = InjectedError(broken.status, remembered=True)
            status, body = injected.status, injected.body()
    except ApiError as error:
        tx.roll_back_to("handler")
        status, body, remembered = error.status, error.body(), error.remembered
    except Exception:
        log.exception("sandbox.handler_broke", path=request.path)
        tx.roll_back_to("handler")
        status, body = 500, BrokenError().body()
    tx.execute("RELEASE handler")
    answer = SavedAnswer(status=status, body=orjson.dumps(body), request_id=errand.request_id)
    if key is not None and remembered:
        idempotency.remember(tx, key, answer)
    return answer, False


def authenticate(headers: Mapping[str, str], secret_key: str) -> None:
    """Takes the key as Stripe does: as a bearer token, or as the user name of basic authentication."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    given = ""
    if scheme.lower() == "bearer":
        given = value.strip()
    elif scheme.lower() == "basic":
        try:
            given = base64.b64decode(value, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    if not given:
        raise AuthenticationError(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using "
            "Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    if not secrets.compare_digest(given.encode(), secret_key.encode()):
        raise AuthenticationError("Invalid API Key provided.")


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    """A client's text that is echoed in a header may not become another header."""
    return {name: "".join(c for c in value if c in HEADER_VALUE_ALPHABET)[:300] for name, value in headers.items()}
