"""The fold of one subscription. No rules here; a known event never fails."""

from __future__ import annotations

from typing import assert_never

from domain.records import replace
from domain.subscriptions.events import (
    AccessBlocked,
    RenewalAttempted,
    RenewalAuthenticationRequired,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionResumed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from domain.subscriptions.state import Subscription, SubscriptionStatus


def evolve(before: Subscription | None, event: SubscriptionEvent) -> Subscription:
    """Return the subscription after the event; only its start comes without a state before."""
    if isinstance(event, SubscriptionStarted):
        return _started(event)
    if before is None:
        raise AssertionError(f"{type(event).__name__} of a subscription that never started")
    match event:
        case SubscriptionRenewed():
            return replace(
                before,
                anchor=event.anchor,
                units=event.units,
                paid=event.paid,
                period_start=event.period_start,
                period_end=event.period_end,
                access_end=event.access_end,
                auto_renew=event.auto_renew,
                renew_at=event.renew_at,
                attempts=0,
                renewal_order_id=None,
                status=SubscriptionStatus.ACTIVE,
            )
        case RenewalAttempted():
            return replace(before, attempts=event.attempt, renewal_order_id=event.order_id, renew_at=None)
        case RenewalFailed():
            return replace(before, status=_unpaid(before), attempts=event.attempt, renew_at=event.retry_at)
        case RenewalAuthenticationRequired():
            return replace(before, status=_unpaid(before))
        case SubscriptionCancelled():
            return replace(before, auto_renew=False, access_end=event.access_end, renew_at=None, renewal_order_id=None)
        case SubscriptionResumed():
            return replace(before, auto_renew=True, access_end=event.access_end, renew_at=event.renew_at)
        case SubscriptionExtended():
            return replace(
                before,
                anchor=event.anchor,
                units=0,
                period_end=event.period_end,
                access_end=event.access_end,
                renew_at=event.renew_at,
                attempts=0,
                renewal_order_id=None,
                status=SubscriptionStatus.ACTIVE,
            )
        case SubscriptionShortened():
            return replace(
                before,
                anchor=event.anchor,
                units=event.units,
                paid=event.paid,
                period_start=event.paid[-1].start if event.paid else before.period_start,
                period_end=event.period_end,
                access_end=event.period_end,
                auto_renew=False,
                renew_at=None,
                renewal_order_id=None,
                status=SubscriptionStatus.ACTIVE,
            )
        case SubscriptionRestored():
            return replace(
                before,
                anchor=event.anchor,
                units=0,
                paid=event.paid,
                period_start=event.period_start,
                period_end=event.period_end,
                access_end=event.access_end,
                renew_at=event.renew_at,
                attempts=0,
                renewal_order_id=None,
                status=SubscriptionStatus.ACTIVE,
            )
        case SubscriptionGraceStarted():
            return replace(before, status=SubscriptionStatus.GRACE, access_end=event.access_end)
        case SubscriptionEnded():
            return replace(
                before, status=SubscriptionStatus.ENDED, auto_renew=False, renew_at=None, renewal_order_id=None
            )
        case AccessBlocked():
            return before
        case _:
            assert_never(event)


def _started(event: SubscriptionStarted) -> Subscription:
    return Subscription(
        id=event.subscription_id,
        product_id=event.product_id,
        price_id=event.price_id,
        title=event.title,
        price=event.price,
        period=event.period,
        resource=event.resource,
        order_id=event.order_id,
        anchor=event.period_start,
        units=event.periods * event.period.count,
        paid=event.paid,
        period_start=event.period_start,
        period_end=event.period_end,
        access_end=event.access_end,
        auto_renew=event.auto_renew,
        renew_at=event.renew_at,
    )


def _unpaid(subscription: Subscription) -> SubscriptionStatus:
    return SubscriptionStatus.GRACE if subscription.status is SubscriptionStatus.GRACE else SubscriptionStatus.PAST_DUE
