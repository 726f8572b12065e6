"""What managers say about a customer's balance."""

from __future__ import annotations

from domain.money import Money
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantCredit:
    """Put an amount onto the customer's balance of its currency."""

    amount: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBackCredit:
    """Take an amount off the balance: what is on it and in use nowhere."""

    amount: Money
    reason: str


BalanceCommand = GrantCredit | TakeBackCredit
