"""What the journal must remember of the past to write its next entry: one sale for each order, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from domain.ids import OrderId, PaymentId, RefundId, Resource, SubscriptionId
from domain.ledger.accounts import LedgerAccount
from domain.ledger.entries import Schedule
from domain.records import dataclass, field

FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
_JUST_AFTER = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that something was paid for."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldLine:
    """One line of an order: what of its money is earned, is being earned, or waits."""

    resource: Resource
    amount: int
    """What is paid for it: the price less the discount, in minor units."""
    discount: int
    monthly: int
    """What it brings in an average month; 0 for what does not recur."""
    is_plan: bool = False
    waiting: int = 0
    """Deferred, and nothing that time earns: not given yet, or resting."""
    is_given: bool = False
    subscription_id: SubscriptionId | None = None
    span: Span | None = None
    """The time that it is earned over; absent where it was earned at once."""
    earning: Schedule | None = None
    discounting: Schedule | None = None
    discount_left: int = 0
    """The discount on the time to come, while nothing of that time is earned."""
    is_resting: bool = False
    """Time does not earn it for a while, and goes on later where it stopped."""
    is_stopped: bool = False
    released: int = 0
    """What became earned at once when it was stopped."""
    released_at: datetime | None = None
    schedules: int = 0
    """How many schedules it has had."""

    def runs_at(self, moment: datetime) -> bool:
        """Tell whether time still earns it."""
        is_over = self.is_stopped or self.is_resting
        return self.span is not None and not is_over and moment < self.span.end

    @property
    def open_until(self) -> datetime | None:
        """The moment up to which something other than its own order may change it."""
        if self.is_resting:
            return FOR_EVER
        if self.is_stopped:
            return None if self.released_at is None else self.released_at + _JUST_AFTER
        return None if self.span is None else self.span.end


class Source(StrEnum):
    """Where the money of a refund is taken from, the first that has some."""

    UNAPPLIED = "unapplied"
    """Money that bought nothing."""
    WAITING = "waiting"
    """What was paid and not given."""
    RELEASED = "released"
    """What became earned in this very moment, because it was ended."""
    RUNNING = "running"
    """What is not earned yet of something that is being given, or rests."""
    EARNED = "earned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A part of a refund: put back to where it came from if the provider refuses the refund."""

    source: Source
    order_id: OrderId
    """The sale that it is taken from: the payment's own, or the one that its rest was carried over to."""
    line: int = 0
    """The number of the line, where the source has one."""
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """A refund of the sale."""

    cash: LedgerAccount
    """Where the money goes from: a provider's cash; for a refund onto the balance, the customers' credit."""
    payment_id: PaymentId
    amount: int
    portions: tuple[Portion, ...]
    is_paid_out: bool = False
    is_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBack:
    """What the customer's bank holds of a payment."""

    cash: LedgerAccount
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """An order in the books."""

    order_id: OrderId
    currency: str
    lines: tuple[SoldLine, ...]
    credit: int | None = None
    """What is left of an old plan and taken off what is to be paid; absent where no plan changes."""
    is_paid: bool = False
    carried_to: OrderId | None = None
    """The order of the plan that took the place of this one's."""
    unapplied: Mapping[PaymentId, int] = field(default_factory=dict)
    """Money that came for the order and bought nothing yet, by payment."""
    periods: Mapping[SubscriptionId, Span] = field(default_factory=dict)
    """Periods that the order pays, until it is known which line they belong to."""
    refunds: Mapping[RefundId, GivenBack] = field(default_factory=dict)
    disputes: Mapping[PaymentId, TakenBack] = field(default_factory=dict)

    @property
    def open_until(self) -> datetime | None:
        """The moment up to which an event that does not name the order may change it; None: no such event can."""
        if self.refunds or self.carried_to is not None:
            return FOR_EVER
        return max((line.open_until for line in self.lines if line.open_until is not None), default=None)


Books = Mapping[OrderId, Sale]
"""The sales of one customer."""
