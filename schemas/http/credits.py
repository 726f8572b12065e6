"""A customer's balance over HTTP: what is on it, what changed it, and what managers put onto it."""

from __future__ import annotations

from datetime import datetime

from domain.balance.commands import GrantCredit, TakeBackCredit
from schemas.http.fields import AnswerModel, MoneyAnswer, MoneyRequest, NameText, PageAnswer, RequestModel


class CreditRequest(RequestModel):
    """An amount of the customer's balance, and why it is granted or taken back."""

    amount: MoneyRequest
    reason: NameText

    def to_grant(self) -> GrantCredit:
        """The intent to put it onto the balance."""
        return GrantCredit(amount=self.amount.to_domain(), reason=self.reason)

    def to_take_back(self) -> TakeBackCredit:
        """The intent to take it off."""
        return TakeBackCredit(amount=self.amount.to_domain(), reason=self.reason)


class BalanceEntryAnswer(AnswerModel):
    """One change of a balance; `amount` is below zero for what went off it.

    `kind` is granted or taken_back by us, used by an order, returned by an order that did not need it, or refunded.
    """

    id: str
    kind: str
    amount: MoneyAnswer
    order_id: str | None
    refund_id: str | None
    at: datetime


class AccountBalanceEntryAnswer(BalanceEntryAnswer):
    """The same for managers: with who did it and why."""

    reason: str | None
    by: str


class CreditsAnswer(PageAnswer[BalanceEntryAnswer]):
    """What may be spent here, by currency, and a page of what changed it, newest first."""

    balances: tuple[MoneyAnswer, ...]


class AccountCreditsAnswer(PageAnswer[AccountBalanceEntryAnswer]):
    """The same of some account."""

    account: str
    balances: tuple[MoneyAnswer, ...]
