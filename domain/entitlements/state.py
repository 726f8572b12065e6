"""An entitlement: the right to watch a film or what a role opens, and why."""

from __future__ import annotations

from datetime import datetime

from domain.ids import OrderId, Resource, SubscriptionId
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What may be watched. `until` absent means for ever."""

    resource: Resource
    until: datetime | None
    reason: str
    """`purchase` or `subscription`."""
    order_id: OrderId
    subscription_id: SubscriptionId | None = None
