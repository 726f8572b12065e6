"""Access that managers give and take back, beside what customers buy."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import grant_answer, history_answer
from api.commanding import Answer, Ask, Show, carry_out, path_account, path_id, read_ask
from api.dependencies import AccountFilter, CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import page_answer
from domain.grants.commands import RevokeGrant
from domain.ids import Resource
from projections import grants
from projections.commands import CommandView
from schemas.http.admin import GiveGrantRequest, GrantAnswer, RevokeGrantRequest
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer

router = APIRouter(prefix="/v1/admin", tags=["admin: access"])


@router.get("/grants", **docs.query(403))
async def list_grants(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[GrantAnswer]:
    """Grants of one account or of all, newest first, ended ones among them."""
    page = await grants.list_page(connection, account=account, limit=limit, cursor=cursor)
    return page_answer(page, grant_answer)


@router.post("/accounts/{account:path}/grants", **docs.command(GiveGrantRequest, GrantAnswer, status=201))
async def give_grant(request: Request) -> Response:
    """Let a customer watch a film, or what a role opens; a grant of the same thing replaces the one before."""
    account = path_account(request)
    ask = await read_ask(request, GiveGrantRequest, needs_manager=True)
    return await carry_out(ask, account, ask.body.to_command(), _shown(ask, account, ask.body.resource, 201))


@router.post("/accounts/{account:path}/grants/{resource}/revoke", **docs.command(RevokeGrantRequest, GrantAnswer))
async def revoke_grant(request: Request) -> Response:
    """Take a grant back. What was bought stays."""
    account, resource = path_account(request), Resource(path_id(request, "resource"))
    ask = await read_ask(request, RevokeGrantRequest, needs_manager=True)
    data = RevokeGrant(resource=resource, reason=ask.body.reason)
    return await carry_out(ask, account, data, _shown(ask, account, resource, 200))


@router.get("/accounts/{account:path}/grants/{resource}/history", **docs.query(403, 404))
async def list_changes_of_grant(
    _manager: CurrentManager, connection: Reader, account: ResourceId, resource: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Who gave access, why, until when, and who took it back."""
    entries = await grants.history(connection, account, resource)
    if not entries:
        raise Problem("grant_unknown", f"The account never had a grant of {resource!r}.")
    return history_answer(entries)


def _shown(ask: Ask[Any], account: str, resource: str, status: int) -> Show:
    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            grant = await grants.get(connection, account, resource)
        return None if grant is None else Answer(grant_answer(grant), status)

    return show
