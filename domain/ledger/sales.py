"""Rules about sales: money that comes, what it buys, and how that is earned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import payment_id_of
from domain.calendar import PeriodUnit
from domain.ledger.accounts import DEFERRED_REVENUE, RECEIVABLES, provider_cash
from domain.ledger.state import Sale, SoldLine, Span
from domain.orders.state import OrderPurpose
from domain.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.entitlements.events import EntitlementGranted
    from domain.ids import OrderId, SubscriptionId
    from domain.ledger.draft import Draft
    from domain.orders.events import OrderPaid, OrderPaymentWaived, OrderPlaced
    from domain.orders.state import OrderLine
    from domain.payments.events import PaymentSucceeded
    from domain.subscriptions.events import (
        PlanChanged,
        SubscriptionContinued,
        SubscriptionEnded,
        SubscriptionPaused,
        SubscriptionRenewed,
        SubscriptionRestored,
        SubscriptionShortened,
        SubscriptionStarted,
    )

_DAYS_OF_16_MONTHS = 487
"""An average month has 30.4375 days."""


def placed(draft: Draft, event: OrderPlaced) -> None:
    """An order can be given up: nothing is owed for it before it is paid. What was agreed is remembered."""
    is_trial = event.purpose is OrderPurpose.TRIAL
    sale = Sale(
        order_id=event.order_id,
        currency=event.total.currency,
        lines=tuple(_sold(line, is_trial=is_trial) for line in event.lines),
        credit=None if event.credit is None else event.credit.amount,
    )
    draft.put(sale)


def _sold(line: OrderLine, *, is_trial: bool) -> SoldLine:
    """A trial has no price: it is no sale at a discount."""
    return SoldLine(
        resource=line.resource,
        amount=line.net.amount,
        discount=0 if is_trial else line.discount_amount,
        monthly=_monthly(line),
        is_plan=line.period is not None,
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
    waiting = _due(sale)
    draft.post(RECEIVABLES, DEFERRED_REVENUE, sum(waiting), sale)
    applied = {event.payment_id, payment_id_of(event.order_id)}
    unapplied = {payment_id: left for payment_id, left in sale.unapplied.items() if payment_id not in applied}
    lines = tuple(replace(line, waiting=due) for line, due in zip(sale.lines, waiting, strict=True))
    draft.put(replace(sale, lines=lines, unapplied=unapplied, is_paid=True))


def waived(draft: Draft, event: OrderPaymentWaived) -> None:
    """The order is given for nothing: whatever it would have cost, but for a credit, is a discount."""
    sale = draft.sale(event.order_id)
    if sale is None or sale.is_paid:
        return
    lines = tuple(
        replace(
            line,
            amount=line.amount - due,
            discount=line.discount + due,
            monthly=line.monthly if line.amount > due else 0,
        )
        for line, due in zip(sale.lines, _due(sale), strict=True)
    )
    draft.put(replace(sale, lines=lines, is_paid=True))


def _due(sale: Sale) -> list[int]:
    """Return what is to be paid for each line: a credit is taken off the first ones."""
    credit, due = sale.credit or 0, []
    for line in sale.lines:
        part = min(credit, line.amount)
        credit -= part
        due.append(line.amount - part)
    return due


def plan_changed(draft: Draft, event: PlanChanged) -> None:
    """What is left of the old plan buys the new one, as far as it was taken off its price; the rest is earned now.

    A credit that time has earned since it was agreed is a discount. A plan that changes with a renewal has no credit:
    the old one is given to its end.
    """
    new = draft.sale(event.order_id)
    if new is None or new.credit is None or not new.is_paid:
        return
    credit, carried = new.credit, 0
    for sale in draft.sales():
        if sale.order_id == new.order_id:
            continue
        for number in _lines_of(draft, sale.order_id, event.subscription_id):
            if sale.lines[number].runs_at(draft.at):
                carried += draft.carry(sale.order_id, number, credit - carried)
                old = draft.sale(sale.order_id)
                assert old is not None
                draft.put(replace(old, carried_to=new.order_id))
    first, lost = new.lines[0], credit - carried
    line = replace(first, waiting=first.waiting + carried, amount=first.amount - lost, discount=first.discount + lost)
    draft.put(replace(new, lines=(line, *new.lines[1:]), credit=carried))


def paused(draft: Draft, event: SubscriptionPaused) -> None:
    """The rest of what was paid is kept, and not earned while it is not given."""
    for sale in draft.sales():
        for number in _lines_of(draft, sale.order_id, event.subscription_id):
            draft.rest(sale.order_id, number)


def continued(draft: Draft, event: SubscriptionContinued) -> None:
    """What was kept is given at its new time."""
    for period in event.paid:
        for number in _lines_of(draft, period.order_id, event.subscription_id):
            draft.go_on(period.order_id, number, Span(start=period.start, end=period.end))


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
    number = _line_given(sale, event)
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


def _line_given(sale: Sale, event: EntitlementGranted) -> int | None:
    """Return the line that gives the access.

    A plan that changed while its order was open gives the access of the other plan: then it is the first plan that
    was not given.
    """
    waiting = [(number, line) for number, line in enumerate(sale.lines) if not line.is_given]
    named = (number for number, line in waiting if line.resource == event.resource)
    is_period = event.subscription_id is not None and event.subscription_id in sale.periods
    plans = (number for number, line in waiting if is_period and line.is_plan)
    return next(named, next(plans, None))


def shortened(draft: Draft, event: SubscriptionShortened) -> None:
    """The time of one order is taken out, all of it or a part, and what other orders paid moves up.

    What is left to be earned is earned over the time that is left.
    """
    if not any(period.order_id == event.order_id for period in event.paid):
        for number in _lines_of(draft, event.order_id, event.subscription_id):
            draft.stop(event.order_id, number)
    _moved(draft, event)


def restored(draft: Draft, event: SubscriptionRestored) -> None:
    """A part of the time is given again: its money, which is ours again, is earned over the time that it bought.

    Where no time was left, it was earned at once when the refund came back.
    """
    _moved(draft, event)


def _moved(draft: Draft, event: SubscriptionShortened | SubscriptionRestored) -> None:
    for period in event.paid:
        _moved_to(draft, period.order_id, event.subscription_id, Span(start=period.start, end=period.end))


def _moved_to(draft: Draft, order_id: OrderId, subscription_id: SubscriptionId, span: Span) -> None:
    """What an order paid of a subscription is given at another time: what is not earned of it is earned over that."""
    for number in _lines_of(draft, order_id, subscription_id):
        sale = draft.sale(order_id)
        assert sale is not None
        line = sale.lines[number]
        if line.is_resting:
            draft.set_line(order_id, number, replace(line, span=span))
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
