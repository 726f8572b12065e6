"""A means of payment that is left after a renewal had failed for good: the renewal is tried once more, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.effects import AnswerStatus, ChargeMethod, ProviderAnswer
from domain.payments.commands import AnswerCall
from domain.payments.events import PaymentMethodRemoved, PaymentMethodSaved, PaymentSucceeded
from domain.subscriptions.commands import RenewSubscription
from domain.subscriptions.events import AccessBlocked, RenewalAttempted, SubscriptionResumed
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    ACCESS_END,
    END,
    FIRST,
    METHOD_FIELDS,
    NEXT_END,
    OPENED,
    PLAN,
    answered,
    bought_too,
    due,
    paid,
    place,
    reported,
    subscribed,
    until,
)
from tests.domain.histories_of_renewals import RENEWAL, SECOND_CHARGE, charging, count, declined
from tests.domain.spec import DAY, HOUR, MINUTE, SECOND, Ids, Spec, usd

if TYPE_CHECKING:
    from datetime import datetime

    from domain.subscriptions.state import Subscription

CARD = {"customer_reference": "cus_1", "method_reference": "pm_2", "method_label": "visa •••• 1111"}
THIRD = Ids("place 3")


def refused_for_good(at: datetime = FIRST) -> Spec:
    """The card is lost: the renewal is not tried again."""
    return declined(charging(), at, hard=True, reason="lost_card")


def plan(spec: Spec) -> Subscription:
    return spec.account.subscriptions[PLAN]


def leaving(spec: Spec, at: datetime, *, ids: Ids = SECOND, **card: str) -> Spec:
    """The customer buys another plan, at a page, with this card."""
    spec = spec.when(place("kids:month"), at=at, command_id=ids.command).happens()
    spec = spec.when(answered(ids.checkout, OPENED, ids=ids), at=at).happens()
    return spec.when(reported(paid(usd(500), **{**CARD, **card}), payment_id=ids.payment), at=at).happens()


def paid_by_new_card(spec: Spec, at: datetime) -> Spec:
    """The provider takes the money of the second attempt."""
    payment = spec.account.payments[SECOND_CHARGE]
    assert payment.call is not None
    told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="charge", amount=payment.amount, paid_at=at)
    answer = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
    return spec.when(answer, at=at).happens()


def test_it_is_tried_at_once_with_the_new_card_and_charged_once() -> None:
    now = FIRST + HOUR
    left = leaving(refused_for_good(), now)
    assert plan(left).renew_at == now
    again = RenewSubscription(subscription_id=PLAN, period_end=END, attempt=2)
    (charge,) = left.when(again, at=now).calls
    assert isinstance(charge, ChargeMethod)
    assert (charge.payment_id, charge.method_reference) == (SECOND_CHARGE, "pm_2")
    after = due(left, now)
    after.when(again, at=now).then_nothing()
    renewed = until(paid_by_new_card(after, now), END + DAY)
    assert (plan(renewed).period_end, plan(renewed).status) == (NEXT_END, SubscriptionStatus.ACTIVE)
    assert renewed.account.orders[RENEWAL].payment_id == SECOND_CHARGE
    assert count(renewed, RenewalAttempted) == 2
    assert count(renewed, PaymentSucceeded) == 3
    assert count(until(renewed, ACCESS_END), AccessBlocked) == 0


def test_in_the_grace_nothing_was_interrupted() -> None:
    grace = until(refused_for_good(), END + DAY)
    assert plan(grace).status is SubscriptionStatus.GRACE
    after = paid_by_new_card(due(leaving(grace, END + DAY), END + DAY), END + DAY)
    assert (plan(after).period_start, plan(after).period_end) == (END, NEXT_END)


def test_the_last_attempt_of_the_schedule_failed() -> None:
    spec = declined(charging(), END + 25 * HOUR)
    assert plan(spec).renew_at is None
    now = END + 26 * HOUR
    assert plan(leaving(spec, now)).renew_at == now


def test_the_word_of_the_saved_card_may_come_after_the_money() -> None:
    now = FIRST + HOUR
    spec = refused_for_good().when(place("kids:month"), at=now, command_id=SECOND.command).happens()
    spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND), at=now).happens()
    spec = spec.when(reported(paid(usd(500)), payment_id=SECOND.payment), at=now).happens()
    assert plan(spec).renew_at is None
    told = answered(SECOND.fetch(1), paid(usd(500), **CARD), ids=SECOND)
    learned = spec.when(told, at=now + MINUTE).happens()
    assert plan(learned).renew_at == now + MINUTE
    learned.when(told, at=now + HOUR).then_nothing()


def test_each_new_card_is_tried_once() -> None:
    now = FIRST + HOUR
    spec = due(leaving(refused_for_good(), now), now)
    payment = spec.account.payments[SECOND_CHARGE]
    assert payment.call is not None
    told = ProviderAnswer(status=AnswerStatus.DECLINED, reference="ch_2", decline_reason="expired_card", hard=True)
    answer = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
    spec = spec.when(answer, at=now).happens()
    assert plan(spec).renew_at is None
    assert count(until(spec, END), RenewalAttempted) == 2
    third = spec.when(place("arthouse:month"), at=END, command_id=THIRD.command).happens()
    third = third.when(answered(THIRD.checkout, OPENED, ids=THIRD), at=END).happens()
    money = {**METHOD_FIELDS, "method_reference": "pm_3"}
    third = third.when(reported(paid(usd(700), **money), payment_id=THIRD.payment), at=END).happens()
    assert plan(third).renew_at == END


class TestNothingIsTried:
    """Where a new card changes nothing."""

    def test_with_the_card_that_was_refused(self) -> None:
        spec = leaving(refused_for_good(), FIRST + HOUR, method_reference="pm_1")
        assert (count(spec, PaymentMethodSaved), plan(spec).renew_at) == (2, None)

    def test_while_an_attempt_is_to_come(self) -> None:
        assert plan(leaving(declined(charging(), FIRST), FIRST + HOUR)).renew_at == END - DAY

    def test_while_an_attempt_is_under_way(self) -> None:
        spec = leaving(charging(), FIRST + HOUR)
        assert (plan(spec).renew_at, count(spec, SubscriptionResumed)) == (None, 0)

    def test_before_any_attempt(self) -> None:
        assert plan(leaving(subscribed(), FIRST - DAY)).renew_at == FIRST

    def test_by_money_that_leaves_no_card(self) -> None:
        spec = bought_too(refused_for_good(), "solaris:own", at=FIRST + HOUR, ids=SECOND)
        assert plan(spec).renew_at is None

    def test_when_the_money_for_the_plan_itself_came_with_it(self) -> None:
        now = FIRST + HOUR
        spec = refused_for_good().when(place("cinema:month"), at=now, command_id=SECOND.command).happens()
        spec = spec.when(answered(SECOND.checkout, OPENED, ids=SECOND), at=now).happens()
        spec = spec.when(reported(paid(usd(999), **CARD), payment_id=SECOND.payment), at=now).happens()
        assert count(spec, SubscriptionResumed) == 0
        assert (plan(spec).status, plan(spec).renew_at) == (SubscriptionStatus.ACTIVE, NEXT_END - 3 * DAY)

    def test_after_the_access_has_ended(self) -> None:
        grace = until(refused_for_good(), END + DAY)
        spec = leaving(grace, ACCESS_END)
        assert count(spec, SubscriptionResumed) == 0


def test_without_any_card_before() -> None:
    bare = subscribed().and_given(PaymentMethodRemoved(method_reference="pm_1"))
    grace = until(bare, END + DAY + HOUR)
    assert (plan(grace).status, plan(grace).renew_at) == (SubscriptionStatus.GRACE, None)
    now = END + DAY + HOUR
    after = due(leaving(grace, now), now)
    (charged,) = (payment for payment in after.account.payments.values() if payment.method is not None)
    assert charged.method is not None
    assert charged.method.method_reference == "pm_2"
