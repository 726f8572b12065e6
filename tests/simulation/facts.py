"""What is known of each thing that the log tells of, as plain facts: an order, a payment, a refund, a subscription."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class Order:
    """An order as its events tell it."""

    account: str
    body: dict[str, Any]
    status: str = "pending"
    is_covered: bool = False
    """Whether its money arrived, or none was asked."""
    paid_by: str | None = None
    """The payment whose money bought it."""
    given: set[str] = field(default_factory=set)
    """Subscriptions that it started or lengthened: each once."""
    films: set[str] = field(default_factory=set)
    """Resources that it gave and that belong to no subscription."""

    @property
    def to_pay(self) -> int:
        """What is to be paid: the total without what is left of an earlier plan."""
        credit = self.body.get("credit")
        total: int = self.body["total"]["amount"]
        return total - (credit["amount"] if credit else 0)

    @property
    def not_given(self) -> int:
        """What its lines cost that gave nothing. Plans may have changed: of them the last ones gave nothing."""
        lines = self.body["lines"]
        films = [_net(line) for line in lines if line["period"] is None and line["resource"] not in self.films]
        plans = [_net(line) for line in lines if line["period"] is not None][len(self.given) :]
        credit: int = self.body["total"]["amount"] - self.to_pay
        return max(0, sum(films) + sum(plans) - credit)


@dataclass(slots=True)
class Payment:
    """A payment."""

    account: str
    order_id: str
    amount: int
    currency: str
    status: str = "created"
    reference: str | None = None
    successes: int = 0
    refunding: int = 0
    refunded: int = 0
    disputed: int = 0
    """What the customer's bank has taken."""
    asked_back: int = 0
    """All that was ever asked to go back, whether it arrived or not."""
    disputed_most: int = 0
    """The most that the bank ever held."""

    @property
    def kept(self) -> int:
        """What is left of the money that arrived."""
        return (self.amount if self.successes else 0) - self.refunded - self.disputed


@dataclass(slots=True)
class Refund:
    """A refund."""

    payment_id: str
    amount: int
    status: str = "requested"
    ends: int = 0
    is_known: bool = False
    """Whether the provider has it in its books, as it once said."""


@dataclass(slots=True)
class Dispute:
    """A dispute."""

    payment_id: str
    reference: str
    amount: int
    currency: str
    status: str
    is_inquiry: bool

    @property
    def withheld(self) -> int:
        """What the bank has taken."""
        return 0 if self.is_inquiry or self.status in {"won", "closed"} else self.amount


@dataclass(slots=True)
class Subscription:
    """A subscription."""

    account: str
    price: dict[str, Any]
    access_end: datetime
    planned: dict[str, Any] | None = None
    """The price of another plan that was chosen, or announced, for later."""
    resume_by: datetime | None = None
    """Set while it is paused."""
    is_running: bool = True


@dataclass(slots=True)
class Held:
    """A right to watch something."""

    until: datetime | None
    order_id: str
    subscription_id: str | None


@dataclass(slots=True)
class Code:
    """A promo code."""

    uses_max: int | None
    reserved: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)


def _net(line: dict[str, Any]) -> int:
    amount: int = line["total"]["amount"] - line["discount_amount"]
    return amount
