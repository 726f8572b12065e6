"""Discounts by months, and discounts of single customers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import history_answer, months_answer, personal_answer
from api.commanding import Answer, Ask, Show, carry_out, path_account, path_id, read_ask
from api.dependencies import AccountFilter, CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import page_answer
from domain.ids import MONTHS_DISCOUNTS_KEY, DiscountId
from domain.pricing.commands import RevokePersonalDiscount
from projections import discounts
from projections.commands import CommandView
from schemas.http.discounts import (
    DefineMonthsDiscountsRequest,
    GrantPersonalDiscountRequest,
    MonthsDiscountsAnswer,
    PersonalDiscountAnswer,
)
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer
from schemas.http.orders import NoBody

router = APIRouter(prefix="/v1/admin", tags=["admin: discounts"])


@router.get("/months-discounts", **docs.query(403))
async def get_months_discounts(_manager: CurrentManager, connection: Reader) -> MonthsDiscountsAnswer:
    """The table of discounts by months: the greatest step that is reached counts."""
    return months_answer(await discounts.by_months(connection))


@router.put("/months-discounts", **docs.command(DefineMonthsDiscountsRequest, MonthsDiscountsAnswer))
async def define_months_discounts(request: Request) -> Response:
    """Have the table be as given. Placed orders keep what they were promised."""
    ask = await read_ask(request, DefineMonthsDiscountsRequest, needs_manager=True)

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            return Answer(months_answer(await discounts.by_months(connection)))

    return await carry_out(ask, MONTHS_DISCOUNTS_KEY, ask.body.to_command(), show)


@router.get("/months-discounts/history", **docs.query(403))
async def list_changes_of_months_discounts(
    _manager: CurrentManager, connection: Reader
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every table that there was, oldest first."""
    return history_answer(await discounts.months_history(connection))


@router.get("/personal-discounts", **docs.query(403))
async def list_personal_discounts(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[PersonalDiscountAnswer]:
    """Discounts of one account or of all, newest first, revoked ones among them."""
    page = await discounts.list_page(connection, account=account, limit=limit, cursor=cursor)
    return page_answer(page, personal_answer)


@router.post(
    "/accounts/{account:path}/personal-discounts",
    **docs.command(GrantPersonalDiscountRequest, PersonalDiscountAnswer, status=201),
)
async def grant_personal_discount(request: Request) -> Response:
    """Give a customer a part off, from the next quote and renewal on."""
    account = path_account(request)
    ask = await read_ask(request, GrantPersonalDiscountRequest, needs_manager=True)
    return await carry_out(ask, account, ask.body.to_command(), _shown(ask, account, None))


@router.post(
    "/accounts/{account:path}/personal-discounts/{discount_id}/revoke", **docs.command(NoBody, PersonalDiscountAnswer)
)
async def revoke_personal_discount(request: Request) -> Response:
    """Take a discount back. What was bought with it stays."""
    account, discount_id = path_account(request), DiscountId(path_id(request, "discount_id"))
    ask = await read_ask(request, NoBody, needs_manager=True)
    data = RevokePersonalDiscount(discount_id=discount_id)
    return await carry_out(ask, account, data, _shown(ask, account, discount_id))


@router.get("/accounts/{account:path}/personal-discounts/{discount_id}/history", **docs.query(403, 404))
async def list_changes_of_personal_discount(
    _manager: CurrentManager, connection: Reader, account: ResourceId, discount_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Who gave the discount and who took it back."""
    entries = await discounts.history(connection, account, discount_id)
    if not entries:
        raise Problem("discount_unknown", f"The account has no personal discount {discount_id!r}.")
    return history_answer(entries)


def _shown(ask: Ask[Any], account: str, discount_id: str | None) -> Show:
    async def show(view: CommandView, _deadline: float) -> Answer | None:
        named = discount_id or view.resources.get("discount", "")
        async with reading(ask.services.engine) as connection:
            discount = await discounts.get(connection, account, named)
        if discount is None:
            return None
        return Answer(personal_answer(discount), 201 if discount_id is None else 200)

    return show
