"""What timers say about an entitlement."""

from __future__ import annotations

from datetime import datetime

from domain.ids import Resource
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEntitlement:
    """The time of the access is over."""

    resource: Resource
    until: datetime


EntitlementCommand = EndEntitlement
