"""Orders: buy, look, give up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, Ask, carry_out, path_id, read_ask
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.routes.quotes import promo_refusal
from api.views import order_answer
from domain.ids import OrderId, derive
from domain.orders.commands import CancelOrder
from domain.orders.state import OPEN_STATUSES, OrderStatus
from domain.payments.state import PaymentStatus
from projections import orders
from projections.commands import CommandView
from projections.orders import OrderView
from schemas.http.fields import PageAnswer
from schemas.http.orders import NoBody, OrderAnswer, PlaceOrderRequest

if TYPE_CHECKING:
    from api.services import Services

router = APIRouter(prefix="/v1/orders", tags=["orders"])

_PROMO_REFUSALS = "promo_code_"
"""How the reasons of orders begin that failed because of their promo code; each is the code of a problem."""


@router.post("", **docs.command(PlaceOrderRequest, OrderAnswer, status=201))
async def place_order(request: Request) -> Response:
    """Order items. With `Prefer: wait`, the answer has the address where the customer pays."""
    ask = await read_ask(request, PlaceOrderRequest)
    data = ask.body.to_command(provider_named(ask.services, ask.body.provider))

    async def show(view: CommandView, deadline: float) -> Answer | None:
        order_id = view.resources.get("order", "")
        order = await wait_for_order(ask, order_id, deadline, has_no_page)
        if order is None:
            return None
        _require_promo_code(order, view)
        # A double click: the first order is the answer to the second command, and nothing new was made.
        is_new = order_id == derive(view.id, "order")
        return Answer(order_answer(order), 201 if is_new else 200, f"/v1/orders/{order_id}" if is_new else None)

    return await carry_out(ask, ask.account, data, show)


@router.post("/{order_id}/cancel", **docs.command(NoBody, OrderAnswer))
async def cancel_order(request: Request) -> Response:
    """Give up an order that is not paid yet."""
    order_id = path_id(request, "order_id")
    ask = await read_ask(request, NoBody)

    async def show(_view: CommandView, deadline: float) -> Answer | None:
        order = await wait_for_order(ask, order_id, deadline, is_open)
        return None if order is None else Answer(order_answer(order))

    return await carry_out(ask, ask.account, CancelOrder(order_id=OrderId(order_id)), show)


@router.get("", **docs.query())
async def list_orders(
    principal: CurrentPrincipal, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[OrderAnswer]:
    """The caller's orders, newest first."""
    page = await orders.list_page(connection, principal.account, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(order_answer, page.items)), next_cursor=page.next_cursor)


@router.get("/{order_id}", **docs.query(404))
async def get_order(principal: CurrentPrincipal, connection: Reader, order_id: ResourceId) -> OrderAnswer:
    """One order of the caller."""
    order = await orders.get(connection, principal.account, order_id)
    if order is None:
        raise Problem("order_unknown", f"There is no order {order_id!r}.")
    return order_answer(order)


def provider_named(services: Services, named: str | None) -> str:
    """The provider that is meant. Raises Problem where it is not configured."""
    configured = services.providers
    asked = named or (configured[0] if configured else "")
    if asked not in configured:
        raise Problem(
            "payment_provider_unknown",
            f"There is no payment provider {asked!r}; GET /v1/payment-providers lists what is configured.",
        )
    return asked


def _require_promo_code(order: OrderView, view: CommandView) -> None:
    """Raises Problem where the order ended because its promo code had no use for it: nothing was charged."""
    reason = order.failure_reason
    if order.status != OrderStatus.FAILED or reason is None or not reason.startswith(_PROMO_REFUSALS):
        return
    code = "" if order.applied is None else order.applied.reference
    extra = {"order_id": order.id, "command_id": view.id}
    raise Problem(reason, promo_refusal(reason, code), extra=extra)


async def wait_for_order(
    ask: Ask[Any], order_id: str, deadline: float, is_unfinished: Callable[[OrderView], bool]
) -> OrderView | None:
    """The order as soon as it is finished in the caller's sense, or as it is when the deadline passes.

    It is read again when something of its partition was projected.
    """
    services = ask.services
    partition = services.sender.partition_of(ask.account.encode())
    while True:
        async with services.rereads:
            seen = services.watcher.next_offset(partition)
            async with reading(services.engine) as connection:
                order = await orders.get(connection, ask.account, order_id)
        if order is None or not is_unfinished(order):
            return order
        if not await services.watcher.wait_for_position(partition, seen, deadline):
            return order


def has_no_page(order: OrderView) -> bool:
    """The provider has not said yet where the customer pays."""
    return order.payment is not None and order.payment.status == PaymentStatus.CREATED and is_open(order)


def is_open(order: OrderView) -> bool:
    """It may still be paid."""
    return order.status in OPEN_STATUSES
