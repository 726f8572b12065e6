"""A renewal that is not paid: when it is tried again, the grace, and the end of the access."""

from __future__ import annotations

from datetime import timedelta

from domain.effects import AnswerStatus, ProviderAnswer
from domain.entitlements.events import EntitlementEnded
from domain.orders.events import OrderFailed, OrderPlaced
from domain.orders.state import OrderStatus
from domain.payments.commands import AnswerCall
from domain.payments.events import PaymentCreated, PaymentDeclined, PaymentFailed, PaymentMethodRemoved
from domain.policies.settings import Policies
from domain.subscriptions.commands import EndGrace, EndPeriod, RenewSubscription
from domain.subscriptions.events import (
    AccessBlocked,
    RenewalAttempted,
    RenewalFailed,
    SubscriptionEnded,
    SubscriptionGraceStarted,
)
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    ACCESS_END,
    END,
    FIRST,
    NEXT_END,
    PLAN,
    ROLE,
    charge,
    charge_answered,
    subscribed,
    subscription,
    until,
)
from tests.domain.histories_of_renewals import (
    FIRST_CHARGE,
    RENEW,
    RENEWAL,
    SECOND_CHARGE,
    charging,
    count,
    declined,
    renewed,
)
from tests.domain.spec import DAY, HOUR, MINUTE, Spec, given


class TestDunning:
    """Attempts at −3, −1, 0 and +1 days of the end, each a payment of its own for the same order."""

    def test_the_whole_schedule(self) -> None:
        spec, moments = subscribed(), []
        while subscription(spec).renew_at is not None:
            at = subscription(spec).renew_at
            assert at is not None
            spec = declined(until(spec, at), at + MINUTE)
            moments.append(at - END)
        assert moments == [-3 * DAY, -1 * DAY, 0 * DAY, 1 * DAY]
        assert count(spec, OrderPlaced) == 2
        charges = [payment for payment in spec.account.payments.values() if payment.method is not None]
        assert len({payment.id for payment in charges}) == 4
        assert {payment.order_id for payment in charges} == {charge(spec).order_id}
        over = until(spec, ACCESS_END)
        assert subscription(over).status is SubscriptionStatus.ENDED
        assert over.account.orders[charge(spec).order_id].status is OrderStatus.FAILED
        over.then_waits_for({})

    def test_a_decline_says_when_it_is_tried_again(self) -> None:
        payment = charge(charging())
        assert payment.call is not None
        told = ProviderAnswer(status=AnswerStatus.DECLINED, reference="ch_1", decline_reason="insufficient_funds")
        answered = AnswerCall(payment_id=payment.id, effect_id=payment.call.effect_id, attempt=1, answer=told)
        spec = charging().when(answered, at=FIRST + MINUTE)
        after = spec.then(
            PaymentDeclined(payment_id=FIRST_CHARGE, order_id=RENEWAL, decline_reason="insufficient_funds"),
            PaymentFailed(payment_id=FIRST_CHARGE, order_id=RENEWAL, reason="insufficient_funds", reference="ch_1"),
            RenewalFailed(subscription_id=PLAN, attempt=1, reason="insufficient_funds", hard=False, retry_at=END - DAY),
        )
        assert subscription(after).status is SubscriptionStatus.PAST_DUE
        assert after.account.orders[RENEWAL].status is OrderStatus.PENDING
        again = RenewSubscription(subscription_id=PLAN, period_end=END, attempt=2)
        created = after.when(again, at=END - DAY).events
        assert [type(event) for event in created] == [PaymentCreated, RenewalAttempted]
        assert created[0].payment_id == SECOND_CHARGE

    def test_a_late_answer_skips_the_attempts_whose_time_is_over(self) -> None:
        assert subscription(declined(charging(), END - HOUR)).renew_at == END
        assert subscription(declined(charging(), END + HOUR)).renew_at == END + DAY
        assert subscription(declined(charging(), END + 25 * HOUR)).renew_at is None

    def test_a_hard_decline_is_not_retried(self) -> None:
        spec = declined(charging(), FIRST, hard=True, reason="stolen_card")
        assert subscription(spec).renew_at is None
        over = until(spec, ACCESS_END)
        assert count(over, RenewalAttempted) == 1
        assert subscription(over).status is SubscriptionStatus.ENDED

    def test_the_provider_refuses_the_charge(self) -> None:
        spec = charge_answered(charging(), AnswerStatus.REFUSED, at=FIRST, reference=None, detail="no such customer")
        assert subscription(spec).renew_at == END - DAY
        assert subscription(spec).status is SubscriptionStatus.PAST_DUE

    def test_the_second_attempt_brings_the_money(self) -> None:
        spec = renewed(until(declined(charging(), FIRST), END - DAY), END - DAY)
        assert subscription(spec).period_end == NEXT_END
        assert subscription(spec).status is SubscriptionStatus.ACTIVE
        assert subscription(spec).attempts == 0
        assert spec.account.orders[RENEWAL].payment_id == SECOND_CHARGE
        assert spec.account.orders[RENEWAL].status is OrderStatus.FULFILLED

    def test_nothing_to_charge(self) -> None:
        bare = subscribed().and_given(PaymentMethodRemoved(method_reference="pm_1"))
        decision = bare.when(RENEW, at=FIRST)
        decision.then(
            RenewalFailed(subscription_id=PLAN, attempt=1, reason="no_payment_method", hard=False, retry_at=END - DAY)
        )
        over = until(bare, ACCESS_END)
        assert count(over, RenewalFailed) == 4
        assert count(over, OrderPlaced) == 1
        assert subscription(over).status is SubscriptionStatus.ENDED


class TestTheGrace:
    """After the end access stays for a little while; then it is blocked, once."""

    def unpaid(self) -> Spec:
        return until(declined(charging(), FIRST, hard=True), END)

    def test_begins_with_the_end_of_the_period(self) -> None:
        end = EndPeriod(subscription_id=PLAN, period_end=END)
        spec = declined(charging(), FIRST, hard=True).when(end, at=END)
        grace = spec.then(SubscriptionGraceStarted(subscription_id=PLAN, access_end=ACCESS_END))
        assert grace.account.entitlements[ROLE].until == ACCESS_END
        grace.then_waits_for({"EndGrace": ACCESS_END})
        grace.when(end, at=END).then_nothing()

    def test_ends_in_the_block(self) -> None:
        end = EndGrace(subscription_id=PLAN, access_end=ACCESS_END)
        self.unpaid().when(end, at=ACCESS_END).then(
            OrderFailed(order_id=RENEWAL, reason="insufficient_funds"),
            SubscriptionEnded(subscription_id=PLAN, ended_at=ACCESS_END),
            EntitlementEnded(resource=ROLE, ended_at=ACCESS_END),
            AccessBlocked(subscription_id=PLAN, resource=ROLE),
        ).when(end, at=ACCESS_END).then_nothing()

    def test_too_early_or_of_another_end(self) -> None:
        self.unpaid().when(EndGrace(subscription_id=PLAN, access_end=ACCESS_END), at=ACCESS_END - MINUTE).then_nothing()
        self.unpaid().when(EndGrace(subscription_id=PLAN, access_end=END), at=ACCESS_END).then_nothing()
        given().when(EndGrace(subscription_id=PLAN, access_end=END), at=ACCESS_END).then_nothing()

    def test_paid_in_the_grace_nothing_was_interrupted(self) -> None:
        spec = until(declined(charging(), FIRST), END - DAY)
        spec = until(declined(spec, END - DAY), END)
        spec = until(declined(spec, END), END + DAY)
        assert subscription(spec).status is SubscriptionStatus.GRACE
        spec = renewed(spec, END + DAY)
        held = subscription(spec)
        assert (held.period_start, held.period_end) == (END, NEXT_END)
        assert held.status is SubscriptionStatus.ACTIVE
        assert count(spec, EntitlementEnded) == 0
        assert count(until(spec, NEXT_END - 4 * DAY), AccessBlocked) == 0

    def test_without_a_grace_access_ends_with_the_period(self) -> None:
        none = Policies(grace=timedelta(0))
        spec = subscribed()
        renewal = spec.when(RENEW, at=FIRST, command_id="renew 1", policies=none).happens()
        paid = renewed(renewal, FIRST)
        end = EndPeriod(subscription_id=PLAN, period_end=subscription(paid).period_end)
        assert paid.when(end, at=NEXT_END).events
