"""The chart of ledger accounts. A *ledger account* is a page of the books; an *account* is always a customer."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

from domain.balance.state import BALANCE
from domain.records import dataclass

LedgerAccount = NewType("LedgerAccount", str)


class Kind(StrEnum):
    """What a ledger account is in the books; it says on which side the account grows."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    CONTRA_INCOME = "contra_income"
    """Taken off the income; it grows on the debit side."""

    @property
    def grows_by_debit(self) -> bool:
        """Tell whether a debit makes the balance larger."""
        return self in {Kind.ASSET, Kind.CONTRA_INCOME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What one ledger account is for."""

    kind: Kind
    meaning: str


PROVIDER_CASH = "provider_cash"
RECEIVABLES = LedgerAccount("receivables")
DEFERRED_REVENUE = LedgerAccount("deferred_revenue")
REFUNDS_PAYABLE = LedgerAccount("refunds_payable")
CUSTOMER_CREDIT = LedgerAccount("customer_credit")
EARNED_REVENUE = LedgerAccount("earned_revenue")
DISCOUNTS = LedgerAccount("discounts")
REFUNDS = LedgerAccount("refunds")
DISPUTES = LedgerAccount("disputes")
CREDITS_GRANTED = LedgerAccount("credits_granted")

CHART: dict[str, Page] = {
    PROVIDER_CASH: Page(kind=Kind.ASSET, meaning="money that a provider collected for us and did not give back"),
    RECEIVABLES: Page(
        kind=Kind.ASSET,
        meaning="sales against the money that came for them; below zero: money of customers that bought nothing yet",
    ),
    DEFERRED_REVENUE: Page(kind=Kind.LIABILITY, meaning="paid for, and still to be given"),
    REFUNDS_PAYABLE: Page(kind=Kind.LIABILITY, meaning="promised back to customers, and not gone yet"),
    CUSTOMER_CREDIT: Page(kind=Kind.LIABILITY, meaning="on customers' balances, for them to spend here"),
    EARNED_REVENUE: Page(kind=Kind.INCOME, meaning="what was given, at the price before discounts"),
    DISCOUNTS: Page(kind=Kind.CONTRA_INCOME, meaning="discounts on what was given"),
    REFUNDS: Page(kind=Kind.CONTRA_INCOME, meaning="given back out of what was earned already"),
    DISPUTES: Page(kind=Kind.CONTRA_INCOME, meaning="taken back by customers' banks, for good or until they decide"),
    CREDITS_GRANTED: Page(kind=Kind.CONTRA_INCOME, meaning="put onto customers' balances by managers for nothing"),
}
"""Every ledger account. Provider cash has a page for each provider: `provider_cash:<provider>`."""


def provider_cash(provider: str) -> LedgerAccount:
    """Return the ledger account of the money that a provider holds for us."""
    return LedgerAccount(f"{PROVIDER_CASH}:{provider}")


def refunds_go_to(provider: str) -> LedgerAccount:
    """Return where the money of a refund goes from our promise: out of a provider's cash, or onto the balance."""
    return CUSTOMER_CREDIT if provider == BALANCE else provider_cash(provider)


def page_of(account: str) -> Page:
    """Return what a ledger account is for. Raises KeyError for one that is not in the chart."""
    return CHART[account.partition(":")[0]]


def kind_of(account: str) -> Kind:
    """Return the kind of a ledger account. Raises KeyError for one that is not in the chart."""
    return page_of(account).kind
