"""Promo codes: define, archive, and see who uses them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import docs
from api.admin.views import history_answer, promo_answer, use_answer
from api.commanding import Answer, Ask, Show, carry_out, path_id, read_ask
from api.dependencies import CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import page_answer
from domain.ids import promo_key, spelled
from domain.promo.commands import ArchivePromoCode
from projections import promo_codes, promo_uses
from projections.commands import CommandView
from schemas.http.discounts import DefinePromoCodeRequest, PromoCodeAnswer, PromoUseAnswer
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer
from schemas.http.orders import NoBody

router = APIRouter(prefix="/v1/admin/promo-codes", tags=["admin: discounts"])

ActiveFilter = Annotated[bool | None, Query(description="Only those in use, or only archived ones.")]
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,62}")


@router.get("", **docs.query(403))
async def list_promo_codes(
    _manager: CurrentManager,
    connection: Reader,
    active: ActiveFilter = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[PromoCodeAnswer]:
    """Promo codes in the order of the alphabet, with how often they are used."""
    page = await promo_codes.list_page(connection, active=active, limit=limit, cursor=cursor)
    return page_answer(page, promo_answer)


@router.put("/{code}", **docs.command(DefinePromoCodeRequest, PromoCodeAnswer))
async def define_promo_code(request: Request) -> Response:
    """Have the promo code be as given. What was used stays used; a lower limit takes nothing away."""
    ask = await read_ask(request, DefinePromoCodeRequest, needs_manager=True)
    code = _checked(path_id(request, "code"))
    return await carry_out(ask, promo_key(code), ask.body.to_command(code), _shown(ask, code))


@router.get("/{code}", **docs.query(403, 404))
async def get_promo_code(_manager: CurrentManager, connection: Reader, code: ResourceId) -> PromoCodeAnswer:
    """One promo code, archived or not."""
    return promo_answer(await _known(connection, code))


@router.post("/{code}/archive", **docs.command(NoBody, PromoCodeAnswer))
async def archive_promo_code(request: Request) -> Response:
    """Let nobody use the code any more. Orders that have it keep it."""
    ask: Ask[NoBody] = await read_ask(request, NoBody, needs_manager=True)
    code = _checked(path_id(request, "code"))
    return await carry_out(ask, promo_key(code), ArchivePromoCode(code=code), _shown(ask, code))


@router.get("/{code}/uses", **docs.query(403, 404))
async def list_uses(
    _manager: CurrentManager, connection: Reader, code: ResourceId, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[PromoUseAnswer]:
    """The orders that asked for the code, newest first, those that got no use among them."""
    await _known(connection, code)
    return page_answer(await promo_uses.list_page(connection, code, limit=limit, cursor=cursor), use_answer)


@router.get("/{code}/history", **docs.query(403, 404))
async def list_changes(
    _manager: CurrentManager, connection: Reader, code: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the code, and who got, gave back and was refused its uses, oldest first."""
    await _known(connection, code)
    return history_answer(await promo_codes.history(connection, code))


async def _known(connection: Reader, code: str) -> promo_codes.PromoCodeView:
    found = await promo_codes.get(connection, code)
    if found is None:
        raise Problem("not_found", f"There is no promo code {code!r}.")
    return found


def _checked(code: str) -> str:
    """The code becomes part of a key of the log, so it is checked before anything is sent."""
    found = spelled(code)
    if not _CODE.fullmatch(found):
        raise Problem("promo_code_invalid", "A promo code has 2 to 63 letters, digits, dashes and underscores.")
    return found


def _shown(ask: Ask[Any], code: str) -> Show:
    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            promo = await promo_codes.get(connection, code)
        return None if promo is None else Answer(promo_answer(promo))

    return show
