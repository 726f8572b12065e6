"""Orders, payments and refunds of all accounts, and money back without the customer's time limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import account_order, account_payment, account_refund, history_answer
from api.commanding import Answer, carry_out, path_id, read_ask
from api.dependencies import AccountFilter, CurrentManager, Cursor, Limit, Reader, ResourceId, reach_position
from api.problems import Problem
from api.reading import reading
from api.views import page_answer
from domain.ids import PaymentId
from domain.orders.state import OrderStatus
from domain.payments.state import PaymentStatus
from domain.refunds.state import RefundStatus
from projections import orders, payments, refunds
from projections.commands import CommandView
from schemas.http.admin import AccountOrderAnswer, AccountPaymentAnswer, AccountRefundAnswer
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer
from schemas.http.refunds import RequestRefundRequest

if TYPE_CHECKING:
    from api.services import Services

router = APIRouter(prefix="/v1/admin", tags=["admin: sales"])


@router.get("/orders", **docs.query(403))
async def list_orders(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    status: OrderStatus | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[AccountOrderAnswer]:
    """Orders, newest first."""
    page = await orders.list_all(connection, account=account, status=status, limit=limit, cursor=cursor)
    return page_answer(page, account_order)


@router.get("/orders/{order_id}", **docs.query(403, 404))
async def get_order(_manager: CurrentManager, connection: Reader, order_id: ResourceId) -> AccountOrderAnswer:
    """One order, whosever it is."""
    return account_order(await _order(connection, order_id))


@router.get("/orders/{order_id}/history", **docs.query(403, 404))
async def list_changes_of_order(
    _manager: CurrentManager, connection: Reader, order_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the order, oldest first."""
    order = await _order(connection, order_id)
    return history_answer(await orders.history(connection, order.account, order.id))


@router.get("/payments", **docs.query(403))
async def list_payments(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    status: PaymentStatus | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[AccountPaymentAnswer]:
    """Payments, newest first."""
    page = await payments.list_all(connection, account=account, status=status, limit=limit, cursor=cursor)
    return page_answer(page, account_payment)


@router.get("/payments/{payment_id}", **docs.query(403, 404))
async def get_payment(_manager: CurrentManager, connection: Reader, payment_id: ResourceId) -> AccountPaymentAnswer:
    """One payment, whosever it is."""
    return account_payment(await _payment(connection, payment_id))


@router.get("/payments/{payment_id}/history", **docs.query(403, 404))
async def list_changes_of_payment(
    _manager: CurrentManager, connection: Reader, payment_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the payment, oldest first."""
    payment = await _payment(connection, payment_id)
    return history_answer(await payments.history(connection, payment.account, payment.id))


@router.post("/payments/{payment_id}/refunds", **docs.command(RequestRefundRequest, AccountRefundAnswer, status=201))
async def request_refund(request: Request) -> Response:
    """Give money back: any amount up to what is left of the payment, and all of that where no amount is given."""
    payment_id = PaymentId(path_id(request, "payment_id"))
    ask = await read_ask(request, RequestRefundRequest, needs_manager=True)
    await reach_position(ask.services, request.scope)
    account = await _account_of(ask.services, payment_id)

    async def show(view: CommandView, _deadline: float) -> Answer | None:
        refund_id = view.resources.get("refund", "")
        async with reading(ask.services.engine) as connection:
            refund = await refunds.find(connection, refund_id)
        return None if refund is None else Answer(account_refund(refund), 201, f"/v1/admin/refunds/{refund_id}")

    return await carry_out(ask, account, ask.body.to_command(payment_id, by_manager=True), show)


@router.get("/refunds", **docs.query(403))
async def list_refunds(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    status: RefundStatus | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[AccountRefundAnswer]:
    """Refunds, newest first."""
    page = await refunds.list_all(connection, account=account, status=status, limit=limit, cursor=cursor)
    return page_answer(page, account_refund)


@router.get("/refunds/{refund_id}", **docs.query(403, 404))
async def get_refund(_manager: CurrentManager, connection: Reader, refund_id: ResourceId) -> AccountRefundAnswer:
    """One refund, whosever it is."""
    return account_refund(await _refund(connection, refund_id))


@router.get("/refunds/{refund_id}/history", **docs.query(403, 404))
async def list_changes_of_refund(
    _manager: CurrentManager, connection: Reader, refund_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the refund, oldest first."""
    refund = await _refund(connection, refund_id)
    return history_answer(await refunds.history(connection, refund.account, refund.id))


async def _order(connection: Reader, order_id: str) -> orders.OrderView:
    order = await orders.find(connection, order_id)
    if order is None:
        raise Problem("order_unknown", f"There is no order {order_id!r}.")
    return order


async def _payment(connection: Reader, payment_id: str) -> payments.PaymentView:
    payment = await payments.find(connection, payment_id)
    if payment is None:
        raise Problem("payment_unknown", f"There is no payment {payment_id!r}.")
    return payment


async def _refund(connection: Reader, refund_id: str) -> refunds.RefundView:
    refund = await refunds.find(connection, refund_id)
    if refund is None:
        raise Problem("refund_unknown", f"There is no refund {refund_id!r}.")
    return refund


async def _account_of(services: Services, payment_id: str) -> str:
    """The key of the command: what a payment may give back is decided where all of its account is known."""
    async with reading(services.engine) as connection:
        return (await _payment(connection, payment_id)).account
