"""What an account waits for: nothing that waits is without a timer, and nothing that has ended has one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.account.state import INITIAL
from domain.effects import CreateCheckout
from domain.entitlements.commands import EndEntitlement
from domain.payments.commands import RepeatCall, SweepPayment
from domain.payments.events import PaymentCloseRequested
from domain.policies.reactions import DESCRIPTION_MAX, asked_at, changes_access, pending, react
from domain.policies.settings import delay
from domain.subscriptions.commands import EndPeriod
from tests.domain.histories import (
    CLOSED,
    answered,
    bought,
    cancelled_early,
    cancelling,
    opened,
    place,
    placed,
    processing,
    subscribed,
    until,
)
from tests.domain.spec import DAY, OFFERS, ORDER, POLICIES, T0, given

REPEAT_AT = T0 + POLICIES.call_repeat_delays[0]
SWEEP_AT = T0 + POLICIES.sweep_delays[0]
EXPIRES_AT = T0 + POLICIES.payment_expiry


def test_an_empty_account_waits_for_nothing() -> None:
    assert pending(INITIAL) == ()


def test_a_page_that_is_being_opened() -> None:
    placed().then_waits_for({"RepeatCall": REPEAT_AT, "ExpirePayment": EXPIRES_AT})


def test_a_customer_who_is_to_pay() -> None:
    opened().then_waits_for({"SweepPayment": SWEEP_AT, "ExpirePayment": EXPIRES_AT})


def test_a_provider_that_is_asked_how_it_stands() -> None:
    asked = opened().when(SweepPayment(payment_id=ORDER.payment, sweep=1), at=SWEEP_AT).happens()
    repeat_at = SWEEP_AT + POLICIES.call_repeat_delays[0]
    asked.then_waits_for({"RepeatCall": repeat_at, "ExpirePayment": EXPIRES_AT})


def test_money_on_its_way() -> None:
    processing().then_waits_for({"SweepPayment": SWEEP_AT})


def test_a_page_that_is_being_closed() -> None:
    cancelling().then_waits_for({"RepeatCall": REPEAT_AT})
    cancelled_early().then_waits_for({"RepeatCall": REPEAT_AT})


def test_what_was_bought_for_ever_waits_for_nothing() -> None:
    bought("solaris:own").then_waits_for({})


def test_what_ended_waits_for_nothing() -> None:
    cancelling().when(answered(ORDER.close, CLOSED)).happens().then_waits_for({})


def test_access_that_ends() -> None:
    bought("stalker:rent").then_waits_for({"EndEntitlement": T0 + 2 * DAY})
    spec = bought("cinema:days", auto_renew=False)
    end = T0 + 30 * DAY
    spec.then_waits_for({"EndPeriod": end})
    until(spec, end).then_waits_for({})


def test_a_plan_that_renews() -> None:
    spec = subscribed("cinema:days")
    end = T0 + 30 * DAY
    spec.then_waits_for({"RenewSubscription": end - 3 * DAY, "EndPeriod": end})
    charging = until(spec, end - 3 * DAY)
    charging.then_waits_for(
        {
            "RepeatCall": end - 3 * DAY + POLICIES.call_repeat_delays[0],
            "ExpirePayment": end + POLICIES.grace,
            "EndPeriod": end,
        }
    )


def test_an_account_has_asked_until_it_is_answered() -> None:
    assert asked_at(INITIAL) is None
    assert asked_at(placed().account) == T0
    assert asked_at(opened().account) is None
    end = T0 + 30 * DAY
    charging = until(subscribed("cinema:days"), end - 3 * DAY)
    assert asked_at(charging.account) == end - 3 * DAY
    (repeat,) = [timer for timer in charging.timers if isinstance(timer.data, RepeatCall)]
    again = charging.when(repeat.data, at=repeat.due_at).happens()
    assert asked_at(again.account) == end - 3 * DAY, "a repeat is the same call"


def test_timers_have_names_of_their_own() -> None:
    """The command of a timer gets its id from the name, so a name never comes back with another meaning."""
    spec = opened("cinema:month", "stalker:rent")
    names = [timer.name for timer in spec.timers]
    assert len(set(names)) == len(names)
    repeat = RepeatCall(payment_id=ORDER.payment, effect_id=ORDER.checkout, attempt=1)
    before = {timer.name for timer in placed().timers if isinstance(timer.data, RepeatCall)}
    after = {timer.name for timer in placed().when(repeat).happens().timers if isinstance(timer.data, RepeatCall)}
    assert not before & after


def test_a_timer_that_fires_twice_changes_something_once() -> None:
    for spec in (placed(), opened(), processing(), cancelling(), bought("stalker:rent"), bought("cinema:month")):
        for timer in spec.timers:
            once = spec.when(timer.data, at=timer.due_at)
            assert once.events, "what is due does something"
            once.happens().when(timer.data, at=timer.due_at).then_nothing()


def test_access_is_told_to_others_when_it_changes() -> None:
    given_access = bought("solaris:own")
    assert [changes_access(event) for event in given_access.events] == [False, False, False, False, False, True, False]
    spec = bought("stalker:rent")
    end = next(timer for timer in spec.timers if isinstance(timer.data, EndEntitlement))
    assert [changes_access(event) for event in spec.when(end.data, at=end.due_at).events] == [True]
    plan = bought("cinema:month")
    period_end = next(timer for timer in plan.timers if isinstance(timer.data, EndPeriod))
    assert [changes_access(event) for event in plan.when(period_end.data, at=period_end.due_at).events] == [False]


def test_only_what_asks_a_provider_calls_it() -> None:
    spec = opened()
    for event in bought("cinema:month").events[2:]:
        assert react(spec.account, event) is None
    without_name = cancelled_early().events[-1]
    assert isinstance(without_name, PaymentCloseRequested)
    assert react(cancelled_early().account, without_name) is None


def test_a_long_order_has_a_bounded_description() -> None:
    offers = {name: replace(offer, product=replace(offer.product, title="x" * 150)) for name, offer in OFFERS.items()}
    decision = given().when(place("solaris:own", "kids:month"), prices=offers, command_id=ORDER.command)
    (effect,) = (react(decision.happens().account, event) for event in decision.events[1:])
    assert isinstance(effect, CreateCheckout)
    assert len(effect.description) == DESCRIPTION_MAX


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 3), (4, 3), (1000, 3)])
def test_the_last_delay_repeats_for_ever(attempt: int, seconds: int) -> None:
    delays = (timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=3))
    assert delay(delays, attempt) == timedelta(seconds=seconds)
