"""Another plan with the next period: charged at the end, not before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.effects import AnswerStatus
from domain.ids import OrderId, PaymentId, Resource
from domain.payments.events import PaymentCreated
from domain.policies.settings import Policies
from domain.subscriptions.attempts import ROLE_HELD
from domain.subscriptions.commands import CancelAt, CancelSubscription, ChangeAt, ResumeSubscription
from domain.subscriptions.events import PlanChangeDropped, PlanChangeScheduled, RenewalFailed
from domain.subscriptions.state import PlannedChange
from tests.domain.histories import (
    END,
    FIRST,
    MIDDLE,
    PLAN,
    answer,
    answered,
    bought_too,
    charge,
    charge_answered,
    subscribed,
    subscription,
    until,
)
from tests.domain.histories_of_plan_changes import KIDS, LATER, PLUS, change
from tests.domain.spec import DAY, HOUR, SECOND, usd


class TestAtTheEnd:
    def test_it_begins_with_the_next_period(self) -> None:
        spec = (
            subscribed()
            .when(LATER, at=MIDDLE)
            .then(
                PlanChangeScheduled(
                    subscription_id=PLAN, change=PlannedChange(plan=PLUS), renew_at=END, announced_at=MIDDLE
                )
            )
        )
        spec.then_waits_for({"RenewSubscription": END, "EndPeriod": END})
        charging = until(spec, END)
        assert charge(charging).amount == usd(1999)
        assert subscription(charging).product_id == "cinema", "until the money is there"
        renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=END + HOUR)
        held = subscription(renewed)
        assert (held.plan, held.period_start, held.planned) == (PLUS, END, None)
        assert held.period_end == datetime(2030, 3, 31, 12, 30, tzinfo=UTC), "the anchor day is kept"

    def test_without_grace_it_is_charged_while_there_still_is_access(self) -> None:
        no_grace = Policies(grace=timedelta(0))
        spec = subscribed(under={"policies": no_grace}).when(LATER, at=MIDDLE, policies=no_grace).happens()
        assert charge(until(spec, END - HOUR, policies=no_grace)).amount == usd(1999)

    def test_another_role_begins_with_it(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        renewed = charge_answered(until(spec, END), AnswerStatus.SUCCEEDED, at=END + HOUR)
        assert set(renewed.account.entitlements) == {Resource("role:kids")}

    def test_from_months_to_days_and_back(self) -> None:
        spec = subscribed().when(change("cinema:days", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        renewed = charge_answered(until(spec, END), AnswerStatus.SUCCEEDED, at=END)
        assert (subscription(renewed).anchor, subscription(renewed).period_end) == (END, END + 30 * DAY)

    def test_again_is_harmless_and_another_takes_its_place(self) -> None:
        spec = subscribed().when(LATER, at=MIDDLE).happens()
        spec.when(LATER, at=MIDDLE + HOUR).then_nothing()
        other = spec.when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE + HOUR).happens()
        assert subscription(other).next_plan == KIDS

    def test_the_present_plan_drops_it(self) -> None:
        spec = subscribed().when(LATER, at=MIDDLE).happens()
        back = spec.when(change("cinema:month", ChangeAt.PERIOD_END), at=MIDDLE + HOUR)
        dropped = back.then(PlanChangeDropped(subscription_id=PLAN, renew_at=FIRST))
        assert charge(until(dropped, FIRST)).amount == usd(999)

    def test_while_the_old_one_is_charged_that_renewal_is_given_up(self) -> None:
        spec = until(subscribed(), FIRST).when(LATER, at=FIRST + HOUR).happens()
        old = next(payment for payment in spec.account.payments.values() if payment.method is not None)
        assert old.phase.kind == "closing"
        assert charge(until(spec, END)).amount == usd(1999)

    def test_in_the_grace_it_is_charged_at_once(self) -> None:
        declined = charge_answered(
            until(subscribed(), FIRST), AnswerStatus.DECLINED, at=FIRST, decline_reason="stolen_card", hard=True
        )
        spec = until(declined, END).when(LATER, at=END + HOUR).happens()
        assert charge(until(spec, END + HOUR)).amount == usd(1999)

    def test_of_what_does_not_renew_it_waits_for_that(self) -> None:
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
        spec = subscribed().when(cancel, at=MIDDLE).happens().when(LATER, at=MIDDLE).happens()
        assert subscription(spec).renew_at is None
        on = spec.when(ResumeSubscription(subscription_id=PLAN), at=MIDDLE + HOUR).happens()
        assert subscription(on).renew_at == END
        assert charge(until(on, END)).amount == usd(1999)

    def test_paid_ahead_it_begins_after_all_that_is_paid(self) -> None:
        spec = bought_too(subscribed().when(LATER, at=MIDDLE).happens(), "cinema:month", at=MIDDLE, ids=SECOND)
        assert subscription(spec).renew_at == datetime(2030, 3, 31, 12, 30, tzinfo=UTC)

    def test_a_role_that_was_bought_meanwhile_is_not_charged_twice(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        both = bought_too(spec, "kids:month", at=MIDDLE + DAY, ids=SECOND)
        over = until(both, END)
        failed = [event for event in over.events if isinstance(event, RenewalFailed)]
        assert [(event.reason, event.hard) for event in failed] == [(ROLE_HELD, True)]
        assert len([event for event in over.events if isinstance(event, PaymentCreated)]) == 2

    def test_a_role_that_was_bought_while_it_was_charged_is_given_back(self) -> None:
        spec = subscribed().when(change("kids:month", ChangeAt.PERIOD_END), at=MIDDLE).happens()
        both = bought_too(until(spec, END), "kids:month", at=END, ids=SECOND)
        renewing = next(each for each in both.account.subscriptions.values() if each.id == PLAN)
        payment = both.account.payments[both.account.orders[OrderId(str(renewing.renewal_order_id))].payment_id]
        assert payment.call is not None
        told_it = answer(AnswerStatus.SUCCEEDED, reference="ch_2", amount=usd(500))
        command = replace(answered(payment.call.effect_id, told_it), payment_id=PaymentId(payment.id))
        after = both.when(command, at=END + HOUR).happens()
        assert [asked.amount for asked in after.account.refunds.values()] == [usd(500)]
