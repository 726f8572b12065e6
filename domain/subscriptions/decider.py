"""Decisions about subscriptions and about the ends of entitlements."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.balance import decider as balance
from domain.balance.state import available
from domain.disputes import owing
from domain.entitlements.events import EntitlementEnded
from domain.errors import ExtensionInvalid, RenewalMethodMissing, SubscriptionNotRunning, SubscriptionUnknown
from domain.orders.events import OrderPlaced
from domain.orders.evolve import placed as order_of
from domain.orders.starting import collect
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.terms import under
from domain.refunds import giving, parts
from domain.refunds import rules as refunds
from domain.refunds.state import RefundedBy
from domain.subscriptions import attempts, pauses, plans, renewal, trials
from domain.subscriptions.commands import CancelAt, ChangeAt
from domain.subscriptions.events import (
    AccessBlocked,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionResumed,
)
from domain.subscriptions.state import SubscriptionStatus

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.entitlements.commands import EndEntitlement
    from domain.ids import SubscriptionId
    from domain.subscriptions.commands import (
        CancelSubscription,
        ChangePlan,
        ContinueSubscription,
        EndGrace,
        EndPeriod,
        ExtendSubscription,
        MigratePrice,
        PauseSubscription,
        RenewSubscription,
        ResumeSubscription,
        StartTrial,
    )
    from domain.subscriptions.state import Subscription


_BEFORE_THE_END = frozenset({SubscriptionStatus.TRIALING, SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE})


def cancel(account: Account, asked: CancelSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Renew no more; with `now`, end access at once. Repeated, it changes nothing."""
    subscription = _known(account, asked.subscription_id)
    if asked.at is CancelAt.NOW:
        if not subscription.is_running:
            return ()
        ended = _end(account, subscription, command, ended_at=command.at, closing=CloseReason.CANCELLED)
        return (*ended, *_refund_of_rest(account, subscription, ended, command))
    if not subscription.is_running or not subscription.auto_renew:
        return ()
    end = max(subscription.period_end, command.at)
    if subscription.status is SubscriptionStatus.PAUSED:
        return (SubscriptionCancelled(subscription_id=subscription.id, access_end=subscription.period_end),)
    cancelled = SubscriptionCancelled(subscription_id=subscription.id, access_end=end)
    closing = close_renewal(account, subscription, command, CloseReason.CANCELLED)
    if end <= command.at:
        return (cancelled, *closing, *_end(account, subscription, command, ended_at=end, closing=None))
    return (cancelled, *closing, renewal.access(subscription, end))


def resume(account: Account, asked: ResumeSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Go on after a pause; else renew again. Repeated, it changes nothing.

    With neither a means of payment nor a balance that covers the price, nothing could be renewed, and the grace would
    be time for nothing. Raises SubscriptionUnknown, SubscriptionNotRunning, RenewalMethodMissing.
    """
    subscription = _running(account, asked.subscription_id)
    if subscription.status is SubscriptionStatus.PAUSED:
        return pauses.go_on(subscription, command)
    if subscription.auto_renew:
        return ()
    price = subscription.next_plan.price
    if not account.methods and available(account, price.currency).amount < price.amount:
        raise RenewalMethodMissing(subscription_id=subscription.id)
    policies = under(subscription.terms, command.policies)
    end = renewal.access_end(subscription.period_end, auto_renew=True, policies=policies)
    first = renewal.first_attempt(subscription, subscription.period_start, subscription.period_end, policies)
    return (
        SubscriptionResumed(subscription_id=subscription.id, access_end=end, renew_at=max(first, command.at)),
        renewal.access(subscription, end),
    )


def extend(account: Account, asked: ExtendSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give days for nothing; later periods are counted from the new end, and renewed when that comes."""
    subscription = _running(account, asked.subscription_id)
    room = command.at + command.policies.period_ahead_max - subscription.period_end
    days_max = max(0, min(command.policies.extension_days_max, room.days))
    if not 0 < asked.days <= days_max:
        raise ExtensionInvalid(days=asked.days, days_max=days_max)
    period_end = subscription.period_end + timedelta(days=asked.days)
    policies = under(subscription.terms, command.policies)
    end = renewal.access_end(period_end, auto_renew=subscription.auto_renew, policies=policies)
    first = renewal.first_attempt(subscription, subscription.period_start, period_end, policies)
    is_paused = subscription.status is SubscriptionStatus.PAUSED
    return (
        *close_renewal(account, subscription, command, CloseReason.CANCELLED),
        SubscriptionExtended(
            subscription_id=subscription.id,
            days=asked.days,
            reason=asked.reason,
            anchor=period_end,
            period_end=period_end,
            access_end=end,
            renew_at=first if subscription.auto_renew and not is_paused else None,
        ),
        *(() if is_paused else (renewal.access(subscription, end),)),
    )


def change_plan(account: Account, asked: ChangePlan, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Change the plan now or with the next period. Raises DomainError."""
    subscription = _running(account, asked.subscription_id)
    if asked.at is ChangeAt.PERIOD_END:
        return plans.at_end(account, subscription, asked, command)
    events = plans.now(account, subscription, asked, command)
    placed = events[0]
    if not isinstance(placed, OrderPlaced):
        return events
    order, held = balance.use(account, order_of(placed))
    return (*events, *held, *collect(account, order, command))


def migrate_price(account: Account, asked: MigratePrice, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Announce a new price. Raises DomainError."""
    return plans.migrate(account, _running(account, asked.subscription_id), asked, command)


def pause(account: Account, asked: PauseSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Let the subscription rest. Raises DomainError."""
    return pauses.pause(account, _running(account, asked.subscription_id), command)


def continue_after_pause(
    account: Account, asked: ContinueSubscription, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """The pause has lasted as long as it may."""
    return pauses.end_pause(account, asked, command)


def start_trial(account: Account, asked: StartTrial, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give a plan for nothing for some days. Raises DomainError."""
    return trials.start(account, asked, command)


def renew(account: Account, asked: RenewSubscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Try to renew the present period. When its access is already over, nobody is charged for the past."""
    subscription = account.subscriptions.get(asked.subscription_id)
    if (
        subscription is None
        or not subscription.is_running
        or subscription.period_end != asked.period_end
        or subscription.attempts + 1 != asked.attempt
        or subscription.renew_at is None
        or command.at < subscription.renew_at
        or command.at >= subscription.access_end
    ):
        return ()
    return attempts.attempt(account, subscription, command)


def end_period(account: Account, asked: EndPeriod, command: Command[object]) -> tuple[AccountEvent, ...]:
    """The paid period is over: a grace for what renews by itself, the end for what does not."""
    subscription = account.subscriptions.get(asked.subscription_id)
    if (
        subscription is None
        or subscription.status not in _BEFORE_THE_END
        or subscription.period_end != asked.period_end
        or command.at < subscription.period_end
    ):
        return ()
    if not subscription.auto_renew:
        return _end(account, subscription, command, ended_at=subscription.period_end, closing=CloseReason.EXPIRED)
    return (SubscriptionGraceStarted(subscription_id=subscription.id, access_end=subscription.access_end),)


def end_grace(account: Account, asked: EndGrace, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Nobody paid within the grace: the subscription ends and access is blocked, once."""
    subscription = account.subscriptions.get(asked.subscription_id)
    if (
        subscription is None
        or subscription.status is not SubscriptionStatus.GRACE
        or subscription.access_end != asked.access_end
        or command.at < subscription.access_end
    ):
        return ()
    blocked = AccessBlocked(subscription_id=subscription.id, resource=subscription.resource)
    ended = _end(account, subscription, command, ended_at=subscription.access_end, closing=CloseReason.EXPIRED)
    return (*ended, blocked)


def end_entitlement(account: Account, ended: EndEntitlement, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take back an entitlement whose time is over."""
    held = account.entitlements.get(ended.resource)
    if held is None or held.until is None or held.until != ended.until or command.at < held.until:
        return ()
    return (EntitlementEnded(resource=held.resource, ended_at=held.until),)


def _end(
    account: Account,
    subscription: Subscription,
    command: Command[object],
    *,
    ended_at: datetime,
    closing: CloseReason | None,
) -> tuple[AccountEvent, ...]:
    events: list[AccountEvent] = []
    if closing is not None:
        events += close_renewal(account, subscription, command, closing)
    events.append(SubscriptionEnded(subscription_id=subscription.id, ended_at=ended_at))
    held = account.entitlements.get(subscription.resource)
    if held is not None and held.subscription_id == subscription.id:
        events.append(EntitlementEnded(resource=subscription.resource, ended_at=ended_at))
    return tuple(events)


def _refund_of_rest(
    account: Account, subscription: Subscription, ended: tuple[AccountEvent, ...], command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Give back the unused part of the present period, and all that was paid ahead, where the policy says so.

    What the customer's bank holds goes back if it is ours again.
    """
    if not command.policies.cancel_now_refunds:
        return ()
    given_back = giving.give_back(
        reduce(evolve, ended, account),
        parts.unused_sources(account, subscription, command.at),
        command,
        reason="cancelled at once",
        rule=refunds.UNUSED,
        requested_by=RefundedBy.POLICY,
    )
    return (*owing.note(account, subscription, command), *given_back)


def _known(account: Account, subscription_id: SubscriptionId) -> Subscription:
    subscription = account.subscriptions.get(subscription_id)
    if subscription is None:
        raise SubscriptionUnknown(subscription_id=subscription_id)
    return subscription


def _running(account: Account, subscription_id: SubscriptionId) -> Subscription:
    subscription = _known(account, subscription_id)
    if not subscription.is_running:
        raise SubscriptionNotRunning(subscription_id=subscription_id, status=subscription.status)
    return subscription
