"""What happened to an entitlement."""

from __future__ import annotations

from datetime import datetime

from domain.ids import OrderId, Resource, SubscriptionId
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementGranted:
    """The account may watch the resource until the moment given, or for ever."""

    resource: Resource
    until: datetime | None
    reason: str
    order_id: OrderId
    subscription_id: SubscriptionId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementEnded:
    """The account may no longer watch the resource."""

    resource: Resource
    ended_at: datetime


EntitlementEvent = EntitlementGranted | EntitlementEnded
