"""From a client's request to a command, and from its outcome to an answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starlette.responses import Response

from api.bodies import read_json
from api.dependencies import ID_LENGTH_MAX, principal_of, require_manager, services_of_request
from api.edge import request_id_of
from api.headers import idempotency_key, single_headers, wait_s
from api.intake import Known, Request
from api.problems import Problem
from domain.ids import AccountId, CommandId, derive
from infra.oidc import is_account
from projections.commands import PENDING, REJECTED
from schemas.http.commands import PendingAnswer
from schemas.http.fields import RequestModel

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request as HttpRequest

    from api.services import Services
    from infra.oidc import Principal
    from projections.commands import CommandView

Body = TypeVar("Body", bound=RequestModel)

POSITION_HEADER = "Billing-Position"
REPLAYED_HEADER = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Ask(Generic[Body]):
    """A client's request for a command, read and found to be in order as far as the edge can tell."""

    services: Services
    request: Request
    body: Body
    wait_s: int

    @property
    def account(self) -> str:
        """Whose command it is."""
        return self.request.account


@dataclass(frozen=True, slots=True)
class Answer:
    """The resource that a carried out command answers with."""

    content: BaseModel
    status: int = 200
    location: str | None = None


Show = Callable[["CommandView", float], Awaitable[Answer | None]]
"""Shows the resource of an accepted command, waiting for it until a deadline; None where it cannot be seen yet."""


async def read_ask(http: HttpRequest, model: type[Body], *, needs_manager: bool = False) -> Ask[Body]:
    """Read a request for a command. Raises Problem: who asks, the key, the body, in this order."""
    services = services_of_request(http)
    headers = single_headers(http.scope)
    principal = await principal_of(services, headers)
    if needs_manager:
        require_manager(principal)
    key = idempotency_key(headers)
    body = await read_json(http.receive, headers, model)
    request = Request(
        request_id=request_id_of(http.scope),
        account=principal.account,
        actor=actor_of(principal, is_manager=needs_manager),
        command_id=CommandId(derive(principal.account, f"command {key}")),
        body_hash=_hash(http.scope["method"], http.scope["path"], body),
    )
    return Ask(services, request, body, wait_s(headers))


def actor_of(principal: Principal, *, is_manager: bool) -> str:
    """Who asks, as the log has it: a manager is named as such where the command is one of managers alone."""
    return f"{'manager' if is_manager else 'user'}:{principal.account}"


def path_account(http: HttpRequest) -> AccountId:
    """The account in the address of a manager's request. Raises Problem where it can be none."""
    found = path_id(http, "account")
    if not is_account(found):
        raise Problem("not_found", "There is nothing at this address.")
    return AccountId(found)


def path_id(http: HttpRequest, name: str) -> str:
    """An id in the address. Raises Problem where it is like none of ours, before it gets into a record of the log."""
    found: str = http.path_params[name]
    if len(found) > ID_LENGTH_MAX or not found.isascii() or not found.isprintable():
        raise Problem("not_found", "There is nothing at this address.")
    return found


async def carry_out(ask: Ask[Any], key: str, data: Any, show: Show) -> Response:
    """Have the command carried out once, and answer: at once, or with the resource as soon as it is there.

    Raises Problem: the rejection of the command, or that the key was used with another body.
    """
    deadline = time.monotonic() + ask.wait_s
    known = await ask.services.intake.take(ask.request, key, data)
    _require_same_body(ask, known.body_hash)
    if not ask.wait_s:
        return _pending(ask, known)
    view = known.view
    if view is None or view.status == PENDING:
        with ask.services.metrics.waiting.track_inprogress():
            partition = ask.services.sender.partition_of(key.encode())
            view = await ask.services.lookups.wait_until_decided(ask.request.command_id, deadline, partition)
    if view is None:
        return _pending(ask, known)
    _require_same_body(ask, view.body_hash)
    known = Known(request_id=view.correlation_id, body_hash=view.body_hash, view=view)
    headers = _headers(ask, known)
    if view.status == REJECTED:
        raise rejection(view, headers)
    try:
        answer = await show(view, deadline)
    except Problem as problem:
        problem.headers |= headers
        raise
    if answer is None:
        return _pending(ask, known)
    if answer.location is not None:
        headers["Location"] = answer.location
    return _json(answer.content, answer.status, headers)


def rejection(view: CommandView, headers: dict[str, str] | None = None) -> Problem:
    """The problem of a rejected command."""
    extra: dict[str, Any] = {"command_id": view.id}
    if view.facts:
        extra["facts"] = view.facts
    return Problem(view.code or "rejected", view.detail or "The command was rejected.", extra=extra, headers=headers)


def _pending(ask: Ask[Any], known: Known) -> Response:
    """The command is in the log; its own address tells the rest."""
    command_id = ask.request.command_id
    headers = _headers(ask, known)
    headers["Location"] = f"/v1/commands/{command_id}"
    return _json(PendingAnswer(id=command_id), 202, headers)


def _headers(ask: Ask[Any], known: Known) -> dict[str, str]:
    """Where the outcome stands (or will stand), whether this is a repeat, and what was done about the preference."""
    decided = known.view is not None and known.view.position is not None
    position = known.view.position if known.view is not None and decided else f"command:{ask.request.command_id}"
    headers = {POSITION_HEADER: str(position)}
    if known.request_id != ask.request.request_id:
        headers[REPLAYED_HEADER] = "true"
        ask.services.metrics.replays.inc()
    if ask.wait_s:
        headers["Preference-Applied"] = f"wait={ask.wait_s}"
    return headers


def _require_same_body(ask: Ask[Any], body_hash: str | None) -> None:
    if body_hash != ask.request.body_hash:
        ask.services.intake.forget(ask.request.command_id)
        raise Problem(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request; use a new key for a new request.",
            extra={"command_id": ask.request.command_id},
        )


def _json(content: BaseModel, status: int, headers: dict[str, str]) -> Response:
    return Response(
        content.__pydantic_serializer__.to_json(content), status, headers=headers, media_type="application/json"
    )


def _hash(method: str, path: str, body: RequestModel) -> str:
    """What makes a request the same one: method, address, and what was understood of its body.

    Spaces, the order of fields, and fields that say what is assumed anyway make no other request.
    """
    canonical = body.model_dump_json(exclude_defaults=True)
    return hashlib.sha256(f"{method}\n{path}\n{canonical}".encode()).hexdigest()
