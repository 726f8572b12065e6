"""Which subscription gives a role: never more than one that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.ids import Resource, SubscriptionId
    from domain.subscriptions.state import Subscription


def holder_of(account: Account, resource: Resource, *, besides: SubscriptionId | None = None) -> Subscription | None:
    """Return the running subscription of a role, paused ones among them, leaving one out where that is asked for."""
    return next(
        (
            held
            for held in account.subscriptions.values()
            if held.is_running and held.resource == resource and held.id != besides
        ),
        None,
    )
