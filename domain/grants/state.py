"""A grant: access that a manager gives, beside whatever the customer buys. One for each resource."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from domain.ids import Resource

if TYPE_CHECKING:
    from domain.account.state import Account

GRANT = "grant"
"""The reason of access that comes from a grant, as everybody sees it; why it was given is for managers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a manager gave. `until` absent means until it is revoked."""

    resource: Resource
    until: datetime | None
    reason: str
    """Why, in the manager's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One thing that may be watched, whether it was bought or given: whichever lasts longer counts."""

    resource: Resource
    until: datetime | None
    reason: str


def access_of(account: Account) -> tuple[Access, ...]:
    """Return all that the account may watch, in a stable order."""
    found = {
        held.resource: Access(resource=held.resource, until=held.until, reason=held.reason)
        for held in account.entitlements.values()
    }
    for given in account.grants.values():
        bought = found.get(given.resource)
        if bought is None or lasts_longer(given.until, bought.until):
            found[given.resource] = Access(resource=given.resource, until=given.until, reason=GRANT)
    return tuple(sorted(found.values(), key=lambda access: access.resource))


def lasts_longer(until: datetime | None, other: datetime | None) -> bool:
    """Tell whether access until one moment goes beyond access until another; no moment is for ever."""
    return other is not None and (until is None or until > other)
