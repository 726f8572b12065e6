"""Why: the chain from a charge, a refund, a discount or a refusal back to the request."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import docs
from api.dependencies import MANAGER_ROLES, CurrentPrincipal, Reader, ResourceId
from api.problems import Problem
from api.views import explanation_answer
from infra.oidc import Principal
from projections import explanations
from schemas.http.operations import ExplanationAnswer

router = APIRouter(tags=["explanations"])


@router.get("/v1/payments/{payment_id}/explanation", **docs.query(404))
async def explain_payment(principal: CurrentPrincipal, connection: Reader, payment_id: ResourceId) -> ExplanationAnswer:
    """Why the payment was made and what became of it: request or timer, price, discount, rule and each call."""
    return await _explain(principal, connection, "payment", payment_id)


@router.get("/v1/orders/{order_id}/explanation", **docs.query(404))
async def explain_order(principal: CurrentPrincipal, connection: Reader, order_id: ResourceId) -> ExplanationAnswer:
    """Why the order costs what it does, and what became of it, with all of its payments."""
    return await _explain(principal, connection, "order", order_id)


@router.get("/v1/refunds/{refund_id}/explanation", **docs.query(404))
async def explain_refund(principal: CurrentPrincipal, connection: Reader, refund_id: ResourceId) -> ExplanationAnswer:
    """Who asked for the money back, which rule allowed it, and what became of it."""
    return await _explain(principal, connection, "refund", refund_id)


@router.get("/v1/commands/{command_id}/explanation", **docs.query(404))
async def explain_command(principal: CurrentPrincipal, connection: Reader, command_id: ResourceId) -> ExplanationAnswer:
    """Why the command was refused, with what the rule looked at; of an accepted one, what followed from it."""
    return await _explain(principal, connection, "command", command_id)


async def _explain(principal: Principal, connection: AsyncConnection, noun: str, subject: str) -> ExplanationAnswer:
    """An explanation is its account's, and every manager's."""
    is_manager = bool(principal.roles & MANAGER_ROLES)
    account = await explanations.find_account(connection, subject)
    found = None
    if account is not None and (is_manager or account == principal.account):
        found = await explanations.get(connection, account, subject, names_staff=is_manager)
    if found is None or found.noun != noun:
        raise Problem(f"{noun}_unknown", f"There is no {noun} {subject!r}.")
    return explanation_answer(found)
