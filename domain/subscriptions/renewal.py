"""Renewals: when they are tried, what a failure means, and what the money gives. One rule for each question."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.calendar import end_of
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.ids import OrderId, Resource, SubscriptionId
from domain.orders.state import OrderLine, OrderPurpose
from domain.policies.settings import Policies
from domain.policies.terms import under
from domain.records import replace
from domain.refunds.parts import prorated
from domain.subscriptions.events import (
    PlanChanged,
    RenewalFailed,
    SubscriptionRenewed,
    SubscriptionShortened,
)
from domain.subscriptions.evolve import evolve
from domain.subscriptions.lines import plan_of
from domain.subscriptions.state import PaidPeriod, Plan, PlannedChange, Source, SubscriptionStatus, one_unit

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.decider import Command
    from domain.orders.state import Order
    from domain.subscriptions.state import Subscription


def access_end(period_end: datetime, *, auto_renew: bool, policies: Policies) -> datetime:
    """Return when access ends if nothing more is paid: what renews by itself has the grace on top."""
    return period_end + policies.grace if auto_renew else period_end


def first_attempt_at(period_start: datetime, period_end: datetime, policies: Policies) -> datetime:
    """Return when the renewal is first tried: the lead before the end, but never before the period has begun."""
    lead = min(policies.renewal_offsets, default=timedelta(0))
    return max(period_start, period_end + lead)


def first_attempt(subscription: Subscription, start: datetime, end: datetime, policies: Policies) -> datetime:
    """Return the same for a subscription: a trial, and a plan that the customer changes at the end, at the end.

    So nobody pays while there is still something for nothing, and the new plan's role is not given before its time.
    """
    planned = subscription.planned
    is_leaving = planned is not None and not planned.is_migration
    if is_leaving or subscription.status is SubscriptionStatus.TRIALING:
        return at_end(start, end, policies)
    return first_attempt_at(start, end, policies)


def at_end(start: datetime, end: datetime, policies: Policies) -> datetime:
    """Return when something is charged that is to be charged at the end: then, if there still is access then."""
    return end if policies.grace else max(start, end - policies.end_lead_without_grace)


def retry_at(period_end: datetime, now: datetime, policies: Policies) -> datetime | None:
    """Return the next moment of the dunning schedule after now, or None when it is exhausted."""
    later = (period_end + offset for offset in sorted(policies.renewal_offsets) if period_end + offset > now)
    return next(later, None)


def failed(
    subscription: Subscription, command: Command[object], *, attempt: int, reason: str, hard: bool
) -> RenewalFailed:
    """Return the event of an attempt without money, with the next one where the schedule has one that can help."""
    policies = under(subscription.terms, command.policies)
    next_at = None if hard else retry_at(subscription.period_end, command.at, policies)
    return RenewalFailed(subscription_id=subscription.id, attempt=attempt, reason=reason, hard=hard, retry_at=next_at)


def renewed(
    subscription: Subscription,
    order: Order,
    line: OrderLine,
    sources: tuple[Source, ...],
    command: Command[object],
) -> tuple[AccountEvent, ...]:
    """Return what the money for further periods gives.

    While there was access, the new period follows the old one without a gap. Money that arrives when access had
    already ended buys time from now on: nobody pays for a time without access. Whoever buys the plan again says anew
    whether it is to renew by itself; the agreed price stays. A renewal by another plan changes the plan.
    """
    now, policies = command.at, under(line.terms, command.policies)
    before = subscription
    changed: tuple[AccountEvent, ...] = ()
    if order.purpose is OrderPurpose.RENEWAL and line.price_id != subscription.price_id:
        event = PlanChanged(
            subscription_id=subscription.id,
            order_id=order.id,
            plan=plan_of(line),
            planned=_announced_since(subscription, line),
        )
        changed = (event, *moved_access(subscription, line.resource, now))
        subscription = evolve(subscription, event)
    is_running = subscription.is_running and now <= subscription.access_end
    start = subscription.period_end if is_running else now
    anchor, units, end = counted(before, subscription.plan, line, start if is_running else None, now)
    auto_renew = subscription.auto_renew if order.purpose is OrderPurpose.RENEWAL else order.auto_renew
    ends = access_end(end, auto_renew=auto_renew, policies=policies)
    paying = replace(subscription, status=SubscriptionStatus.ACTIVE)
    lasting = (period for period in subscription.paid if period.end > now)
    return (
        *changed,
        SubscriptionRenewed(
            subscription_id=subscription.id,
            order_id=order.id,
            anchor=anchor,
            units=units,
            period_start=start,
            period_end=end,
            access_end=ends,
            auto_renew=auto_renew,
            renew_at=first_attempt(paying, start, end, policies) if auto_renew else None,
            renewed_at=now,
            paid=(*lasting, PaidPeriod(order_id=order.id, start=start, end=end, sources=sources)),
            terms=line.terms,
        ),
        access(subscription, ends, order.id),
    )


def _announced_since(subscription: Subscription, line: OrderLine) -> PlannedChange | None:
    """Return the price that was announced after the renewal had been agreed at another one: it is still to come."""
    planned = subscription.planned
    is_another = planned is not None and planned.is_migration and planned.plan.price_id != line.price_id
    return planned if is_another else None


def counted(
    before: Subscription, plan: Plan, line: OrderLine, end: datetime | None, now: datetime
) -> tuple[datetime, int, datetime]:
    """Return anchor, units and end after the periods of a line, which follow `end` or begin now.

    Days and months do not mix: where they meet, the count begins anew.
    """
    period = plan.period if line.period is None else line.period
    bought = period.count * line.quantity
    if end is not None and period.unit is before.period.unit:
        units = before.units + bought
        return before.anchor, units, end_of(before.anchor, one_unit(period.unit), units)
    start = now if end is None else end
    reached = end_of(start, one_unit(period.unit), bought)
    return (start, bought, reached) if period.unit is plan.period.unit else (reached, 0, reached)


def moved_access(subscription: Subscription, resource: Resource, now: datetime) -> tuple[EntitlementEnded, ...]:
    """Take the old role back where the new plan gives another one."""
    if subscription.resource == resource:
        return ()
    return (EntitlementEnded(resource=subscription.resource, ended_at=now),)


def without(
    subscription: Subscription, order_id: OrderId, now: datetime, paid_back: tuple[Source, ...] = ()
) -> SubscriptionShortened | None:
    """Return what taking out the time that an order paid for changes, or that part of it that some money bought.

    None where nothing of it is left. What other orders paid moves up, so that no day of it is lost.
    """
    gone = next((period for period in subscription.paid if period.order_id == order_id and period.end > now), None)
    if gone is None:
        return None
    stays = _what_stays(gone, paid_back, now) if paid_back else None
    length = gone.end - (max(gone.start, now) if stays is None else stays.end)
    kept: list[PaidPeriod] = []
    for period in subscription.paid:
        if period is not gone:
            kept.append(moved(period, -length) if period.start >= gone.end else period)
        elif stays is not None:
            kept.append(stays)
    end = subscription.period_end - length
    anchor, units = _anchor_before(subscription, gone, end)
    return SubscriptionShortened(
        subscription_id=subscription.id, order_id=order_id, anchor=anchor, units=units, paid=tuple(kept), period_end=end
    )


def moved(period: PaidPeriod, length: timedelta) -> PaidPeriod:
    """Return a period that lies that much later."""
    return replace(period, start=period.start + length, end=period.end + length)


def _what_stays(period: PaidPeriod, paid_back: tuple[Source, ...], now: datetime) -> PaidPeriod | None:
    """Return a period without the time that some of its money bought, from its end; None where nothing stays unused.

    Whole seconds are taken, rounded down, so that nobody loses time that stays paid.
    """
    paid = sum(source.amount for source in period.sources)
    amount = sum(source.amount for source in paid_back)
    if amount >= prorated(paid, period.start, period.end, now):
        return None
    seconds = int((period.end - period.start).total_seconds()) * amount // paid
    left = {source.payment_id: source.amount for source in period.sources}
    for source in paid_back:
        left[source.payment_id] -= source.amount
    sources = tuple(Source(payment_id=payment_id, amount=amount) for payment_id, amount in left.items() if amount > 0)
    return replace(period, end=period.end - timedelta(seconds=seconds), sources=sources)


def _anchor_before(subscription: Subscription, gone: PaidPeriod, end: datetime) -> tuple[datetime, int]:
    """Return anchor and units that give the end: the old anchor where a whole number of periods was taken out of it."""
    if gone.end == subscription.period_end:
        unit = one_unit(subscription.period.unit)
        for units in range(subscription.units - 1, 0, -1):
            reached = end_of(subscription.anchor, unit, units)
            if reached == end:
                return subscription.anchor, units
            if reached < end:
                break
    return end, 0


def access(subscription: Subscription, until: datetime, order_id: OrderId | None = None) -> EntitlementGranted:
    """Return the event that gives the subscription's access until a moment."""
    return granted(subscription.resource, until, order_id or subscription.order_id, subscription.id)


def granted(
    resource: Resource, until: datetime, order_id: OrderId, subscription_id: SubscriptionId
) -> EntitlementGranted:
    """Return the event that gives a role by a subscription."""
    return EntitlementGranted(
        resource=resource, until=until, reason="subscription", order_id=order_id, subscription_id=subscription_id
    )
