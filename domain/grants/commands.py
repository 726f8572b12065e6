"""What managers and timers say about a grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.ids import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveGrant:
    """Let the customer watch the resource until a moment, or until it is revoked; it replaces an earlier one."""

    resource: Resource
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeGrant:
    """Take back what a manager gave. What was bought stays."""

    resource: Resource
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndGrant:
    """The time of the grant is over."""

    resource: Resource
    until: datetime


GrantCommand = GiveGrant | RevokeGrant | EndGrant
