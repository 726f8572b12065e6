"""What the next renewals will be: the dates by the one calendar rule, the amounts by the discounts known now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from domain.money import Money
from domain.policies.terms import under
from domain.pricing.quote import quote
from domain.records import dataclass, replace
from domain.subscriptions import renewal
from domain.subscriptions.events import PlanChanged
from domain.subscriptions.evolve import evolve
from domain.subscriptions.lines import line_of, terms_now
from domain.subscriptions.state import SubscriptionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalog.state import Offer
    from domain.ids import PriceId
    from domain.policies.settings import Policies
    from domain.pricing.quote import Candidates
    from domain.pricing.state import AppliedDiscount
    from domain.subscriptions.state import Plan, Subscription

RENEWALS_MAX = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Upcoming:
    """A renewal that is to come if every one before it is paid and nothing else happens."""

    charge_at: datetime
    """When the saved means of payment is charged first."""
    period_start: datetime
    period_end: datetime
    plan: Plan
    subtotal: Money
    discount: Money
    total: Money
    applied: AppliedDiscount | None


def preview(
    subscription: Subscription,
    candidates: Candidates,
    *,
    count: int,
    now: datetime,
    prices: Mapping[PriceId, Offer],
    policies: Policies,
) -> tuple[Upcoming, ...]:
    """Return the next renewals, the first first; none of what does not renew by itself.

    A subscription that is paused is shown as if it went on now. What products and settings say now is what is shown.
    """
    if not subscription.auto_renew or not subscription.is_running:
        return ()
    if subscription.paused_at is not None:
        subscription = _going_on(subscription, now)
    found: list[Upcoming] = []
    for _ in range(min(count, RENEWALS_MAX)):
        if subscription.period_end.year > _YEAR_MAX:
            break
        upcoming, subscription = _next(subscription, candidates, now, prices, policies)
        found.append(upcoming)
    return tuple(found)


_YEAR_MAX = 9800
"""A further period of ten years, as long as one may be, still has a date."""


def _next(
    subscription: Subscription,
    candidates: Candidates,
    now: datetime,
    prices: Mapping[PriceId, Offer],
    policies: Policies,
) -> tuple[Upcoming, Subscription]:
    plan, start = subscription.next_plan, subscription.period_end
    line = line_of(plan, subscription.id, terms_now(plan, prices, policies, subscription.terms))
    held = under(subscription.terms, policies)
    first = renewal.first_attempt(subscription, subscription.period_start, start, held)
    charge_at = max(now, subscription.renew_at or first)
    quoted = quote((line,), candidates, charge_at)
    changes = plan != subscription.plan
    after = subscription
    if changes:
        after = evolve(
            subscription, PlanChanged(subscription_id=subscription.id, order_id=subscription.order_id, plan=plan)
        )
    anchor, units, end = renewal.counted(subscription, plan, line, start, start)
    upcoming = Upcoming(
        charge_at=charge_at,
        period_start=start,
        period_end=end,
        plan=plan,
        subtotal=quoted.subtotal,
        discount=quoted.discount,
        total=quoted.total,
        applied=quoted.applied,
    )
    return upcoming, replace(
        after,
        anchor=anchor,
        units=units,
        period_start=start,
        period_end=end,
        terms=line.terms,
        renew_at=None,
        status=SubscriptionStatus.ACTIVE,
    )


def _going_on(subscription: Subscription, now: datetime) -> Subscription:
    length = now - (subscription.paused_at or now)
    start, end = subscription.period_start + length, subscription.period_end + length
    return replace(
        subscription,
        anchor=end,
        units=0,
        period_start=start,
        period_end=end,
        paused_at=None,
        status=SubscriptionStatus.ACTIVE,
    )
