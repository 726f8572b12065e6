"""Saved means of payment: look, remove. They are saved at the provider; here is never a card number."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, carry_out, path_id, read_ask
from api.dependencies import CurrentPrincipal, Reader
from api.reading import reading
from api.views import payment_method_answer
from domain.payments.commands import RemovePaymentMethod
from projections import payment_methods
from projections.commands import CommandView
from schemas.http.orders import NoBody
from schemas.http.refunds import PaymentMethodsAnswer

router = APIRouter(prefix="/v1/payment-methods", tags=["payment methods"])


@router.get("", **docs.query())
async def list_payment_methods(principal: CurrentPrincipal, connection: Reader) -> PaymentMethodsAnswer:
    """The caller's saved means of payment."""
    found = await payment_methods.list_all(connection, principal.account)
    return PaymentMethodsAnswer(items=tuple(map(payment_method_answer, found)))


@router.delete("/{method_id}", **docs.command(NoBody, PaymentMethodsAnswer))
async def remove_payment_method(request: Request) -> Response:
    """Have a saved means of payment charged no more."""
    method_id = path_id(request, "method_id")
    ask = await read_ask(request, NoBody)

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            left = await payment_methods.list_all(connection, ask.account)
        return Answer(PaymentMethodsAnswer(items=tuple(map(payment_method_answer, left))))

    return await carry_out(ask, ask.account, RemovePaymentMethod(method_reference=method_id), show)
