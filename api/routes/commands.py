"""Commands: what became of them."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import POSITION_HEADER, actor_of, rejection
from api.dependencies import MANAGER_ROLES, CurrentPrincipal, ResourceId, ServicesDep, reach_position
from api.headers import single_headers, wait_s
from api.problems import Problem
from api.views import command_answer
from domain.ids import CATALOG_PREFIX
from infra.oidc import Principal
from projections.commands import PENDING, REJECTED, CommandView
from schemas.http.commands import CommandAnswer

router = APIRouter(prefix="/v1/commands", tags=["commands"])


@router.get("/{command_id}", **docs.query(404))
async def get_command(
    request: Request, response: Response, services: ServicesDep, principal: CurrentPrincipal, command_id: ResourceId
) -> CommandAnswer:
    """A command of the caller: pending, accepted with resources and position, or rejected with its problem.

    With `Prefer: wait=N` the answer waits for the outcome.
    """
    await reach_position(services, request.scope)
    command = await services.lookups.get(command_id)
    if command is None or not _may_see(principal, command):
        raise Problem("command_unknown", f"There is no command {command_id!r}.")
    preferred_s = wait_s(single_headers(request.scope))
    if preferred_s:
        response.headers["Preference-Applied"] = f"wait={preferred_s}"
        if command.status == PENDING:
            deadline = time.monotonic() + preferred_s
            partition = services.sender.partition_of(command.account.encode())
            command = await services.lookups.wait_until_decided(command_id, deadline, partition) or command
    if command.position is not None:
        response.headers[POSITION_HEADER] = command.position
    return command_answer(command, rejection(command) if command.status == REJECTED else None)


def _may_see(principal: Principal, command: CommandView) -> bool:
    """A command is its account's, and the manager's who sent it; one about the catalogue is every manager's."""
    if command.account == principal.account:
        return True
    is_manager = bool(principal.roles & MANAGER_ROLES)
    return is_manager and (
        command.account.startswith(CATALOG_PREFIX) or command.actor == actor_of(principal, is_manager=True)
    )
