"""Pauses: access rests, the rest of what was paid is kept, and goes on where it stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.entitlements.events import EntitlementEnded
from domain.errors import PauseLimitReached, SubscriptionNotPausable
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.terms import under
from domain.records import replace
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionContinued, SubscriptionPaused
from domain.subscriptions.state import SubscriptionStatus

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.subscriptions.commands import ContinueSubscription
    from domain.subscriptions.state import Subscription

_PAUSABLE = frozenset({SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})


def pause(account: Account, subscription: Subscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Let a paid period rest. Repeated, it changes nothing. Raises SubscriptionNotPausable, PauseLimitReached."""
    if subscription.status is SubscriptionStatus.PAUSED:
        return ()
    if subscription.status not in _PAUSABLE or command.at >= subscription.period_end:
        raise SubscriptionNotPausable(subscription_id=subscription.id, status=subscription.status)
    if subscription.pauses >= command.policies.pauses_per_period_max:
        raise PauseLimitReached(subscription_id=subscription.id, pauses_max=command.policies.pauses_per_period_max)
    paused = SubscriptionPaused(
        subscription_id=subscription.id, paused_at=command.at, resume_by=command.at + command.policies.pause_max
    )
    rests = EntitlementEnded(resource=subscription.resource, ended_at=command.at)
    return (*close_renewal(account, subscription, command, CloseReason.CANCELLED), paused, rests)


def go_on(subscription: Subscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """End a pause: everything that was paid moves by its length, to the second."""
    if subscription.paused_at is None:
        return ()
    length = command.at - subscription.paused_at
    start, end = subscription.period_start + length, subscription.period_end + length
    policies = under(subscription.terms, command.policies)
    access_end = renewal.access_end(end, auto_renew=subscription.auto_renew, policies=policies)
    first = renewal.first_attempt(subscription, start, end, policies)
    continued = SubscriptionContinued(
        subscription_id=subscription.id,
        anchor=end,
        paid=tuple(
            replace(period, start=period.start + length, end=period.end + length) for period in subscription.paid
        ),
        period_start=start,
        period_end=end,
        access_end=access_end,
        renew_at=max(first, command.at) if subscription.auto_renew else None,
        continued_at=command.at,
    )
    return (continued, renewal.access(subscription, access_end))


def end_pause(account: Account, asked: ContinueSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Go on by itself when a pause has lasted as long as it may."""
    subscription = account.subscriptions.get(asked.subscription_id)
    if subscription is None or subscription.resume_by != asked.resume_by or command.at < asked.resume_by:
        return ()
    return go_on(subscription, command)
