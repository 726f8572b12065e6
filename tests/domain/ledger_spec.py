"""Specs of the books, `given(events).when(event).then(postings)`, and the events of one customer that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.ids import EffectId, OrderId, PaymentId, PriceId, ProductId, RefundId, Resource, SubscriptionId
from domain.orders.events import OrderPaid, OrderPlaced
from domain.orders.state import OrderLine
from domain.payments.events import PaymentSucceeded
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded
from domain.refunds.state import RefundedBy
from domain.subscriptions.events import SubscriptionRenewed, SubscriptionStarted
from tests.domain.ledger_kit import Folded
from tests.domain.spec import DAY, MONTH, T0, usd

if TYPE_CHECKING:
    from datetime import datetime

    from domain.calendar import Period
    from domain.ledger.journal import Entry

ORDER, OTHER = OrderId("order 1"), OrderId("order 2")
PAYMENT, AGAIN = PaymentId("payment 1"), PaymentId("payment 2")
REFUND = RefundId("refund 1")
PLAN, KIDS = SubscriptionId("subscription 1"), SubscriptionId("subscription 2")
CINEMA, FOR_KIDS, FILM = Resource("role:cinema"), Resource("role:kids"), Resource("film:solaris")
END = T0 + 30 * DAY
CASH = "provider_cash:stripe"


def line(
    amount: int, resource: Resource = FILM, *, discount: int = 0, period: Period | None = None, quantity: int = 1
) -> OrderLine:
    """A line of which `amount` is paid after the discount."""
    return OrderLine(
        product_id=ProductId("p"),
        price_id=PriceId("p:1"),
        kind=ProductKind.FILM if period is None else ProductKind.SUBSCRIPTION,
        title="P",
        resource=resource,
        unit_price=usd((amount + discount) // quantity),
        quantity=quantity,
        total=usd(amount + discount),
        period=period,
        discount_amount=discount,
    )


def placed(*lines: OrderLine, order_id: OrderId = ORDER) -> OrderPlaced:
    subtotal, discount = sum(each.total.amount for each in lines), sum(each.discount_amount for each in lines)
    return OrderPlaced(
        order_id=order_id,
        payment_id=PAYMENT,
        lines=lines,
        subtotal=usd(subtotal),
        discount=usd(discount),
        total=usd(subtotal - discount),
        auto_renew=True,
        placed_at=T0,
    )


def money(amount: int, *, payment_id: PaymentId = PAYMENT, order_id: OrderId = ORDER) -> PaymentSucceeded:
    return PaymentSucceeded(
        payment_id=payment_id,
        order_id=order_id,
        amount=usd(amount),
        provider="stripe",
        reference="cs_1",
        paid_at=T0,
        customer_reference=None,
        method_reference=None,
        method_label=None,
    )


def paid(order_id: OrderId = ORDER) -> OrderPaid:
    return OrderPaid(order_id=order_id, payment_id=PAYMENT, paid_at=T0)


def started(
    start: datetime = T0, end: datetime = END, *, name: SubscriptionId = PLAN, order_id: OrderId = ORDER
) -> SubscriptionStarted:
    return SubscriptionStarted(
        subscription_id=name,
        order_id=order_id,
        product_id=ProductId("p"),
        price_id=PriceId("p:1"),
        title="P",
        price=usd(3000),
        period=MONTH,
        periods=1,
        resource=CINEMA,
        auto_renew=True,
        period_start=start,
        period_end=end,
        access_end=end + 2 * DAY,
        renew_at=None,
    )


def renewed(start: datetime, end: datetime, *, order_id: OrderId = OTHER) -> SubscriptionRenewed:
    return SubscriptionRenewed(
        subscription_id=PLAN,
        order_id=order_id,
        anchor=T0,
        units=2,
        period_start=start,
        period_end=end,
        access_end=end,
        auto_renew=True,
        renew_at=None,
        renewed_at=start,
        paid=(),
    )


def access(
    resource: Resource = CINEMA,
    *,
    until: datetime | None = END + 2 * DAY,
    name: SubscriptionId | None = PLAN,
    order_id: OrderId = ORDER,
) -> EntitlementGranted:
    return EntitlementGranted(
        resource=resource, until=until, reason="subscription", order_id=order_id, subscription_id=name
    )


def promised(amount: int, *, payment_id: PaymentId = PAYMENT, refund_id: RefundId = REFUND) -> RefundRequested:
    return RefundRequested(
        refund_id=refund_id,
        payment_id=payment_id,
        order_id=ORDER,
        provider="stripe",
        payment_reference="cs_1",
        amount=usd(amount),
        reason="asked",
        rule="a manager decides",
        requested_by=RefundedBy.MANAGER,
        ends_access=False,
        effect_id=EffectId("effect"),
        requested_at=T0,
        repeat_at=T0,
    )


def gone(amount: int) -> RefundSucceeded:
    return RefundSucceeded(refund_id=REFUND, payment_id=PAYMENT, order_id=ORDER, amount=usd(amount), reference="re_1")


def bounced(amount: int) -> RefundReversed:
    return RefundReversed(
        refund_id=REFUND, payment_id=PAYMENT, order_id=ORDER, amount=usd(amount), reason="no", reversed_at=T0
    )


def refused(amount: int) -> RefundFailed:
    return RefundFailed(refund_id=REFUND, payment_id=PAYMENT, amount=usd(amount), reason="no")


def reinstated(amount: int) -> RefundReinstated:
    return RefundReinstated(
        refund_id=REFUND,
        payment_id=PAYMENT,
        order_id=ORDER,
        provider="stripe",
        amount=usd(amount),
        reference="re_2",
        reinstated_at=T0,
    )


class Ledger:
    """given(events).when(event, at).then(postings): the entries of one customer."""

    def __init__(self) -> None:
        self.folded = Folded()
        self.entry: Entry | None = None

    def given(self, *events: Any, at: datetime = T0) -> Ledger:
        for event in events:
            self.entry = self.folded.take(event, at)
            self.folded.check(at)
        return self

    when = given

    def then(self, *expected: tuple[str, str, int]) -> Ledger:
        """The last event posted exactly these: debit, credit, minor units."""
        assert self.entry is not None
        found = tuple((posting.debit, posting.credit, posting.amount.amount) for posting in self.entry.postings)
        assert found == expected
        return self

    def balances(self, at: datetime, **expected: int) -> Ledger:
        """The balances are these at a moment, and all others are zero."""
        found = {account.partition(":")[0]: amount for (account, _), amount in self.folded.balances(at).items()}
        assert {account: amount for account, amount in found.items() if amount} == expected
        return self


def film_bought() -> Ledger:
    return Ledger().given(placed(line(999)), money(999), paid(), access(FILM, until=None, name=None))


def month_bought(amount: int = 3000, *, discount: int = 0) -> Ledger:
    month = line(amount, CINEMA, discount=discount, period=MONTH)
    return Ledger().given(placed(month), money(amount), paid(), started(), access())
