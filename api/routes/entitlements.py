"""Entitlements: what the caller may watch."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import CurrentPrincipal, Now, Reader, ResourceId
from api.problems import Problem
from api.views import entitlement_answer
from projections import entitlements
from schemas.http.access import EntitlementAnswer
from schemas.http.fields import ItemsAnswer

router = APIRouter(prefix="/v1/entitlements", tags=["entitlements"])


@router.get("", **docs.query())
async def list_entitlements(
    principal: CurrentPrincipal, connection: Reader, now: Now
) -> ItemsAnswer[EntitlementAnswer]:
    """All that the caller may watch now."""
    held = await entitlements.list_current(connection, principal.account, now)
    return ItemsAnswer(items=tuple(map(entitlement_answer, held)))


@router.get("/{resource}", **docs.query(404))
async def get_entitlement(
    principal: CurrentPrincipal, connection: Reader, now: Now, resource: ResourceId
) -> EntitlementAnswer:
    """The right to watch one resource (`film:<product id>` or `role:<role>`); 404 where there is none."""
    held = await entitlements.get(connection, principal.account, resource, now)
    if held is None:
        raise Problem("not_entitled", f"The account may not watch {resource!r}.")
    return entitlement_answer(held)
