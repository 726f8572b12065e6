"""A new price for running subscriptions: on purpose, with notice, and for periods that begin after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain.effects import AnswerStatus
from domain.errors import (
    CurrencyMismatch,
    MigrationInvalid,
    PlanUnchanged,
    PriceUnknown,
    SubscriptionNotRunning,
    SubscriptionUnknown,
)
from domain.ids import PriceId, SubscriptionId
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    MigratePrice,
    ResumeSubscription,
)
from domain.subscriptions.events import PlanChanged, PlanChangeScheduled
from domain.subscriptions.state import PlannedChange
from tests.domain.histories import END, FIRST, NEXT_END, PLAN, charge, charge_answered, subscribed, subscription, until
from tests.domain.spec import DAY, HOUR, POLICIES, T0, Spec, given, usd

NOTICE = T0 + POLICIES.migration_notice
NEW = PriceId("cinema:new")


def migrate(price: str = NEW, effective_at: datetime = NOTICE) -> MigratePrice:
    return MigratePrice(subscription_id=PLAN, price_id=PriceId(price), effective_at=effective_at)


def migrated() -> Spec:
    return subscribed().when(migrate()).happens()


def test_it_is_announced_and_nothing_else_changes() -> None:
    held = subscription(subscribed())
    (event,) = subscribed().when(migrate()).events
    assert isinstance(event, PlanChangeScheduled)
    assert (event.renew_at, event.announced_at) == (FIRST, T0)
    assert (event.change.plan.price, event.change.not_before) == (usd(1299), NOTICE)
    assert subscription(migrated()).plan == held.plan


def test_a_period_that_begins_before_it_costs_the_old_price_and_the_next_the_new_one() -> None:
    charging = until(migrated(), FIRST)
    assert charge(charging).amount == usd(999)
    renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=FIRST)
    assert subscription(renewed).planned is not None
    later = until(renewed, NEXT_END - 3 * DAY)
    assert charge(later).amount == usd(1299)
    paid = charge_answered(later, AnswerStatus.SUCCEEDED, at=NEXT_END - 3 * DAY)
    held = subscription(paid)
    assert (held.price_id, held.price, held.planned, held.period_start) == (NEW, usd(1299), None, NEXT_END)
    assert len([event for event in paid.events if isinstance(event, PlanChanged)]) == 1


def test_while_a_renewal_is_charged_that_renewal_stays() -> None:
    charging = until(subscribed(), FIRST)
    spec = charging.when(migrate(effective_at=FIRST + POLICIES.migration_notice), at=FIRST).happens()
    assert charge(spec).amount == usd(999)
    assert subscription(charge_answered(spec, AnswerStatus.SUCCEEDED, at=FIRST)).price == usd(999)


def test_repeated_it_is_harmless_and_another_date_takes_its_place() -> None:
    migrated().when(migrate(), at=T0).then_nothing()
    later = migrated().when(migrate(effective_at=NOTICE + 10 * DAY)).happens()
    planned = subscription(later).planned
    assert planned is not None
    assert planned.not_before == NOTICE + 10 * DAY


def test_who_chose_another_plan_is_left_alone() -> None:
    change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.PERIOD_END)
    spec = subscribed().when(change).happens()
    spec.when(migrate()).then_nothing()


def test_who_takes_another_plan_after_the_announcement_gets_that() -> None:
    change = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.PERIOD_END)
    spec = migrated().when(change, at=T0 + DAY).happens()
    planned = subscription(spec).planned
    assert planned == PlannedChange(plan=subscription(spec).next_plan)
    assert charge(until(spec, END)).amount == usd(1999)


def test_who_stays_after_all_pays_what_was_announced() -> None:
    leave = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.PERIOD_END)
    stay = ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema:month"), at=ChangeAt.PERIOD_END)
    announced = subscription(migrated()).planned
    spec = migrated().when(leave, at=T0 + DAY).happens().when(stay, at=T0 + 2 * DAY).happens()
    held = subscription(spec)
    assert (held.planned, held.renew_at) == (announced, FIRST)
    spec = charge_answered(until(spec, FIRST), AnswerStatus.SUCCEEDED, at=FIRST)
    assert charge(until(spec, NEXT_END - 3 * DAY)).amount == usd(1299)


def test_of_what_does_not_renew_it_counts_when_it_does() -> None:
    spec = subscribed("cinema:month", months=3)
    spec = spec.when(CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)).happens()
    spec = spec.when(migrate()).happens().when(ResumeSubscription(subscription_id=PLAN), at=T0 + DAY).happens()
    assert charge(until(spec, subscription(spec).period_end - 3 * DAY)).amount == usd(1299)


@pytest.mark.parametrize(
    ("price", "effective_at", "reason"),
    [
        (NEW, NOTICE - timedelta(microseconds=1), "it needs 30 days of notice"),
        (NEW, T0, "it needs 30 days of notice"),
        (NEW, datetime(1, 1, 1, tzinfo=UTC), "it needs 30 days of notice"),
        (NEW, datetime(9999, 12, 31, tzinfo=UTC), "it may be announced 3660 days ahead at most"),
        ("kids:month", NOTICE, "the new price must be of the same product and for the same period"),
        ("cinema-plus:month", NOTICE, "the new price must be of the same product and for the same period"),
        ("cinema:quarter", NOTICE, "the new price must be of the same product and for the same period"),
    ],
)
def test_refused_with_a_reason(price: str, effective_at: datetime, reason: str) -> None:
    subscribed().when(migrate(price, effective_at)).then_rejected(MigrationInvalid, reason=reason)


@pytest.mark.parametrize(
    ("price", "error"),
    [("cinema:month", PlanUnchanged), ("cinema:eur", CurrencyMismatch), ("x:y", PriceUnknown)],
)
def test_a_price_that_does_not_fit(price: str, error: type) -> None:
    subscribed().when(migrate(price)).then_rejected(error)


def test_of_what_has_ended_or_nobody_knows() -> None:
    over = until(subscribed(auto_renew=False), END)
    over.when(migrate(effective_at=END + 31 * DAY), at=END + HOUR).then_rejected(SubscriptionNotRunning)
    unknown = MigratePrice(subscription_id=SubscriptionId("x"), price_id=NEW, effective_at=NOTICE)
    given().when(unknown).then_rejected(SubscriptionUnknown)
