"""What customers and timers ask of a subscription."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.ids import PriceId, SubscriptionId
from domain.records import dataclass


class CancelAt(StrEnum):
    """When a cancelled subscription ends."""

    PERIOD_END = "period_end"
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelSubscription:
    """Do not renew; with `now`, end at once."""

    subscription_id: SubscriptionId
    at: CancelAt


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeSubscription:
    """Renew again, by the saved means of payment."""

    subscription_id: SubscriptionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendSubscription:
    """A manager gives days for nothing."""

    subscription_id: SubscriptionId
    days: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewSubscription:
    """The next period is to be paid: charge the saved means of payment, the given time for this period."""

    subscription_id: SubscriptionId
    period_end: datetime
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPeriod:
    """The paid period is over."""

    subscription_id: SubscriptionId
    period_end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndGrace:
    """The time of grace is over."""

    subscription_id: SubscriptionId
    access_end: datetime


class ChangeAt(StrEnum):
    """When another plan begins."""

    PERIOD_END = "period_end"
    NOW = "now"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan:
    """Take another plan. `period_end` with the present price drops a change that was to come."""

    subscription_id: SubscriptionId
    price_id: PriceId
    at: ChangeAt
    provider: str = ""
    """Where to pay what is due now, if no means of payment is saved."""
    return_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigratePrice:
    """A manager lets a new price of the same product hold for periods that begin at the given moment or later."""

    subscription_id: SubscriptionId
    price_id: PriceId
    effective_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSubscription:
    """Let access rest and keep the rest of what was paid."""

    subscription_id: SubscriptionId


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueSubscription:
    """The pause has lasted as long as it may."""

    subscription_id: SubscriptionId
    resume_by: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTrial:
    """Try a plan for nothing, once."""

    price_id: PriceId
    auto_renew: bool = True


SubscriptionCommand = (
    CancelSubscription
    | ChangePlan
    | MigratePrice
    | PauseSubscription
    | ContinueSubscription
    | StartTrial
    | ResumeSubscription
    | ExtendSubscription
    | RenewSubscription
    | EndPeriod
    | EndGrace
)
