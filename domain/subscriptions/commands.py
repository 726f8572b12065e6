"""What customers and timers ask of a subscription."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from domain.ids import SubscriptionId
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


SubscriptionCommand = (
    CancelSubscription | ResumeSubscription | ExtendSubscription | RenewSubscription | EndPeriod | EndGrace
)
