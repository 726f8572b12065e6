"""Decisions about subscriptions and about the ends of entitlements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.entitlements.events import EntitlementEnded
from domain.subscriptions.events import SubscriptionEnded
from domain.subscriptions.state import SubscriptionStatus

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.entitlements.commands import EndEntitlement
    from domain.subscriptions.commands import EndPeriod


def end_period(account: Account, ended: EndPeriod, command: Command[object]) -> tuple[AccountEvent, ...]:
    """End the subscription whose last paid period is over."""
    subscription = account.subscriptions.get(ended.subscription_id)
    if (
        subscription is None
        or subscription.status is not SubscriptionStatus.ACTIVE
        or subscription.period_end != ended.period_end
        or command.at < subscription.period_end
    ):
        return ()
    return (SubscriptionEnded(subscription_id=subscription.id, ended_at=subscription.period_end),)


def end_entitlement(account: Account, ended: EndEntitlement, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take back an entitlement whose time is over."""
    held = account.entitlements.get(ended.resource)
    if held is None or held.until is None or held.until != ended.until or command.at < held.until:
        return ()
    return (EntitlementEnded(resource=held.resource, ended_at=held.until),)
