"""An entitlement: the right to watch a film or what a role opens, and why."""

from __future__ import annotations

from datetime import datetime

from domain.ids import OrderId, Resource, SubscriptionId
from domain.records import dataclass
from domain.subscriptions.state import PaidPeriod


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What may be watched. `until` absent means for ever."""

    resource: Resource
    until: datetime | None
    reason: str
    """`purchase` or `subscription`."""
    order_id: OrderId
    subscription_id: SubscriptionId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAccess:
    """Access that was taken back because its money went, with what it takes to give it again."""

    resource: Resource
    taken_at: datetime
    until: datetime | None = None
    """For what is no subscription: until when it would have lasted; absent: for ever."""
    subscription_id: SubscriptionId | None = None
    period: PaidPeriod | None = None
    """For a subscription: the paid period whose rest was taken out of it."""
