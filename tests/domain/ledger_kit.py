"""The books of one customer, folded event by event, and what must be true of them after every event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.balance.events import BalanceRefunded, BalanceReturned, BalanceUsed, CreditGranted, CreditTakenBack
from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.ledger.accounts import (
    CREDITS_GRANTED,
    CUSTOMER_CREDIT,
    DEFERRED_REVENUE,
    DISCOUNTS,
    DISPUTES,
    EARNED_REVENUE,
    PROVIDER_CASH,
    RECEIVABLES,
    REFUNDS,
    REFUNDS_PAYABLE,
    Kind,
    kind_of,
)
from domain.ledger.entries import Posting, Schedule, ScheduleId, moved
from domain.ledger.journal import RULES, after, needs, post
from domain.payments.events import PaymentSucceeded
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded

if TYPE_CHECKING:
    from domain.ledger.journal import Entry
    from domain.ledger.state import Books

THE_END = datetime(9000, 1, 1, tzinfo=UTC)
"""When every schedule is over."""


@dataclass(slots=True)
class Folded:
    """Books, journal and schedules after the events that were taken."""

    books: Books = field(default_factory=dict)
    postings: list[tuple[datetime, Posting]] = field(default_factory=list)
    schedules: dict[ScheduleId, Schedule] = field(default_factory=dict)
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By name of the amount and currency, from the events alone."""
    seen: set[tuple[str, str]] = field(default_factory=set)
    """What was told of refunds; told again it counts no more."""
    taken: dict[str, int] = field(default_factory=dict)
    """What banks hold, by payment."""
    remembered: list[tuple[datetime, Counter[tuple[str, str]]]] = field(default_factory=list)
    """Balances as they were at some moments: the past must not change."""

    def take(self, event: Any, at: datetime) -> Entry | None:
        """Take in one more event of the log."""
        self._count(event)
        self.remembered = [(moment, balances) for moment, balances in self.remembered if moment < at]
        if type(event) not in RULES:
            return None
        entry = post(self.books, event, at)
        needed = {order_id: sale for order_id, sale in self.books.items() if needs(sale, event, at)}
        assert entry == post(needed, event, at), "the same event makes the same entry, and no more is needed for it"
        self.books = after(self.books, entry)
        self.postings += [(at, posting) for posting in entry.postings]
        self.schedules |= {schedule.id: schedule for schedule in entry.schedules}
        return entry

    def balances(self, moment: datetime) -> Counter[tuple[str, str]]:
        """Balances at a moment by ledger account and currency, each positive on the side on which it grows."""
        found: Counter[tuple[str, str]] = Counter()
        gone = [(posting.debit, posting.credit, posting.amount) for at, posting in self.postings if at <= moment]
        for debit, credit, amount in gone:
            self._move(found, debit, credit, amount.amount, amount.currency)
        for schedule in self.schedules.values():
            self._move(found, schedule.debit, schedule.credit, moved(schedule, moment), schedule.amount.currency)
        return found

    @staticmethod
    def _move(found: Counter[tuple[str, str]], debit: str, credit: str, amount: int, currency: str) -> None:
        found[debit, currency] += amount if kind_of(debit).grows_by_debit else -amount
        found[credit, currency] += -amount if kind_of(credit).grows_by_debit else amount

    def _count(self, event: Any) -> None:
        match event:
            case PaymentSucceeded():
                self.totals["paid", event.amount.currency] += event.amount.amount
            case RefundRequested():
                self.totals["promised", event.amount.currency] += event.amount.amount
            case CreditGranted() | CreditTakenBack():
                sign = 1 if isinstance(event, CreditGranted) else -1
                self.totals["granted", event.amount.currency] += sign * event.amount.amount
                self.totals["balance", event.amount.currency] += sign * event.amount.amount
            case BalanceUsed() | BalanceReturned():
                sign = 1 if isinstance(event, BalanceReturned) else -1
                self.totals["balance", event.amount.currency] += sign * event.amount.amount
            case BalanceRefunded():
                self.totals["onto balance", event.amount.currency] += event.amount.amount
                self.totals["balance", event.amount.currency] += event.amount.amount
            case RefundReinstated():
                self.totals["promised", event.amount.currency] += event.amount.amount
                self.totals["refused", event.amount.currency] -= event.amount.amount
                self.totals["reinstated", event.amount.currency] += event.amount.amount
                self.seen -= {("gone", event.refund_id), ("refused", event.refund_id)}
            case RefundSucceeded() if self._is_new("gone", event.refund_id):
                self.totals["returned", event.amount.currency] += event.amount.amount
            case DisputeOpened() | DisputeUpdated() | DisputeWon() | DisputeLost() | DisputeClosed():
                before = self.taken.get(event.payment_id, 0)
                self.totals["disputed", event.disputed.currency] += event.disputed.amount - before
                self.taken[event.payment_id] = event.disputed.amount
            case RefundFailed() | RefundReversed() if self._is_new("refused", event.refund_id):
                self.totals["promised", event.amount.currency] -= event.amount.amount
                self.totals["refused", event.amount.currency] += event.amount.amount
                if ("gone", event.refund_id) in self.seen:
                    self.totals["returned", event.amount.currency] -= event.amount.amount

    def _is_new(self, what: str, refund_id: str) -> bool:
        is_new = (what, refund_id) not in self.seen
        self.seen.add((what, refund_id))
        return is_new

    def check(self, now: datetime) -> None:
        """Everything that must be true now, and at the end of all time if nothing more happened."""
        for moment in (now, THE_END):
            balances = self.balances(moment)
            for currency in {currency for _, currency in balances}:
                self._check_currency(balances, currency)
        for moment, before in self.remembered:
            assert self.balances(moment) == before, "what the books say of the past never changes"
        self.remembered = [*self.remembered[-3:], (now, self.balances(now))]

    def _check_currency(self, balances: Counter[tuple[str, str]], currency: str) -> None:
        of = {account: amount for (account, found), amount in balances.items() if found == currency}
        debits = sum(amount for account, amount in of.items() if kind_of(account).grows_by_debit)
        assert debits == sum(amount for account, amount in of.items() if not kind_of(account).grows_by_debit)
        cash = sum(amount for account, amount in of.items() if account.startswith(PROVIDER_CASH))
        paid, returned = self.totals["paid", currency], self.totals["returned", currency]
        promised, disputed = self.totals["promised", currency], self.totals["disputed", currency]
        onto_balance, granted = self.totals["onto balance", currency], self.totals["granted", currency]
        assert cash == paid - (returned - onto_balance) - disputed
        assert of.get(CUSTOMER_CREDIT, 0) == self.totals["balance", currency] >= 0
        assert of.get(CREDITS_GRANTED, 0) == granted
        assert paid - (returned - onto_balance) >= 0, "only a bank may take what went back already, or has not come"
        assert of.get(DISPUTES, 0) == disputed >= 0
        assert of.get(REFUNDS_PAYABLE, 0) == promised - returned >= 0
        assert of.get(DEFERRED_REVENUE, 0) >= 0
        assert of.get(RECEIVABLES, 0) <= 0, "we sell for money in advance"
        for account in (EARNED_REVENUE, DISCOUNTS, REFUNDS):
            assert of.get(account, 0) >= 0
        income = sum(
            amount if kind_of(account) is Kind.INCOME else -amount
            for account, amount in of.items()
            if kind_of(account) in {Kind.INCOME, Kind.CONTRA_INCOME}
        )
        unapplied = -of.get(RECEIVABLES, 0)
        owed = of.get(DEFERRED_REVENUE, 0) + unapplied + of.get(CUSTOMER_CREDIT, 0)
        assert income + owed == paid - (promised - onto_balance) - disputed
        # What went unknown to us may be promised a second time by then; the provider refuses that.
        reinstated = self.totals["reinstated", currency]
        assert income + disputed + granted + reinstated >= 0, "more was given back than was paid"

    def check_at_rest(self) -> None:
        """Nothing waits: all money was earned or went back, but for what a provider refused to take back."""
        self.check(THE_END)
        balances = self.balances(THE_END)
        for currency in {currency for _, currency in balances}:
            assert balances[REFUNDS_PAYABLE, currency] == 0
            held = balances[DEFERRED_REVENUE, currency] - balances[RECEIVABLES, currency]
            assert held <= self.totals["refused", currency], (balances, self.books)
