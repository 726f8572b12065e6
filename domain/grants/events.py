"""What happened to a grant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.ids import Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantGiven:
    """A manager lets the customer watch the resource."""

    resource: Resource
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRevoked:
    """A manager took the grant back."""

    resource: Resource
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantEnded:
    """The time of the grant is over."""

    resource: Resource
    ended_at: datetime


GrantEvent = GrantGiven | GrantRevoked | GrantEnded
