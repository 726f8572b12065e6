"""The books and their reports over HTTP. Amounts are integer minor units of the currency that stands beside them."""

from __future__ import annotations

from datetime import date, datetime

from schemas.http.fields import AnswerModel, MoneyAnswer


class BalanceAnswer(AnswerModel):
    """A ledger account in one currency. `balance` is positive on the side on which the account grows."""

    ledger_account: str
    kind: str
    currency: str
    debits: int
    credits: int
    balance: int


class BalancesAnswer(AnswerModel):
    """Every ledger account as it stands at a moment; in each currency debits equal credits."""

    at: datetime
    items: tuple[BalanceAnswer, ...]


class PostingAnswer(AnswerModel):
    """One amount, debited to one ledger account and credited to another."""

    debit: str
    credit: str
    amount: MoneyAnswer


class EntryAnswer(AnswerModel):
    """All that one event posted."""

    account: str
    sequence: int
    event_id: str
    event_type: str
    command_id: str
    actor: str
    order_id: str | None
    at: datetime
    postings: tuple[PostingAnswer, ...]


class RevenueDayAnswer(AnswerModel):
    """What was earned on one day of UTC: `net` is `earned` less the others.

    `credits` were granted onto balances for nothing, less what was taken back.
    """

    day: date
    currency: str
    earned: int
    discounts: int
    refunds: int
    disputes: int
    credits: int
    net: int


class RecurringAnswer(AnswerModel):
    """What the periods that are paid and run bring in an average month, after discounts."""

    currency: str
    monthly: int
    subscriptions: int


class SubscriptionsReportAnswer(AnswerModel):
    """`active` and `recurring` are at the end of the days; `churn_basis_points` is `ended` of `active_before`."""

    active_before: int
    started: int
    ended: int
    active: int
    churn_basis_points: int | None
    recurring: tuple[RecurringAnswer, ...]


class DunningAnswer(AnswerModel):
    """Renewals ordered on these days that were declined at least once, by how they ended."""

    currency: str
    recovered: int
    recovered_amount: int
    lost: int
    lost_amount: int
    open: int
    open_amount: int
