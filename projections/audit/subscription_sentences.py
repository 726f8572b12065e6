"""Sentences of subscriptions, and the intents that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

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
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionResumed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from projections.audit.words import Names, amount, moment, period

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.subscriptions.state import Plan

Event = TypeVar("Event")
SENTENCES: dict[type, Callable[[Any, Names], str]] = {}

INTENTS = {
    "billing.subscription.cancel": "to cancel a subscription",
    "billing.subscription.resume": "to resume a subscription",
    "billing.subscription.extend": "to extend a subscription",
    "billing.subscription.renew": "to renew a subscription",
    "billing.subscription.end_grace": "to end a time of grace",
    "billing.subscription.end_period": "to end a paid period",
    "billing.subscription.start_trial": "to try a plan for nothing",
    "billing.subscription.change_plan": "to take another plan",
    "billing.subscription.migrate_price": "to let a new price hold for a subscription",
    "billing.subscription.pause": "to pause a subscription",
    "billing.subscription.continue": "to end a pause that has lasted as long as it may",
}


def says(kind: type[Event]) -> Callable[[Callable[[Event, Names], str]], Callable[[Event, Names], str]]:
    """Have the function say what an event of the kind means."""

    def register(say: Callable[[Event, Names], str]) -> Callable[[Event, Names], str]:
        SENTENCES[kind] = say
        return say

    return register


@says(SubscriptionStarted)
def _subscription_started(event: SubscriptionStarted, names: Names) -> str:
    renewal = "it renews by itself" if event.auto_renew else "it does not renew by itself"
    length = f"{moment(event.period_start)} to {moment(event.period_end)}"
    terms = f"for nothing, then at {amount(event.price)}" if event.is_trial else f"at {amount(event.price)}"
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} to {event.product_id} started: {length} {terms}; {renewal}."


@says(SubscriptionRenewed)
def _subscription_renewed(event: SubscriptionRenewed, names: Names) -> str:
    paid = f"{moment(event.period_start)} to {moment(event.period_end)}"
    return f"{names('Subscription', event.subscription_id)} was renewed: {paid} ({names('order', event.order_id)})."


@says(RenewalAttempted)
def _renewal_attempted(event: RenewalAttempted, names: Names) -> str:
    charge = names("payment", event.payment_id)
    return f"The renewal of {names('subscription', event.subscription_id)} is tried, attempt {event.attempt}: {charge}."


@says(RenewalFailed)
def _renewal_failed(event: RenewalFailed, names: Names) -> str:
    next_try = "it is not tried again" if event.retry_at is None else f"it is tried again at {moment(event.retry_at)}"
    subscription = names("subscription", event.subscription_id)
    return f"Attempt {event.attempt} to renew {subscription} brought no money ({event.reason}); {next_try}."


@says(RenewalAuthenticationRequired)
def _authentication_required(event: RenewalAuthenticationRequired, names: Names) -> str:
    subscription = names("subscription", event.subscription_id)
    return f"The bank wants the customer to confirm the renewal of {subscription}: {event.confirmation_url}"


@says(SubscriptionCancelled)
def _subscription_cancelled(event: SubscriptionCancelled, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} was cancelled: it renews no more, and access stays until {moment(event.access_end)}."


@says(SubscriptionResumed)
def _subscription_resumed(event: SubscriptionResumed, names: Names) -> str:
    return f"{names('Subscription', event.subscription_id)} renews again, first at {moment(event.renew_at)}."


@says(SubscriptionExtended)
def _subscription_extended(event: SubscriptionExtended, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} was given {event.days} days, to {moment(event.period_end)}: {event.reason}."


@says(SubscriptionShortened)
def _subscription_shortened(event: SubscriptionShortened, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} now ends at {moment(event.period_end)}: time of it was paid back."


@says(SubscriptionGraceStarted)
def _grace_started(event: SubscriptionGraceStarted, names: Names) -> str:
    subscription = names("subscription", event.subscription_id)
    return f"The paid period of {subscription} is over; access stays until {moment(event.access_end)}."


@says(AccessBlocked)
def _access_blocked(event: AccessBlocked, names: Names) -> str:
    subscription = names("subscription", event.subscription_id)
    return f"Access to {event.resource} was blocked: nobody paid for {subscription} within the grace."


@says(SubscriptionEnded)
def _subscription_ended(event: SubscriptionEnded, names: Names) -> str:
    return f"{names('Subscription', event.subscription_id)} ended at {moment(event.ended_at)}."


@says(PlanChangeScheduled)
def _plan_change_scheduled(event: PlanChangeScheduled, names: Names) -> str:
    subscription, plan = names("subscription", event.subscription_id), _plan(event.change.plan)
    if event.change.not_before is None:
        return f"The next period of {subscription} is to be {plan}."
    since = moment(event.change.not_before)
    return f"A new price was announced for {subscription}: {plan}, for periods that begin at {since} or later."


@says(PlanChangeDropped)
def _plan_change_dropped(event: PlanChangeDropped, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    if event.planned is None:
        return f"{subscription} stays with its plan after all."
    return f"{subscription} stays with its plan after all; what was announced comes: {_plan(event.planned.plan)}."


@says(PlanChanged)
def _plan_changed(event: PlanChanged, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} is of another plan now: {_plan(event.plan)} ({names('order', event.order_id)})."


@says(SubscriptionPaused)
def _paused(event: SubscriptionPaused, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} was paused: access rests, and goes on by itself at {moment(event.resume_by)}."


@says(SubscriptionContinued)
def _continued(event: SubscriptionContinued, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} goes on after a pause; what was paid lasts until {moment(event.period_end)}."


def _plan(plan: Plan) -> str:
    return f"“{plan.title}” at {amount(plan.price)} for {period(plan.period)}"
