"""What each event sets in the row of a subscription."""

from __future__ import annotations

from typing import Any, assert_never

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
from domain.subscriptions.state import Plan, SubscriptionStatus


def changed(account: str, data: SubscriptionEvent) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the columns that the event sets, and what its line in the history says where that is something else."""
    values: dict[str, Any]
    match data:
        case SubscriptionStarted():
            return _started(account, data), None
        case SubscriptionRenewed():
            running = {"anchor": data.anchor, "units": data.units, "period_start": data.period_start}
            return {
                **running,
                "auto_renew": data.auto_renew,
                "is_trial": False,
                "paid": data.paid,
                "terms": data.terms,
                **_running(data),
            }, None
        case RenewalAttempted():
            values = {"renew_at": None}
            return values, {**values, "attempt": data.attempt, "payment_id": data.payment_id}
        case RenewalFailed():
            values = {**_UNPAID, "renewal_failure": data.reason, "renew_at": data.retry_at}
            return values, {**values, "attempt": data.attempt, "hard": data.hard}
        case RenewalAuthenticationRequired():
            return {**_UNPAID, "renewal_failure": "authentication_required"}, None
        case SubscriptionCancelled():
            return {"auto_renew": False, "access_end": data.access_end, "renew_at": None}, None
        case SubscriptionResumed():
            return {"auto_renew": True, "access_end": data.access_end, "renew_at": data.renew_at}, None
        case SubscriptionExtended():
            values = {"anchor": data.anchor, "units": 0, **_running(data)}
            return values, {**values, "days": data.days, "reason": data.reason}
        case SubscriptionShortened():
            return _shortened(data), None
        case SubscriptionRestored():
            again = {"anchor": data.anchor, "units": 0, "period_start": data.period_start, "paid": data.paid}
            return {**again, **_running(data)}, None
        case PlanChangeScheduled() | PlanChangeDropped() | PlanChanged():
            return _planned(data), None
        case SubscriptionPaused():
            return {"paused_at": data.paused_at, "resume_by": data.resume_by, "renew_at": None}, None
        case SubscriptionContinued():
            moved = {"anchor": data.anchor, "units": 0, "period_start": data.period_start, "paid": data.paid}
            return {**moved, "paused_at": None, "resume_by": None, **_running(data)}, None
        case SubscriptionGraceStarted():
            return {"status": SubscriptionStatus.GRACE, "is_trial": False, "access_end": data.access_end}, None
        case SubscriptionEnded():
            return {"ended_at": data.ended_at, **_ENDED}, None
        case AccessBlocked():
            return {}, {"blocked": data.resource}
        case _:
            assert_never(data)


_UNPAID = {"is_past_due": True, "is_trial": False}
_ENDED = {
    "status": SubscriptionStatus.ENDED,
    "is_trial": False,
    "auto_renew": False,
    "renew_at": None,
    "paused_at": None,
    "resume_by": None,
    "planned": None,
    "paid": (),
}


def _planned(data: PlanChangeScheduled | PlanChangeDropped | PlanChanged) -> dict[str, Any]:
    if isinstance(data, PlanChanged):
        return {"order_id": data.order_id, "planned": data.planned, **_plan(data.plan)}
    planned = data.change if isinstance(data, PlanChangeScheduled) else data.planned
    return {"planned": planned, "renew_at": data.renew_at}


def _plan(plan: Plan | SubscriptionStarted) -> dict[str, Any]:
    return {
        "product_id": plan.product_id,
        "price_id": plan.price_id,
        "amount": plan.price.amount,
        "currency": plan.price.currency,
        "period_count": plan.period.count,
        "period_unit": plan.period.unit,
        "resource": plan.resource,
        "title": plan.title,
    }


def _running(
    data: SubscriptionRenewed | SubscriptionExtended | SubscriptionContinued | SubscriptionRestored,
) -> dict[str, Any]:
    return {
        "status": SubscriptionStatus.ACTIVE,
        "is_past_due": False,
        "renewal_failure": None,
        "period_end": data.period_end,
        "access_end": data.access_end,
        "renew_at": data.renew_at,
        "ended_at": None,
    }


def _shortened(data: SubscriptionShortened) -> dict[str, Any]:
    values = {
        "status": SubscriptionStatus.ACTIVE,
        "is_past_due": False,
        "renewal_failure": None,
        "anchor": data.anchor,
        "paid": data.paid,
        "units": data.units,
        "period_end": data.period_end,
        "access_end": data.period_end,
        "auto_renew": False,
        "renew_at": None,
    }
    return {**values, "period_start": data.paid[-1].start} if data.paid else values


def _started(account: str, data: SubscriptionStarted) -> dict[str, Any]:
    return {
        "account": account,
        "order_id": data.order_id,
        **_plan(data),
        "is_past_due": False,
        "is_trial": data.is_trial,
        "paused_at": None,
        "resume_by": None,
        "planned": None,
        "renewal_failure": None,
        "status": SubscriptionStatus.ACTIVE,
        "auto_renew": data.auto_renew,
        "anchor": data.period_end if data.is_trial else data.period_start,
        "units": 0 if data.is_trial else data.periods * data.period.count,
        "period_start": data.period_start,
        "period_end": data.period_end,
        "access_end": data.access_end,
        "renew_at": data.renew_at,
        "paid": data.paid,
        "terms": data.terms,
        "ended_at": None,
    }
