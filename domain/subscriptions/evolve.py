"""The fold of one subscription. No rules here; a known event never fails."""

from __future__ import annotations

from typing import assert_never

from domain.records import replace
from domain.subscriptions.events import (
    AccessBlocked,
    PlanChanged,
    PlanChangeDropped,
    PlanChangeScheduled,
    RenewalAttempted,
    RenewalAuthenticationRequired,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionPaused,
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
                terms=event.terms,
                period_start=event.period_start,
                period_end=event.period_end,
                access_end=event.access_end,
                auto_renew=event.auto_renew,
                renew_at=event.renew_at,
                attempts=0,
                renewal_order_id=None,
                status=SubscriptionStatus.ACTIVE,
                pauses=0,
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
                status=_active(before),
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
                status=_active(before),
            )
        case PlanChangeScheduled():
            renewal = before.renewal_order_id if event.change.is_migration else None
            return replace(
                before,
                planned=event.change,
                announced=event.change if event.change.is_migration else before.announced,
                renew_at=event.renew_at,
                renewal_order_id=renewal,
            )
        case PlanChangeDropped():
            return replace(before, planned=event.planned, renew_at=event.renew_at, renewal_order_id=None)
        case PlanChanged(plan=plan):
            return replace(
                before,
                order_id=event.order_id,
                product_id=plan.product_id,
                price_id=plan.price_id,
                title=plan.title,
                price=plan.price,
                period=plan.period,
                resource=plan.resource,
                planned=event.planned,
                announced=event.planned,
            )
        case SubscriptionPaused():
            return replace(
                before,
                status=SubscriptionStatus.PAUSED,
                paused_at=event.paused_at,
                resume_by=event.resume_by,
                pauses=before.pauses + 1,
                renew_at=None,
                renewal_order_id=None,
            )
        case SubscriptionContinued():
            return replace(
                before,
                status=SubscriptionStatus.ACTIVE,
                paused_at=None,
                resume_by=None,
                anchor=event.anchor,
                units=0,
                paid=event.paid,
                period_start=event.period_start,
                period_end=event.period_end,
                access_end=event.access_end,
                renew_at=event.renew_at,
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
                status=_active(before),
            )
        case SubscriptionGraceStarted():
            return replace(before, status=SubscriptionStatus.GRACE, access_end=event.access_end)
        case SubscriptionEnded():
            return replace(
                before,
                status=SubscriptionStatus.ENDED,
                auto_renew=False,
                renew_at=None,
                renewal_order_id=None,
                paid=(),
                planned=None,
                announced=None,
                paused_at=None,
                resume_by=None,
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
        anchor=event.period_end if event.is_trial else event.period_start,
        units=0 if event.is_trial else event.periods * event.period.count,
        paid=event.paid,
        terms=event.terms,
        period_start=event.period_start,
        period_end=event.period_end,
        access_end=event.access_end,
        auto_renew=event.auto_renew,
        renew_at=event.renew_at,
        status=SubscriptionStatus.TRIALING if event.is_trial else SubscriptionStatus.ACTIVE,
    )


def _active(subscription: Subscription) -> SubscriptionStatus:
    """What is given or taken ends neither a pause nor a trial."""
    stays = subscription.status in {SubscriptionStatus.PAUSED, SubscriptionStatus.TRIALING}
    return subscription.status if stays else SubscriptionStatus.ACTIVE


def _unpaid(subscription: Subscription) -> SubscriptionStatus:
    return SubscriptionStatus.GRACE if subscription.status is SubscriptionStatus.GRACE else SubscriptionStatus.PAST_DUE
