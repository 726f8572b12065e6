"""Decisions about grants, and their fold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never

from domain.errors import GrantInvalid, GrantUnknown
from domain.grants.events import GrantEnded, GrantEvent, GrantGiven, GrantRevoked
from domain.grants.state import Grant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.account.state import Account
    from domain.decider import Command
    from domain.grants.commands import EndGrant, GiveGrant, RevokeGrant
    from domain.ids import Resource

GRANTS_MAX = 100
REASON_MAX = 200
_RESOURCE = re.compile(r"(film:[a-z0-9][a-z0-9-]{0,62}|role:[a-z0-9][a-z0-9_-]{0,62})")


def give(account: Account, asked: GiveGrant, command: Command[object]) -> tuple[GrantGiven, ...]:
    """Give access. Raises GrantInvalid."""
    reason = None
    if not _RESOURCE.fullmatch(asked.resource):
        reason = "a resource is film:<product id> or role:<role>"
    elif not 0 < len(asked.reason) <= REASON_MAX:
        reason = f"a reason has 1 to {REASON_MAX} characters"
    elif asked.until is not None and asked.until <= command.at:
        reason = "until must be in the future"
    elif asked.resource not in account.grants and len(account.grants) >= GRANTS_MAX:
        reason = f"an account may have up to {GRANTS_MAX}; revoke one first"
    if reason:
        raise GrantInvalid(resource=asked.resource, reason=reason)
    given = Grant(resource=asked.resource, until=asked.until, reason=asked.reason)
    if account.grants.get(asked.resource) == given:
        return ()
    return (GrantGiven(resource=given.resource, until=given.until, reason=given.reason),)


def revoke(account: Account, asked: RevokeGrant, command: Command[object]) -> tuple[GrantRevoked, ...]:
    """Take a grant back. Raises GrantInvalid, GrantUnknown."""
    if asked.resource not in account.grants:
        raise GrantUnknown(resource=asked.resource)
    if not 0 < len(asked.reason) <= REASON_MAX:
        raise GrantInvalid(resource=asked.resource, reason=f"a reason has 1 to {REASON_MAX} characters")
    return (GrantRevoked(resource=asked.resource, reason=asked.reason),)


def end(account: Account, asked: EndGrant, command: Command[object]) -> tuple[GrantEnded, ...]:
    """End a grant whose time is over; one that was given anew meanwhile stays."""
    given = account.grants.get(asked.resource)
    if given is None or given.until is None or given.until != asked.until or command.at < given.until:
        return ()
    return (GrantEnded(resource=given.resource, ended_at=given.until),)


def evolve(grants: Mapping[Resource, Grant], event: GrantEvent) -> Mapping[Resource, Grant]:
    """Return the account's grants after the event."""
    match event:
        case GrantGiven():
            given = Grant(resource=event.resource, until=event.until, reason=event.reason)
            return {**grants, given.resource: given}
        case GrantRevoked() | GrantEnded():
            return {resource: grant for resource, grant in grants.items() if resource != event.resource}
        case _:
            assert_never(event)
