"""The caller's balance: what may be spent here, and what changed it."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader
from api.views import balance_entry
from projections import balances
from schemas.http.credits import CreditsAnswer
from schemas.http.fields import MoneyAnswer

router = APIRouter(prefix="/v1/credits", tags=["orders"])


@router.get("", **docs.query())
async def list_credits(
    principal: CurrentPrincipal, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> CreditsAnswer:
    """The caller's balance by currency, and its entries, newest first. Orders use it by themselves, before money."""
    page = await balances.list_entries(connection, principal.account, limit=limit, cursor=cursor)
    held = await balances.held(connection, principal.account)
    return CreditsAnswer(
        balances=tuple(map(MoneyAnswer.of, held)),
        items=tuple(map(balance_entry, page.items)),
        next_cursor=page.next_cursor,
    )
