"""A part of the money back: by default the money that stays buys the time that stays, and a film is access or not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, RefundAnswer, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.entitlements.state import TakenAccess
from domain.errors import NothingToRefund, PlanChangeRefused, RefundExceedsPayment, RefundPartialUnavailable
from domain.orders.events import OrderPlaced
from domain.policies.settings import Policies, RefundAccess
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.refunds.events import RefundFailed, RefundRequested
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ExtendSubscription,
    PauseSubscription,
    ResumeSubscription,
)
from domain.subscriptions.events import PlanChanged, SubscriptionEnded, SubscriptionRestored, SubscriptionShortened
from domain.subscriptions.state import Source, SubscriptionStatus
from tests.domain.histories import (
    END,
    FILM,
    MIDDLE,
    PLAN,
    ROLE,
    bought,
    bought_too,
    paid_period,
    refund_answer,
    subscribed,
    subscription,
    until,
)
from tests.domain.histories_of_balance import KEPT, ordering, paying
from tests.domain.histories_of_plan_changes import CHANGE, change, changed, changing, told
from tests.domain.spec import DAY, HOUR, MINUTE, ORDER, POLICIES, SECOND, T0, Ids, Spec, usd

if TYPE_CHECKING:
    from domain.refunds.state import Refund

SUCCEEDED = RefundAnswerStatus.SUCCEEDED
ENDS = Policies(refund_access=RefundAccess.ENDS)
KEEPS = Policies(refund_access=RefundAccess.KEEPS)


def ask(amount: int | None = None, *, ids: Ids = ORDER, by_manager: bool = False) -> RequestRefund:
    return RequestRefund(payment_id=ids.payment, amount=amount, by_manager=by_manager)


def newest(spec: Spec) -> Refund:
    return tuple(spec.account.refunds.values())[-1]


def given_back(
    spec: Spec,
    amount: int | None = None,
    *,
    at: datetime,
    ids: Ids = ORDER,
    by_manager: bool = False,
    policies: Policies = POLICIES,
) -> Spec:
    """Money is asked for, and the provider gives it."""
    name = f"refund {len(spec.account.refunds)}"
    asked = ask(amount, ids=ids, by_manager=by_manager)
    spec = spec.when(asked, at=at, command_id=name, policies=policies).happens()
    return spec.when(refund_answer(newest(spec), SUCCEEDED), at=at, policies=policies).happens()


def settled(spec: Spec, *, at: datetime) -> Spec:
    """The provider gives all that it was asked for."""
    for refund in tuple(spec.account.refunds.values()):
        if refund.call is not None:
            spec = spec.when(refund_answer(refund, SUCCEEDED), at=at).happens()
    return spec


def seconds_kept(amount: int, whole: int = 999, length: timedelta = END - T0) -> timedelta:
    """The time that stays when an amount of the whole price went back: whole seconds are taken, rounded down."""
    return length - timedelta(seconds=int(length.total_seconds()) * amount // whole)


class TestAPartOfAPlan:
    def test_it_takes_its_part_of_the_time_and_ends_renewal(self) -> None:
        spec = subscribed().when(ask(333), at=T0 + MINUTE, command_id="refund 1").happens()
        assert subscription(spec).period_end == END, "not before the money has gone"
        end = T0 + seconds_kept(333)
        after = spec.when(refund_answer(newest(spec), SUCCEEDED), at=T0 + HOUR)
        assert after.events[1:] == (
            SubscriptionShortened(
                subscription_id=PLAN,
                order_id=ORDER.order,
                anchor=end,
                units=0,
                paid=(paid_period(ORDER, T0, end, 666),),
                period_end=end,
            ),
            EntitlementGranted(
                resource=ROLE, until=end, reason="subscription", order_id=ORDER.order, subscription_id=PLAN
            ),
        )
        shortened = after.happens()
        shortened.then_waits_for({"EndPeriod": end})
        assert until(shortened, end).account.entitlements == {}

    def test_the_policy_that_was_used_stands_in_the_event(self) -> None:
        for policies in (POLICIES, ENDS, KEEPS):
            (requested,) = subscribed().when(ask(333), policies=policies).events
            assert isinstance(requested, RefundRequested)
            assert requested.access is policies.refund_access
            assert requested.ends_access is (policies is ENDS)

    def test_all_but_a_cent_ends_it(self) -> None:
        spec = given_back(subscribed(), 998, at=T0 + MINUTE)
        assert subscription(spec).status is SubscriptionStatus.ENDED
        assert spec.account.entitlements == {}

    def test_a_cent_of_the_unused_part_leaves_the_rest_to_the_customer(self) -> None:
        at = T0 + 10 * DAY
        spec = given_back(subscribed(), 1, at=at)
        assert subscription(spec).period_end == T0 + seconds_kept(1)
        spec.when(ask(642), at=at).then_rejected(RefundExceedsPayment, left_amount="641")
        over = given_back(spec, at=at)
        assert over.account.payments[ORDER.payment].refunded == 642
        assert subscription(over).status is SubscriptionStatus.ENDED
        over.when(ask(), at=at).then_rejected(NothingToRefund)

    def test_the_rest_may_be_asked_for_while_a_part_is_on_its_way(self) -> None:
        at = T0 + 10 * DAY
        spec = subscribed().when(ask(42), at=at, command_id="refund 1").happens()
        spec.when(ask(601), at=at).then_rejected(RefundExceedsPayment, left_amount="600")
        spec = spec.when(ask(), at=at, command_id="refund 2").happens()
        for refund in reversed(tuple(spec.account.refunds.values())):
            spec = spec.when(refund_answer(refund, SUCCEEDED), at=at).happens()
        assert spec.account.payments[ORDER.payment].refunded == 642
        assert subscription(spec).status is SubscriptionStatus.ENDED

    def test_what_the_provider_refuses_takes_nothing(self) -> None:
        spec = subscribed().when(ask(333), at=MIDDLE, command_id="refund 1").happens()
        after = spec.when(refund_answer(newest(spec), RefundAnswerStatus.FAILED, detail="no"), at=MIDDLE)
        assert [type(event) for event in after.events] == [RefundFailed]
        assert subscription(after.happens()) == subscription(subscribed())

    def test_a_managers_part_shortens_as_well(self) -> None:
        spec = given_back(subscribed(), 300, at=MIDDLE, by_manager=True)
        assert subscription(spec).period_end == T0 + seconds_kept(300)
        over = given_back(subscribed(), 500, at=MIDDLE, by_manager=True)
        assert subscription(over).status is SubscriptionStatus.ENDED, "more than what is unused"

    def test_what_was_paid_ahead_moves_up(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        length = subscription(ahead).period_end - END
        spec = given_back(ahead, 300, at=MIDDLE)
        end = T0 + seconds_kept(300)
        assert subscription(spec).paid == (
            paid_period(ORDER, T0, end, 699),
            paid_period(SECOND, end, end + length),
        )
        assert spec.account.entitlements[ROLE].until == end + length

    def test_days_that_a_manager_gave_stay(self) -> None:
        extend = ExtendSubscription(subscription_id=PLAN, days=3, reason="kindness")
        spec = given_back(subscribed().when(extend).happens(), 300, at=MIDDLE)
        assert subscription(spec).period_end == T0 + seconds_kept(300) + 3 * DAY

    def test_while_it_rests(self) -> None:
        paused = subscribed().when(PauseSubscription(subscription_id=PLAN), at=MIDDLE).happens()
        spec = given_back(paused, 300, at=MIDDLE + 3 * DAY)
        assert spec.account.entitlements == {}
        on = spec.when(ResumeSubscription(subscription_id=PLAN), at=MIDDLE + 5 * DAY).happens()
        assert on.account.entitlements[ROLE].until == T0 + seconds_kept(300) + 5 * DAY

    def test_two_plans_of_one_order_lose_the_same_part(self) -> None:
        both = subscribed("cinema:month", "kids:month")
        spec = given_back(both, 700, at=T0)
        paid = {str(held.product_id): held.paid[0] for held in spec.account.subscriptions.values()}
        amounts = {name: sum(source.amount for source in period.sources) for name, period in paid.items()}
        assert amounts == {"cinema": 999 - 466, "kids": 500 - 234}
        assert paid["cinema"].end == T0 + seconds_kept(466)
        assert paid["kids"].end == T0 + seconds_kept(234, 500)


class TestWithAChangeOfPlan:
    def test_not_while_a_part_is_on_its_way(self) -> None:
        spec = subscribed().when(ask(300), at=MIDDLE).happens()
        spec.when(change(), at=MIDDLE, command_id="change").then_rejected(
            PlanChangeRefused, reason="money of it is being given back"
        )

    def test_the_credit_is_what_is_left_after_it(self) -> None:
        spec = given_back(subscribed(), 300, at=MIDDLE)
        placed = spec.when(change(), at=MIDDLE, command_id="change").events[0]
        assert isinstance(placed, OrderPlaced)
        assert placed.credit == usd(199)

    def test_not_when_a_part_went_back_since_it_was_ordered(self) -> None:
        """The credit was agreed for more time than there is now: the money for the change goes back."""
        ordered = changing(subscribed())
        late = ordered.when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR)
        assert PlanChanged in map(type, late.events)
        shortened = given_back(ordered, 300, at=MIDDLE)
        late = shortened.when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR)
        assert PlanChanged not in map(type, late.events)
        assert isinstance(late.events[-1], RefundRequested)
        assert late.events[-1].amount == usd(1500)

    def test_a_part_of_the_new_plan_leaves_what_the_credit_bought(self) -> None:
        """All that the payment itself paid goes, but for the last cent: the time of the credit stays."""
        spec = changed()
        before = subscription(spec)
        length, price = before.period_end - before.period_start, sum(each.amount for each in before.paid[0].sources)
        part = given_back(spec, 1499, at=before.period_start, ids=CHANGE)
        assert subscription(part).period_end == before.period_start + seconds_kept(1499, price, length)
        assert len(part.account.refunds) == 1

    def test_credit_that_goes_back_takes_nothing_of_its_own_order(self) -> None:
        spec = changing(subscribed("cinema:month", "kids:month"))
        spec = spec.when(told(AnswerStatus.SUCCEEDED), at=MIDDLE).happens()
        spec = spec.when(ask(ids=CHANGE), at=MIDDLE).happens()
        assert {refund.payment_id: refund.amount for refund in spec.account.refunds.values()} == {
            CHANGE.payment: usd(1500),
            ORDER.payment: usd(499),
        }
        running = [
            held.product_id for held in settled(spec, at=MIDDLE).account.subscriptions.values() if held.is_running
        ]
        assert running == ["kids"]


class TestCancelledAtOnce:
    def test_what_is_on_its_way_is_not_given_twice(self) -> None:
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
        spec = subscribed().when(ask(100), at=MIDDLE, command_id="refund 1").happens()
        spec = spec.when(cancel, at=MIDDLE).happens()
        assert [refund.amount for refund in spec.account.refunds.values()] == [usd(100), usd(399)]


class TestAPartOfAFilm:
    def test_the_customer_gets_all_or_nothing(self) -> None:
        bought().when(ask(998), at=T0 + MINUTE).then_rejected(
            RefundPartialUnavailable, amount="998", allowed_amount="999"
        )
        bought().when(ask(999), at=T0 + MINUTE).happens()

    def test_a_manager_gives_any_part_and_the_film_stays_until_it_is_all(self) -> None:
        spec = given_back(bought(), 998, at=T0, by_manager=True)
        assert spec.account.entitlements[FILM].until is None
        assert given_back(spec, 1, at=T0, by_manager=True).account.entitlements == {}

    def test_of_an_order_with_a_plan_the_time_goes_first(self) -> None:
        spec = bought("solaris:own", "cinema:month")
        spec.when(ask(1000), at=T0).then_rejected(RefundPartialUnavailable, allowed_amount="1998")
        without = given_back(spec, 999, at=T0)
        assert set(without.account.entitlements) == {FILM}
        assert subscription(without).status is SubscriptionStatus.ENDED
        assert given_back(without, at=T0).account.entitlements == {}


class TestWithTheBalance:
    """What the balance and money paid together, they bought together."""

    def subscribed(self, *prices: str, amount: int = 300) -> Spec:
        return paying(ordering(amount, *(prices or ("cinema:month",))))

    def test_a_part_counts_against_the_whole_price_whichever_payment_it_goes_back_to(self) -> None:
        for payment_id in (KEPT, ORDER.payment):
            asked = RequestRefund(payment_id=payment_id, amount=300)
            spec = settled(self.subscribed().when(asked, at=T0).happens(), at=T0)
            assert subscription(spec).period_end == T0 + seconds_kept(300)

    def test_all_of_one_of_them_leaves_the_time_of_the_other(self) -> None:
        asked = RequestRefund(payment_id=KEPT, amount=300, by_manager=True)
        spec = self.subscribed().when(asked, at=MIDDLE).happens()
        assert subscription(spec).paid == (paid_period(ORDER, T0, T0 + seconds_kept(300), 699),), (
            "more than what is unused of it, but not of all"
        )
        rest = spec.when(RequestRefund(payment_id=ORDER.payment), at=MIDDLE).happens()
        assert [refund.amount for refund in rest.account.refunds.values()] == [usd(300), usd(199)]
        assert subscription(settled(rest, at=MIDDLE)).status is SubscriptionStatus.ENDED

    def test_without_an_amount_each_has_its_part_and_the_time_goes_with_it(self) -> None:
        spec = self.subscribed().when(ask(), at=MIDDLE).happens()
        assert {refund.payment_id: refund.amount for refund in spec.account.refunds.values()} == {
            ORDER.payment: usd(349),
            KEPT: usd(150),
        }
        end = T0 + seconds_kept(150)
        assert subscription(spec).paid[0].end == end, "what went onto the balance is there at once"
        refused = refund_answer(next(iter(spec.account.refunds.values())), RefundAnswerStatus.FAILED, detail="no")
        assert subscription(spec.when(refused, at=MIDDLE).happens()).period_end == end
        assert subscription(settled(spec, at=MIDDLE)).status is SubscriptionStatus.ENDED

    def test_what_one_is_to_give_back_beyond_its_part_is_not_given_back_by_the_other(self) -> None:
        asked = RequestRefund(payment_id=ORDER.payment, amount=450, by_manager=True)
        spec = self.subscribed().when(asked, at=MIDDLE, command_id="refund 1").happens()
        more = RequestRefund(payment_id=KEPT, amount=50)
        spec.when(more, at=MIDDLE).then_rejected(RefundExceedsPayment, left_amount="49")

    def test_several_plans_lose_first_what_the_payment_itself_bought(self) -> None:
        """999 of the balance paid for the cinema, 201 of it and 299 of money for the kids."""
        both = self.subscribed("cinema:month", "kids:month", amount=1200)
        spec = settled(both.when(ask(299), at=T0).happens(), at=T0)
        paid = {str(held.product_id): held.paid[0].sources for held in spec.account.subscriptions.values()}
        assert paid == {
            "cinema": (Source(payment_id=KEPT, amount=999),),
            "kids": (Source(payment_id=KEPT, amount=201),),
        }

    def test_of_a_film_the_customer_gets_all_of_both_or_nothing(self) -> None:
        spec = self.subscribed("solaris:own")
        for payment_id, amount in ((KEPT, 300), (ORDER.payment, 699)):
            part = RequestRefund(payment_id=payment_id, amount=amount)
            spec.when(part, at=T0).then_rejected(RefundPartialUnavailable, allowed_amount="999")
        whole = settled(spec.when(ask(), at=T0).happens(), at=T0)
        assert whole.account.entitlements == {}
        assert whole.account.balances == {"USD": 300}

    def test_a_film_whose_other_part_a_manager_gave_back_goes_with_the_rest(self) -> None:
        given_back = RequestRefund(payment_id=KEPT, by_manager=True, amount=300)
        spec = self.subscribed("solaris:own").when(given_back, at=T0, command_id="refund 1").happens()
        assert FILM in spec.account.entitlements
        assert settled(spec.when(ask(699), at=T0).happens(), at=T0).account.entitlements == {}

    def test_where_access_stays_the_unused_part_goes_back_once(self) -> None:
        asked = RequestRefund(payment_id=KEPT, amount=300, by_manager=True)
        spec = self.subscribed().when(asked, at=T0, policies=KEEPS).happens()
        spec = spec.when(ask(), at=MIDDLE, policies=KEEPS).happens()
        assert [refund.amount for refund in spec.account.refunds.values()] == [usd(300), usd(199)]


class TestByPolicy:
    def test_any_refund_ends_the_access(self) -> None:
        film = given_back(bought(), 1, at=T0, policies=ENDS)
        assert film.events[-1] == EntitlementEnded(resource=FILM, ended_at=T0)
        plan = given_back(subscribed(), 1, at=MIDDLE, policies=ENDS)
        assert plan.events[-2] == SubscriptionEnded(subscription_id=PLAN, ended_at=MIDDLE)

    def test_the_unused_part_of_a_plan_does_not_end_the_film_of_its_order(self) -> None:
        spec = given_back(bought("solaris:own", "cinema:month"), at=MIDDLE, policies=ENDS)
        assert set(spec.account.entitlements) == {FILM}

    @pytest.mark.parametrize("amount", [1, 998, 999])
    def test_what_was_bought_stays(self, amount: int) -> None:
        assert FILM in given_back(bought(), amount, at=T0, policies=KEEPS).account.entitlements
        assert subscription(given_back(subscribed(), amount, at=T0, policies=KEEPS)) == subscription(subscribed())

    def test_where_access_stays_the_unused_part_goes_back_once(self) -> None:
        spec = given_back(subscribed(), 300, at=MIDDLE, policies=KEEPS)
        spec = given_back(spec, at=MIDDLE, policies=KEEPS)
        assert spec.account.payments[ORDER.payment].refunded == 499
        spec.when(ask(), at=MIDDLE, policies=KEEPS).then_rejected(NothingToRefund)
        cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
        assert len(spec.when(cancel, at=MIDDLE, policies=KEEPS).happens().account.refunds) == 2


class TestReversed:
    def bounced(self, refund: Refund) -> AnswerRefund:
        answer = RefundAnswer(status=RefundAnswerStatus.FAILED, reference=refund.reference)
        return AnswerRefund(refund_id=refund.id, effect_id=None, attempt=0, answer=answer)

    def test_the_part_that_was_taken_is_given_again_in_its_place(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        spec = given_back(ahead, 300, at=MIDDLE)
        refund, end = newest(spec), T0 + seconds_kept(300)
        slice_taken = paid_period(ORDER, end, END, 300)
        assert refund.taken == (TakenAccess(resource=ROLE, taken_at=MIDDLE, subscription_id=PLAN, period=slice_taken),)
        after = spec.when(self.bounced(refund), at=MIDDLE + DAY)
        assert isinstance(after.events[1], SubscriptionRestored)
        held = subscription(after.happens())
        assert held.paid == subscription(ahead).paid
        assert held.period_end == subscription(ahead).period_end

    def test_it_may_be_asked_for_again_and_takes_its_part_again(self) -> None:
        spec = given_back(subscribed(), 300, at=MIDDLE)
        spec = spec.when(self.bounced(newest(spec)), at=MIDDLE + DAY).happens()
        spec = given_back(spec, 300, at=MIDDLE + DAY)
        assert subscription(spec).period_end == T0 + seconds_kept(300)

    def test_time_that_comes_back_brings_no_film_whose_money_went_with_another_part(self) -> None:
        spec = given_back(bought("solaris:own", "cinema:month"), 999, at=T0)
        part = newest(spec)
        over = given_back(spec, at=T0)
        back = over.when(self.bounced(part), at=T0).happens()
        assert set(back.account.entitlements) == {ROLE}

    def test_of_two_parts_one_comes_back(self) -> None:
        spec = given_back(subscribed(), 300, at=MIDDLE)
        part = newest(spec)
        over = given_back(spec, at=MIDDLE)
        assert subscription(over).status is SubscriptionStatus.ENDED
        back = over.when(self.bounced(part), at=MIDDLE).happens()
        assert subscription(back).period_end == MIDDLE + (END - T0 - seconds_kept(300)), "its time and no more"
