"""What routes ask for, as annotated dependencies."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from api.headers import CommandPosition, EventPosition, billing_position, single_headers
from api.problems import Problem, unauthorized
from api.reading import reading
from api.services import Services
from infra.oidc import KeysUnavailableError, Principal, TokenError
from projections.paging import CURSOR_MAX, PAGE_MAX

if TYPE_CHECKING:
    from starlette.types import Scope

POSITION_WAIT_S_MAX = 5.0
ID_LENGTH_MAX = 200
MANAGER_ROLES = frozenset({"manager", "admin"})


def services_of_request(request: Request) -> Services:
    """The services of the application."""
    services: Services = request.scope["state"]["services"]
    return services


async def _services(request: Request) -> Services:
    """The same as a dependency: FastAPI would call a plain function in a thread."""
    return services_of_request(request)


async def principal_of(services: Services, headers: dict[bytes, bytes]) -> Principal:
    """Who asks. Raises Problem: no token, one that proves nothing, or no keys to judge it by."""
    value = headers.get(b"authorization")
    if value is None:
        raise unauthorized("token_missing", "Send an access token: Authorization: Bearer <token>.")
    scheme, _, token = value.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("token_malformed", "The Authorization header must be: Bearer <token>.")
    try:
        return await services.verifier.verify(token.strip())
    except TokenError as error:
        raise unauthorized(error.code, error.detail) from error
    except KeysUnavailableError as error:
        raise Problem(
            "identity_provider_unavailable",
            "Nobody can be let in at the moment: the identity provider's keys cannot be read.",
            headers={"Retry-After": "2"},
        ) from error


def require_manager(principal: Principal) -> None:
    """Raises Problem where the principal is neither manager nor admin."""
    if not principal.roles & MANAGER_ROLES:
        raise Problem("role_missing", "This needs the role manager or admin.")


async def _current_principal(request: Request) -> Principal:
    return await principal_of(services_of_request(request), single_headers(request.scope))


async def _current_manager(request: Request) -> Principal:
    principal = await _current_principal(request)
    require_manager(principal)
    return principal


async def _reader(request: Request) -> AsyncIterator[AsyncConnection]:
    """A connection to read models that have reached the position that the client names."""
    services = services_of_request(request)
    await reach_position(services, request.scope)
    async with reading(services.engine) as connection:
        yield connection


async def reach_position(services: Services, scope: Scope) -> None:
    """Wait until the read models have what the header `Billing-Position` names. Raises Problem."""
    deadline = time.monotonic() + POSITION_WAIT_S_MAX
    match billing_position(single_headers(scope)):
        case None:
            return
        case EventPosition(partition=partition, offset=offset):
            if partition >= services.settings.partitions:
                raise Problem("position_invalid", f"There is no partition {partition}.")
            reached = await services.watcher.wait_for_position(partition, offset, deadline)
        case CommandPosition(command_id=command_id):
            reached = await services.lookups.wait_until_decided(command_id, deadline, None) is not None
    if not reached:
        raise Problem(
            "position_not_reached",
            f"The read models did not reach the Billing-Position in {POSITION_WAIT_S_MAX:g} s; ask again.",
            headers={"Retry-After": "1"},
        )


async def _now(request: Request) -> datetime:
    return services_of_request(request).clock.now()


ServicesDep = Annotated[Services, Depends(_services)]
CurrentPrincipal = Annotated[Principal, Depends(_current_principal)]
CurrentManager = Annotated[Principal, Depends(_current_manager)]
"""Somebody with the role manager or admin; for all others the route does not say what there is."""
Reader = Annotated[AsyncConnection, Depends(_reader)]
Now = Annotated[datetime, Depends(_now)]
AccountFilter = Annotated[str | None, Query(max_length=ID_LENGTH_MAX, description="Only of this account.")]
ResourceId = Annotated[str, Path(max_length=ID_LENGTH_MAX)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many items a page has.")]
Cursor = Annotated[
    str | None, Query(max_length=CURSOR_MAX, description="The `next_cursor` of the page before: an opaque text.")
]
