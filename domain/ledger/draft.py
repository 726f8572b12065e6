"""The entry that one event is about to make: what rules write on, one sale and one line at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.ids import OrderId
from domain.ledger.accounts import DEFERRED_REVENUE, DISCOUNTS, EARNED_REVENUE, LedgerAccount
from domain.ledger.entries import Posting, Schedule, ScheduleId, reached
from domain.ledger.state import Books, Sale, SoldLine, Span
from domain.money import Money
from domain.records import replace

if TYPE_CHECKING:
    from datetime import datetime


class Draft:
    """Starts from the books before the event and ends as its entry. Nothing outside of it changes."""

    def __init__(self, books: Books, at: datetime) -> None:
        self.at = at
        self.postings: list[Posting] = []
        self.schedules: dict[ScheduleId, Schedule] = {}
        self.changed: dict[OrderId, Sale] = {}
        self._books = books

    def sale(self, order_id: OrderId) -> Sale | None:
        """Return a sale as it is by now."""
        return self.changed.get(order_id) or self._books.get(order_id)

    def sales(self) -> tuple[Sale, ...]:
        """Return all sales as they are by now, in a stable order."""
        return tuple(self.changed.get(order_id, sale) for order_id, sale in sorted(self._books.items()))

    def put(self, sale: Sale) -> None:
        """Set what a sale is from now on."""
        self.changed[sale.order_id] = sale

    def post(self, debit: LedgerAccount, credit: LedgerAccount, amount: int, sale: Sale) -> None:
        """Write a posting; an amount of zero needs none."""
        assert amount >= 0, f"a posting of {amount} would go the other way"
        if amount:
            money = Money(amount=amount, currency=sale.currency)
            self.postings.append(Posting(debit=debit, credit=credit, amount=money, order_id=sale.order_id))

    def earn_at_once(self, order_id: OrderId, number: int) -> None:
        """Give a line for good: all of it is earned now."""
        sale, line = self._line(order_id, number)
        self.post(DEFERRED_REVENUE, EARNED_REVENUE, line.waiting, sale)
        self.post(DISCOUNTS, EARNED_REVENUE, line.discount, sale)
        self._set(sale, number, replace(line, waiting=0, is_given=True))

    def earn_over(self, order_id: OrderId, number: int, span: Span) -> None:
        """Give a line for a time: it is earned evenly over that time."""
        sale, line = self._line(order_id, number)
        given = replace(line, waiting=0, is_given=True, discount_left=line.discount)
        self._set(sale, number, given)
        self.run(order_id, number, line.waiting, span)

    def run(self, order_id: OrderId, number: int, left: int, span: Span) -> None:
        """From now on `left` minor units of the line are earned, over what is left of the span."""
        sale, line = self._line(order_id, number)
        discount = self.unearned(line.discounting) if line.discounting else line.discount_left
        self._close(line)
        # What was given from a moment before now is caught up with at once; what is changed now goes on from now.
        start = span.start if line.span is None else max(span.start, self.at)
        rest = Span(start=start, end=span.end)
        is_discounted = left > 0 or line.amount == 0
        earning, line = self._opened(sale, number, line, rest, debit=DEFERRED_REVENUE, amount=left)
        discounting, line = self._opened(
            sale, number, line, rest, debit=DISCOUNTS, amount=discount if is_discounted else 0
        )
        changed = replace(
            line,
            span=span,
            earning=earning,
            discounting=discounting,
            discount_left=0 if discounting else discount,
        )
        self._set(sale, number, changed)

    def stop(self, order_id: OrderId, number: int) -> None:
        """End what is being given: the customer may not have the rest any more, so it is earned now."""
        self.carry(order_id, number, 0)

    def carry(self, order_id: OrderId, number: int, amount: int) -> int:
        """End what is being given, and let up to an amount of what is not earned buy something else; return it."""
        sale, line = self._line(order_id, number)
        if not (line.runs_at(self.at) or line.is_resting):
            return 0
        deferred = self.deferred(line)
        carried = min(amount, deferred)
        left = deferred - carried
        self.post(DEFERRED_REVENUE, EARNED_REVENUE, left, sale)
        self._close(line)
        stopped = replace(
            line,
            waiting=0,
            earning=None,
            discounting=None,
            discount_left=0,
            is_resting=False,
            is_stopped=True,
            released=left,
            released_at=self.at,
        )
        self._set(sale, number, stopped)
        return carried

    def rest(self, order_id: OrderId, number: int) -> None:
        """Let what is being given rest: time earns nothing of it until it goes on."""
        sale, line = self._line(order_id, number)
        if not line.runs_at(self.at):
            return
        self._close(line)
        resting = replace(
            line,
            waiting=self.deferred(line),
            earning=None,
            discounting=None,
            discount_left=self.unearned(line.discounting) if line.discounting else line.discount_left,
            is_resting=True,
        )
        self._set(sale, number, resting)

    def go_on(self, order_id: OrderId, number: int, span: Span) -> None:
        """Let what rests go on."""
        sale, line = self._line(order_id, number)
        if not line.is_resting:
            return
        self._set(sale, number, replace(line, waiting=0, is_resting=False, span=span))
        if span.end > self.at:
            self.run(order_id, number, line.waiting, span)
        else:
            self.post(DEFERRED_REVENUE, EARNED_REVENUE, line.waiting, sale)

    def add(self, order_id: OrderId, number: int, amount: int) -> bool:
        """Add to what is deferred for a line, or take from it; tell whether there is still something to give of it."""
        sale = self.sale(order_id)
        if sale is None:
            return False
        line = sale.lines[number]
        if line.is_resting or not line.is_given:
            self._set(sale, number, replace(line, waiting=line.waiting + amount))
        elif line.span is not None and line.runs_at(self.at):
            self.run(order_id, number, self.unearned(line.earning) + amount, line.span)
        else:
            return False
        return True

    def deferred(self, line: SoldLine) -> int:
        """Return what is deferred for a line."""
        return line.waiting + self.unearned(line.earning)

    def unearned(self, schedule: Schedule | None) -> int:
        """Return what a schedule has still to bring."""
        return 0 if schedule is None else schedule.amount.amount - reached(schedule, self.at)

    def set_line(self, order_id: OrderId, number: int, line: SoldLine) -> None:
        """Set what a line of a sale is from now on."""
        sale, _ = self._line(order_id, number)
        self._set(sale, number, line)

    def _line(self, order_id: OrderId, number: int) -> tuple[Sale, SoldLine]:
        sale = self.sale(order_id)
        assert sale is not None, f"there is no sale {order_id}"
        return sale, sale.lines[number]

    def _set(self, sale: Sale, number: int, line: SoldLine) -> None:
        self.put(replace(sale, lines=(*sale.lines[:number], line, *sale.lines[number + 1 :])))

    def _close(self, line: SoldLine) -> None:
        for schedule in (line.earning, line.discounting):
            if schedule is not None:
                self.schedules[schedule.id] = replace(schedule, until=self.at)

    def _opened(
        self, sale: Sale, number: int, line: SoldLine, span: Span, *, debit: LedgerAccount, amount: int
    ) -> tuple[Schedule | None, SoldLine]:
        if amount == 0:
            return None, line
        opened = Schedule(
            id=ScheduleId(f"{sale.order_id}/{number}/{line.schedules}"),
            debit=debit,
            credit=EARNED_REVENUE,
            amount=Money(amount=amount, currency=sale.currency),
            starts_at=span.start,
            ends_at=span.end,
            since=self.at,
            order_id=sale.order_id,
            resource=line.resource,
            subscription_id=line.subscription_id,
            monthly=line.monthly if debit == DEFERRED_REVENUE else 0,
        )
        self.schedules[opened.id] = opened
        return opened, replace(line, schedules=line.schedules + 1)
