"""Credit that managers put onto customers' balances, and take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import account_credits
from api.commanding import Answer, Ask, Show, carry_out, path_account, read_ask
from api.dependencies import CurrentManager, Cursor, Limit, Reader, ResourceId
from api.reading import reading
from projections import balances
from projections.commands import CommandView
from schemas.http.credits import AccountCreditsAnswer, CreditRequest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

router = APIRouter(prefix="/v1/admin/accounts/{account}/credits", tags=["admin: sales"])


@router.get("", **docs.manager_query())
async def list_credits(
    _manager: CurrentManager, connection: Reader, account: ResourceId, limit: Limit = 20, cursor: Cursor = None
) -> AccountCreditsAnswer:
    """A customer's balance by currency, and its entries, newest first."""
    return await _credits(connection, account, limit=limit, cursor=cursor)


@router.post("", **docs.command(CreditRequest, AccountCreditsAnswer, status=201))
async def grant_credit(request: Request) -> Response:
    """Put an amount onto a customer's balance."""
    account = path_account(request)
    ask = await read_ask(request, CreditRequest, needs_manager=True)
    return await carry_out(ask, account, ask.body.to_grant(), _shown(ask, account, 201))


@router.post("/take-back", **docs.command(CreditRequest, AccountCreditsAnswer))
async def take_back_credit(request: Request) -> Response:
    """Take an amount off a customer's balance: at most what is on it, since what orders hold is in use."""
    account = path_account(request)
    ask = await read_ask(request, CreditRequest, needs_manager=True)
    return await carry_out(ask, account, ask.body.to_take_back(), _shown(ask, account, 200))


def _shown(ask: Ask[Any], account: str, status: int) -> Show:
    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            return Answer(await _credits(connection, account), status)

    return show


async def _credits(
    connection: AsyncConnection, account: str, *, limit: int = 20, cursor: str | None = None
) -> AccountCreditsAnswer:
    page = await balances.list_entries(connection, account, limit=limit, cursor=cursor)
    return account_credits(account, await balances.held(connection, account), page)
