"""Payments: look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api import docs
from api.dependencies import CurrentPrincipal, Cursor, Limit, Now, Reader, ResourceId, ServicesDep
from api.problems import Problem
from api.views import payment_answer
from projections import payments, refundable
from schemas.http.fields import MoneyAnswer, PageAnswer
from schemas.http.orders import PaymentAnswer

router = APIRouter(prefix="/v1/payments", tags=["payments"])

Refundable = Annotated[
    bool, Query(alias="refundable", description="Only what may be given back now, with the amount and the rule.")
]


@router.get("", **docs.query())
async def list_payments(
    principal: CurrentPrincipal,
    services: ServicesDep,
    now: Now,
    connection: Reader,
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    only_refundable: Refundable = False,
) -> PageAnswer[PaymentAnswer]:
    """The caller's payments, newest first."""
    if only_refundable:
        found = await refundable.list_page(
            connection, principal.account, now, services.settings.policies, limit=limit, cursor=cursor
        )
        return PageAnswer(items=tuple(map(_refundable, found.items)), next_cursor=found.next_cursor)
    page = await payments.list_page(connection, principal.account, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(payment_answer, page.items)), next_cursor=page.next_cursor)


def _refundable(found: refundable.RefundablePayment) -> PaymentAnswer:
    amount = MoneyAnswer.of(found.amount)
    return payment_answer(found.payment).model_copy(update={"refundable": amount, "refund_rule": found.rule})


@router.get("/{payment_id}", **docs.query(404))
async def get_payment(principal: CurrentPrincipal, connection: Reader, payment_id: ResourceId) -> PaymentAnswer:
    """One payment of the caller."""
    payment = await payments.get(connection, principal.account, payment_id)
    if payment is None:
        raise Problem("payment_unknown", f"There is no payment {payment_id!r}.")
    return payment_answer(payment)
