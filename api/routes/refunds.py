"""Refunds: ask for money back, look."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, carry_out, path_id, read_ask
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import refund_answer
from domain.ids import PaymentId
from projections import refunds
from projections.commands import CommandView
from schemas.http.fields import PageAnswer
from schemas.http.refunds import RefundAnswer, RequestRefundRequest

router = APIRouter(tags=["refunds"])


@router.post("/v1/payments/{payment_id}/refunds", **docs.command(RequestRefundRequest, RefundAnswer, status=201))
async def request_refund(request: Request) -> Response:
    """Ask for money of a payment back. Without an amount: all that the rules allow."""
    payment_id = PaymentId(path_id(request, "payment_id"))
    ask = await read_ask(request, RequestRefundRequest)

    async def show(view: CommandView, _deadline: float) -> Answer | None:
        refund_id = view.resources.get("refund", "")
        async with reading(ask.services.engine) as connection:
            refund = await refunds.get(connection, ask.account, refund_id)
        return None if refund is None else Answer(refund_answer(refund), 201, f"/v1/refunds/{refund_id}")

    return await carry_out(ask, ask.account, ask.body.to_command(payment_id, by_manager=False), show)


@router.get("/v1/refunds", **docs.query())
async def list_refunds(
    principal: CurrentPrincipal, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[RefundAnswer]:
    """The caller's refunds, newest first."""
    page = await refunds.list_page(connection, principal.account, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(refund_answer, page.items)), next_cursor=page.next_cursor)


@router.get("/v1/refunds/{refund_id}", **docs.query(404))
async def get_refund(principal: CurrentPrincipal, connection: Reader, refund_id: ResourceId) -> RefundAnswer:
    """One refund of the caller."""
    refund = await refunds.get(connection, principal.account, refund_id)
    if refund is None:
        raise Problem("refund_unknown", f"There is no refund {refund_id!r}.")
    return refund_answer(refund)
