"""What timers say about a subscription."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.ids import SubscriptionId


@dataclass(frozen=True, slots=True, kw_only=True)
class EndPeriod:
    """The paid period is over."""

    subscription_id: SubscriptionId
    period_end: datetime


SubscriptionCommand = EndPeriod
