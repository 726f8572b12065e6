"""Histories that many specs begin with, as the deciders make them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.ids import EffectId, PaymentId, PriceId, Resource, derive
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from domain.payments.state import SavedMethod
from domain.refunds.commands import AnswerRefund
from domain.subscriptions.state import PaidPeriod, Source
from tests.domain.spec import DAY, ORDER, POLICIES, T0, Ids, Spec, given, usd

if TYPE_CHECKING:
    from domain.money import Money
    from domain.payments.state import Payment
    from domain.policies.reactions import Timer
    from domain.refunds.state import Refund
    from domain.subscriptions.state import Subscription

PAGE = "page-1"
URL = "https://pay.example/page-1"
FILM = Resource("film:solaris")
ROLE = Resource("role:cinema")
PLAN = ORDER.subscription("cinema")
"""What `subscribed()` buys at `T0`: a month, and these are its moments."""
MIDDLE = T0 + 14 * DAY
END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)
FIRST = END - 3 * DAY
"""When the next month is charged for the first time."""
ACCESS_END = END + POLICIES.grace
NEXT_END = datetime(2030, 3, 31, 12, 30, tzinfo=UTC)


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


def placed(*prices: str, at: datetime = T0, under: dict[str, Any] | None = None, **changed: Any) -> Spec:
    """An order whose page is being opened; `under` are the `prices` or `policies` that it was placed under."""
    order = place(*(prices or ("solaris:own",)), **changed)
    return given().when(order, at=at, command_id=ORDER.command, **(under or {})).happens()


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


METHOD = SavedMethod(
    provider="stripe", customer_reference="cus_1", method_reference="pm_1", label="visa •••• 4242", saved_at=T0
)
METHOD_FIELDS: dict[str, Any] = {
    "customer_reference": "cus_1",
    "method_reference": "pm_1",
    "method_label": "visa •••• 4242",
}


def subscribed(*prices: str, at: datetime = T0, **changed: Any) -> Spec:
    """A plan that was paid with a card that may be charged again."""
    spec = opened(*(prices or ("cinema:month",)), at=at, **changed)
    total = spec.account.orders[ORDER.order].total
    return spec.when(reported(paid(total, **METHOD_FIELDS)), at=at).happens()


def bought_too(
    spec: Spec, *prices: str, at: datetime, ids: Ids, under: dict[str, Any] | None = None, **changed: Any
) -> Spec:
    """One more order of the same account, placed and paid."""
    spec = spec.when(place(*prices, **changed), at=at, command_id=ids.command, **(under or {})).happens()
    spec = spec.when(answered(ids.checkout, OPENED, ids=ids), at=at).happens()
    total = spec.account.orders[ids.order].total
    return spec.when(reported(paid(total), payment_id=ids.payment), at=at).happens()


def paid_period(ids: Ids, start: datetime, end: datetime, amount: int = 999) -> PaidPeriod:
    """What one order paid for by one payment."""
    sources = (Source(payment_id=ids.payment, amount=amount),)
    return PaidPeriod(order_id=ids.order, start=start, end=end, sources=sources)


def subscription(spec: Spec) -> Subscription:
    """The only subscription of the account."""
    (only,) = spec.account.subscriptions.values()
    return only


def due(spec: Spec, now: datetime, **changed: Any) -> Spec:
    """Fire what is due at a moment, as the engine does: each timer once, all at this moment."""
    return _fire(spec, now, lambda _: now, changed)


def until(spec: Spec, now: datetime, **changed: Any) -> Spec:
    """Let time go on to a moment: each timer fires when it is due."""
    return _fire(spec, now, lambda timer: timer.due_at, changed)


def _fire(spec: Spec, now: datetime, moment: Any, changed: dict[str, Any]) -> Spec:
    fired: set[str] = set()
    while True:
        waiting = [timer for timer in spec.timers if timer.due_at <= now and timer.name not in fired]
        if not waiting:
            return spec
        timer: Timer = min(waiting, key=lambda each: each.due_at)
        fired.add(timer.name)
        command_id = derive("ann", f"timer {timer.name}")
        spec = spec.when(timer.data, at=moment(timer), command_id=command_id, **changed).happens()


def charge(spec: Spec) -> Payment:
    """The renewal's newest payment."""
    order_id = subscription(spec).renewal_order_id
    assert order_id is not None, "no renewal is under way"
    return spec.account.payments[spec.account.orders[order_id].payment_id]


def charge_answered(
    spec: Spec, status: AnswerStatus, *, at: datetime, under: dict[str, Any] | None = None, **fields: Any
) -> Spec:
    """The provider says what became of the charge."""
    payment = charge(spec)
    assert payment.call is not None
    if status is AnswerStatus.SUCCEEDED:
        fields = {"amount": payment.amount, "paid_at": at, **fields}
    told = ProviderAnswer(**{"status": status, "reference": f"charge of {payment.id}", **fields})
    answer_command = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
    return spec.when(answer_command, at=at, **(under or {})).happens()


def refund(spec: Spec) -> Refund:
    """The only refund of the account."""
    (only,) = spec.account.refunds.values()
    return only


def refund_answer(asked: Refund, status: RefundAnswerStatus, **fields: Any) -> AnswerRefund:
    """The provider tells of a refund."""
    assert asked.call is not None
    told = RefundAnswer(**{"status": status, "reference": f"refund {asked.id}", **fields})
    return AnswerRefund(refund_id=asked.id, effect_id=asked.call.effect_id, attempt=asked.call.attempt, answer=told)
