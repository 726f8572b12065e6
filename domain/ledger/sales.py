"""Rules about sales: money that comes, what it buys, and how that is earned."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from domain.calendar import PeriodUnit
from domain.ledger.accounts import DEFERRED_REVENUE, RECEIVABLES, provider_cash
from domain.ledger.state import Sale, SoldLine, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.entitlements.events import EntitlementGranted
    from domain.ids import OrderId, SubscriptionId
    from domain.ledger.draft import Draft
    from domain.orders.events import OrderPaid, OrderPaymentWaived, OrderPlaced
    from domain.orders.state import OrderLine
    from domain.payments.events import PaymentSucceeded
    from domain.subscriptions.events import (
        SubscriptionEnded,
        SubscriptionRenewed,
        SubscriptionShortened,
        SubscriptionStarted,
    )

_DAYS_OF_16_MONTHS = 487
"""An average month has 30.4375 days."""


def placed(draft: Draft, event: OrderPlaced) -> None:
    """An order can be given up: nothing is owed for it before it is paid. What was agreed is remembered."""
    lines = tuple(map(_sold, event.lines))
    draft.put(Sale(order_id=event.order_id, currency=event.total.currency, lines=lines))


def _sold(line: OrderLine) -> SoldLine:
    return SoldLine(
        resource=line.resource, amount=line.net.amount, discount=line.discount_amount, monthly=_monthly(line)
    )


def _monthly(line: OrderLine) -> int:
    """Return what the line brings in an average month, rounded down; a film does not recur."""
    if line.period is None:
        return 0
    units = line.period.count * line.quantity
    if line.period.unit is PeriodUnit.MONTH:
        return line.net.amount // units
    return line.net.amount * _DAYS_OF_16_MONTHS // (16 * units)


def money_came(draft: Draft, event: PaymentSucceeded) -> None:
    """The provider has the money, and owes it to us; the customer has it to their credit until it buys something."""
    sale = draft.sale(event.order_id) or Sale(order_id=event.order_id, currency=event.amount.currency, lines=())
    draft.post(provider_cash(event.provider), RECEIVABLES, event.amount.amount, sale)
    before = sale.unapplied.get(event.payment_id, 0)
    draft.put(replace(sale, unapplied={**sale.unapplied, event.payment_id: before + event.amount.amount}))


def paid(draft: Draft, event: OrderPaid) -> None:
    """The order is sold: its price is due, the money that came settles it, and all of it is still to be given."""
    sale = draft.sale(event.order_id)
    if sale is None or sale.is_paid:
        return
    draft.post(RECEIVABLES, DEFERRED_REVENUE, sum(line.amount for line in sale.lines), sale)
    unapplied = {payment_id: left for payment_id, left in sale.unapplied.items() if payment_id != event.payment_id}
    lines = tuple(replace(line, waiting=line.amount) for line in sale.lines)
    draft.put(replace(sale, lines=lines, unapplied=unapplied, is_paid=True))


def waived(draft: Draft, event: OrderPaymentWaived) -> None:
    """The order is given for nothing: whatever it would have cost is a discount."""
    sale = draft.sale(event.order_id)
    if sale is None or sale.is_paid:
        return
    lines = tuple(
        replace(line, amount=0, discount=line.discount + line.amount, monthly=0, waiting=0) for line in sale.lines
    )
    draft.put(replace(sale, lines=lines, is_paid=True))


def period_paid(draft: Draft, event: SubscriptionStarted | SubscriptionRenewed) -> None:
    """The order pays this time of the subscription. Which of its lines that is, the access says that follows."""
    sale = draft.sale(event.order_id)
    if sale is None:
        return
    span = Span(start=event.period_start, end=event.period_end)
    draft.put(replace(sale, periods={**sale.periods, event.subscription_id: span}))


def given(draft: Draft, event: EntitlementGranted) -> None:
    """A line that is given for ever is earned at once, one that is given for a time is earned over that time."""
    sale = draft.sale(event.order_id)
    if sale is None or not sale.is_paid:
        return
    number = next(
        (index for index, line in enumerate(sale.lines) if line.resource == event.resource and not line.is_given), None
    )
    if number is None:
        return
    if event.subscription_id is None:
        span = None if event.until is None else Span(start=draft.at, end=event.until)
    else:
        span = sale.periods.get(event.subscription_id)
        if span is None:
            return
        rest = {name: period for name, period in sale.periods.items() if name != event.subscription_id}
        draft.put(replace(sale, periods=rest))
    draft.set_line(sale.order_id, number, replace(sale.lines[number], subscription_id=event.subscription_id))
    if span is None or span.end <= max(span.start, draft.at):
        draft.earn_at_once(sale.order_id, number)
    else:
        draft.earn_over(sale.order_id, number, span)


def shortened(draft: Draft, event: SubscriptionShortened) -> None:
    """The time of one order is taken out, and what other orders paid moves up."""
    for number in _lines_of(draft, event.order_id, event.subscription_id):
        draft.stop(event.order_id, number)
    for period in event.paid:
        moved_to(draft, period.order_id, event.subscription_id, Span(start=period.start, end=period.end))


def moved_to(draft: Draft, order_id: OrderId, subscription_id: SubscriptionId, span: Span) -> None:
    """What an order paid of a subscription is given at another time: what is not earned of it is earned over that."""
    for number in _lines_of(draft, order_id, subscription_id):
        sale = draft.sale(order_id)
        assert sale is not None
        line = sale.lines[number]
        if not line.runs_at(draft.at) or line.span == span:
            continue
        if span.end <= draft.at:
            draft.stop(order_id, number)
        else:
            draft.run(order_id, number, draft.unearned(line.earning), span)


def ended(draft: Draft, event: SubscriptionEnded) -> None:
    """Whatever was still to be given of the subscription is not given any more."""
    for sale in draft.sales():
        for number in _lines_of(draft, sale.order_id, event.subscription_id):
            draft.stop(sale.order_id, number)


def _lines_of(draft: Draft, order_id: OrderId, subscription_id: SubscriptionId) -> Iterator[int]:
    sale = draft.sale(order_id)
    if sale is not None:
        yield from (number for number, line in enumerate(sale.lines) if line.subscription_id == subscription_id)
