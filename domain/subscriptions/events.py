"""What happened to a subscription."""

from __future__ import annotations

from datetime import datetime

from domain.calendar import Period
from domain.ids import OrderId, PaymentId, PriceId, ProductId, Resource, SubscriptionId
from domain.money import Money
from domain.policies.terms import Terms
from domain.records import dataclass
from domain.subscriptions.state import PaidPeriod, Plan, PlannedChange


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStarted:
    """The first period was paid and runs. `periods` of the price's `period` were bought at once."""

    subscription_id: SubscriptionId
    order_id: OrderId
    product_id: ProductId
    price_id: PriceId
    title: str
    price: Money
    period: Period
    periods: int
    resource: Resource
    auto_renew: bool
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    paid: tuple[PaidPeriod, ...] = ()
    is_trial: bool = False
    """A time to try: the first paid period begins at its end."""
    terms: Terms | None = None
    """What was agreed about grace, refunds and renewals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRenewed:
    """One or more further periods were paid; they follow the earlier ones without a gap, or begin with a new plan."""

    subscription_id: SubscriptionId
    order_id: OrderId
    anchor: datetime
    units: int
    """All units (months or days) since the anchor."""
    period_start: datetime
    period_end: datetime
    access_end: datetime
    auto_renew: bool
    renew_at: datetime | None
    renewed_at: datetime
    paid: tuple[PaidPeriod, ...]
    """The paid periods that have not ended, this one the last."""
    terms: Terms | None = None
    """What was agreed about grace, refunds and renewals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalAttempted:
    """The saved means of payment is being charged for the next period."""

    subscription_id: SubscriptionId
    order_id: OrderId
    payment_id: PaymentId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalFailed:
    """An attempt to renew brought no money. Without `retry_at` it is not tried again."""

    subscription_id: SubscriptionId
    attempt: int
    reason: str
    hard: bool
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalAuthenticationRequired:
    """The bank wants the customer to confirm the renewal; there is no blind retry."""

    subscription_id: SubscriptionId
    attempt: int
    confirmation_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionCancelled:
    """The subscription no longer renews; access stays to the end of what was paid."""

    subscription_id: SubscriptionId
    access_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionResumed:
    """The subscription renews again: the customer said so, or left a new means of payment after it had failed."""

    subscription_id: SubscriptionId
    access_end: datetime
    renew_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionExtended:
    """A manager gave days; every later period moves with them."""

    subscription_id: SubscriptionId
    days: int
    reason: str
    anchor: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionShortened:
    """The time that one order had paid for was paid back, all that is left of it or a part.

    What other orders paid moves up, and nothing renews.
    """

    subscription_id: SubscriptionId
    order_id: OrderId
    anchor: datetime
    units: int
    paid: tuple[PaidPeriod, ...]
    """What stays paid."""
    period_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRestored:
    """The rest of a period is given again: its money was to go back, and is ours after all."""

    subscription_id: SubscriptionId
    order_id: OrderId
    """The order that paid for the period."""
    anchor: datetime
    paid: tuple[PaidPeriod, ...]
    """The paid periods that have not ended, this one the last."""
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    restored_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChangeScheduled:
    """Another plan, or a new price of the same, begins with a later period."""

    subscription_id: SubscriptionId
    change: PlannedChange
    renew_at: datetime | None
    announced_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChangeDropped:
    """The change that was to come does not come."""

    subscription_id: SubscriptionId
    renew_at: datetime | None
    planned: PlannedChange | None = None
    """What is to come all the same: a price that was announced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged:
    """The subscription is of this plan from now on."""

    subscription_id: SubscriptionId
    order_id: OrderId
    plan: Plan
    planned: PlannedChange | None = None
    """What is still to come: a price that was announced after this change had been agreed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPaused:
    """Access rests, and the rest of what was paid is kept; at `resume_by` it goes on by itself."""

    subscription_id: SubscriptionId
    paused_at: datetime
    resume_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionContinued:
    """The subscription goes on after a pause; everything that was paid moved by its length."""

    subscription_id: SubscriptionId
    anchor: datetime
    paid: tuple[PaidPeriod, ...]
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    continued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionGraceStarted:
    """The paid period is over and the renewal is not paid; access stays until `access_end`."""

    subscription_id: SubscriptionId
    access_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionEnded:
    """The subscription gives no access any more."""

    subscription_id: SubscriptionId
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessBlocked:
    """Access was taken away because the renewal was not paid within the grace."""

    subscription_id: SubscriptionId
    resource: Resource


SubscriptionEvent = (
    SubscriptionStarted
    | SubscriptionRenewed
    | RenewalAttempted
    | RenewalFailed
    | RenewalAuthenticationRequired
    | SubscriptionCancelled
    | SubscriptionResumed
    | SubscriptionExtended
    | SubscriptionShortened
    | SubscriptionRestored
    | PlanChangeScheduled
    | PlanChangeDropped
    | PlanChanged
    | SubscriptionPaused
    | SubscriptionContinued
    | SubscriptionGraceStarted
    | SubscriptionEnded
    | AccessBlocked
)
