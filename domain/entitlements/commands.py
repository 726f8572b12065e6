"""What timers say about an entitlement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.ids import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class EndEntitlement:
    """The time of the access is over."""

    resource: Resource
    until: datetime


EntitlementCommand = EndEntitlement
