"""Histories that many specs begin with, as the deciders make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import EffectId, PaymentId, PriceId
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from tests.domain.spec import ORDER, T0, Ids, Spec, given, usd

if TYPE_CHECKING:
    from datetime import datetime

    from domain.money import Money

PAGE = "page-1"
URL = "https://pay.example/page-1"


def place(*prices: str, months: int | None = None, **changed: Any) -> PlaceOrder:
    """An order of these prices; `months` is for all of them."""
    items = tuple(OrderItem(price_id=PriceId(name), months=months) for name in prices)
    return PlaceOrder(**{"items": items, "provider": "stripe", **changed})


def answer(status: AnswerStatus, **fields: Any) -> ProviderAnswer:
    """What the provider says of the page."""
    return ProviderAnswer(**{"status": status, "reference": PAGE, **fields})


OPENED = answer(AnswerStatus.ACTION_REQUIRED, confirmation_url=URL)
PROCESSING = answer(AnswerStatus.PROCESSING)
CLOSED = answer(AnswerStatus.CLOSED)
DECLINED = answer(AnswerStatus.DECLINED, decline_reason="insufficient_funds")
UNKNOWN = ProviderAnswer(status=AnswerStatus.UNKNOWN)
REFUSED = ProviderAnswer(status=AnswerStatus.REFUSED, detail="amount too small")


def paid(amount: Money | None = None, **fields: Any) -> ProviderAnswer:
    """The money arrived."""
    return answer(AnswerStatus.SUCCEEDED, amount=amount or usd(999), paid_at=T0, **fields)


def answered(effect_id: EffectId, told: ProviderAnswer, *, attempt: int = 1, ids: Ids = ORDER) -> AnswerCall:
    """The gateway tells."""
    return AnswerCall(payment_id=ids.payment, effect_id=effect_id, attempt=attempt, answer=told)


def reported(told: ProviderAnswer, *, provider: str = "stripe", payment_id: PaymentId = ORDER.payment) -> ReportPayment:
    """A webhook tells."""
    return ReportPayment(payment_id=payment_id, provider=provider, report_id="evt_1", answer=told)


def placed(*prices: str, at: datetime = T0, **changed: Any) -> Spec:
    """An order whose page is being opened."""
    return given().when(place(*(prices or ("solaris:own",)), **changed), at=at, command_id=ORDER.command).happens()


def opened(*prices: str, **changed: Any) -> Spec:
    """An order that waits for the customer."""
    return placed(*prices, **changed).when(answered(ORDER.checkout, OPENED)).happens()


def processing(*prices: str) -> Spec:
    """An order whose money is being collected."""
    return opened(*prices).when(reported(PROCESSING)).happens()


def cancelling(*prices: str) -> Spec:
    """An order that was given up after its page was opened; the page is being closed."""
    return opened(*prices).when(CancelOrder(order_id=ORDER.order)).happens()


def cancelled_early() -> Spec:
    """An order that was given up while its page was being opened."""
    return placed().when(CancelOrder(order_id=ORDER.order)).happens()


def bought(*prices: str, at: datetime = T0, **changed: Any) -> Spec:
    """An order that was paid."""
    spec = opened(*prices, **changed)
    total = next(iter(spec.account.orders.values())).total
    return spec.when(reported(paid(total)), at=at).happens()
