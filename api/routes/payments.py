"""Payments: look."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.views import payment_answer
from projections import payments
from schemas.http.fields import PageAnswer
from schemas.http.orders import PaymentAnswer

router = APIRouter(prefix="/v1/payments", tags=["payments"])


@router.get("", **docs.query())
async def list_payments(
    principal: CurrentPrincipal, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[PaymentAnswer]:
    """The caller's payments, newest first."""
    page = await payments.list_page(connection, principal.account, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(payment_answer, page.items)), next_cursor=page.next_cursor)


@router.get("/{payment_id}", **docs.query(404))
async def get_payment(principal: CurrentPrincipal, connection: Reader, payment_id: ResourceId) -> PaymentAnswer:
    """One payment of the caller."""
    payment = await payments.get(connection, principal.account, payment_id)
    if payment is None:
        raise Problem("payment_unknown", f"There is no payment {payment_id!r}.")
    return payment_answer(payment)
