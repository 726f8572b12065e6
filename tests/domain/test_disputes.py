"""Disputes: what the bank takes is not ours to give back, and access follows by a policy, whatever comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from domain.disputes.commands import DisputeReport, ReportDispute
from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.entitlements.state import TakenAccess
from domain.errors import (
    DisputeInvalid,
    NothingToRefund,
    PaymentDisputed,
    PaymentUnknown,
    ReferenceMismatch,
    RefundExceedsPayment,
)
from domain.ids import DisputeId, PaymentId, Resource, derive
from domain.money import Money
from domain.payments.events import PaymentMethodRemoved
from domain.payments.state import PaymentStatus
from domain.policies.settings import DisputeAccess, Policies
from domain.refunds.commands import RequestRefund
from domain.subscriptions.commands import ResumeSubscription
from domain.subscriptions.events import SubscriptionEnded, SubscriptionRestored, SubscriptionShortened
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import CLOSED as PAGE_CLOSED
from tests.domain.histories import (
    END,
    FILM,
    PLAN,
    ROLE,
    answered,
    bought,
    bought_too,
    cancelling,
    charge,
    charge_answered,
    opened,
    paid,
    paid_period,
    place,
    refund_answer,
    reported,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import DAY, HOUR, MINUTE, ORDER, SECOND, T0, Ids, Spec, given, usd

if TYPE_CHECKING:
    from datetime import datetime

DUE = T0 + 7 * DAY
DISPUTE = DisputeId(derive(ORDER.payment, "dispute du_1"))
AT_ONCE = Policies(dispute_access=DisputeAccess.OPENED)
NEVER = Policies(dispute_access=DisputeAccess.NEVER)
NEEDS, REVIEW = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW
WON, LOST, CLOSED = DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED


def told(
    status: DisputeStatus,
    *,
    after: int = 0,
    amount: Money | None = None,
    ids: Ids = ORDER,
    payment_id: PaymentId | None = None,
    **changed: Any,
) -> ReportDispute:
    """A webhook, `after` minutes after the dispute was opened."""
    fields: dict[str, Any] = {
        "reference": "du_1",
        "status": status,
        "is_inquiry": False,
        "amount": amount or usd(999),
        "reason": "fraudulent",
        "evidence_due_at": DUE,
        "opened_at": T0,
        "told_at": T0 + after * MINUTE,
    }
    provider = changed.pop("provider", "stripe")
    dispute = DisputeReport(**{**fields, **changed})
    return ReportDispute(
        payment_id=payment_id or ids.payment, provider=provider, report_id=f"evt_{after}", dispute=dispute
    )


def hears(spec: Spec, *reports: ReportDispute, at: datetime = T0 + HOUR, policies: Policies | None = None) -> Spec:
    """The webhooks come, in this order."""
    for each in reports:
        spec = spec.when(each, at=at, policies=policies or Policies()).happens()
    return spec


def payment_of(spec: Spec, ids: Ids = ORDER) -> Any:
    return spec.account.payments[ids.payment]


def facts(status: DisputeStatus, *, after: int = 0, disputed: int = 999, **changed: Any) -> dict[str, Any]:
    """What every event of the dispute says."""
    return {
        "dispute_id": DISPUTE,
        "payment_id": ORDER.payment,
        "order_id": ORDER.order,
        "amount": usd(999),
        "reason": "fraudulent",
        "is_inquiry": False,
        "status": status,
        "evidence_due_at": DUE,
        "told_at": T0 + after * MINUTE,
        "access": DisputeAccess.LOST,
        "disputed": usd(disputed),
        **changed,
    }


def ending(after: int = 0, disputed: int = 0) -> dict[str, Any]:
    said = facts(WON, after=after, disputed=disputed)
    return {name: said[name] for name in ("dispute_id", "payment_id", "order_id", "amount", "told_at", "disputed")}


class TestOpened:
    def test_it_is_recorded_and_the_payment_shows_it(self) -> None:
        after = (
            bought()
            .when(told(NEEDS))
            .then(DisputeOpened(provider="stripe", reference="du_1", opened_at=T0, **facts(NEEDS)))
        )
        assert payment_of(after).status is PaymentStatus.DISPUTED
        assert FILM in after.account.entitlements, "by default access goes when it is lost"

    def test_an_inquiry_moves_no_money(self) -> None:
        after = hears(bought(), told(NEEDS, is_inquiry=True))
        assert payment_of(after).status is PaymentStatus.SUCCEEDED
        refunded = after.when(RequestRefund(payment_id=ORDER.payment)).happens()
        assert len(refunded.account.refunds) == 1, "giving the money back is the best answer to an inquiry"
        closed = after.when(told(CLOSED, after=9)).then(DisputeClosed(**ending(after=9)))
        assert payment_of(closed).status is PaymentStatus.SUCCEEDED

    def test_an_inquiry_may_become_a_dispute(self) -> None:
        asked = hears(bought(), told(NEEDS, is_inquiry=True))
        taken = asked.when(told(NEEDS, after=5)).then(DisputeUpdated(**facts(NEEDS, after=5)))
        assert payment_of(taken).disputed == 999
        taken.when(told(NEEDS, after=6, is_inquiry=True)).then_nothing()
        closed = hears(asked, told(CLOSED, after=4, is_inquiry=True))
        assert payment_of(hears(closed, told(NEEDS, after=5))).disputed == 999
        closed.when(told(REVIEW, after=5, is_inquiry=True)).then_nothing()

    def test_what_changes_is_told(self) -> None:
        spec = hears(bought(), told(NEEDS))
        spec.when(told(REVIEW, after=3)).then(DisputeUpdated(**facts(REVIEW, after=3)))
        less = hears(spec, told(REVIEW, after=3, amount=usd(500)))
        assert payment_of(less).disputed == 500


class TestWhatCannotBe:
    def test_nobodys_payment(self) -> None:
        given().when(told(NEEDS)).then_rejected(PaymentUnknown, payment_id=ORDER.payment)

    def test_another_providers_payment(self) -> None:
        bought().when(told(NEEDS, provider="yookassa")).then_rejected(ReferenceMismatch, reference="du_1")

    @pytest.mark.parametrize("amount", [usd(0), usd(-5), Money(amount=999, currency="EUR")])
    def test_an_amount_that_makes_no_sense(self, amount: Money) -> None:
        bought().when(told(NEEDS, amount=amount)).then_rejected(DisputeInvalid, reference="du_1")


class TestWon:
    def test_everything_is_as_it_was(self) -> None:
        spec = hears(bought(), told(NEEDS))
        after = spec.when(told(WON, after=9)).then(DisputeWon(**ending(after=9)))
        assert payment_of(after).status is PaymentStatus.SUCCEEDED
        assert FILM in after.account.entitlements
        after.when(RequestRefund(payment_id=ORDER.payment)).happens()

    def test_a_film_that_was_taken_at_once_is_given_again(self) -> None:
        blocked = bought().when(told(NEEDS), at=T0 + HOUR, policies=AT_ONCE)
        taken = TakenAccess(resource=FILM, taken_at=T0 + HOUR)
        assert blocked.events[0].taken == (taken,)
        assert blocked.events[1:] == (EntitlementEnded(resource=FILM, ended_at=T0 + HOUR),)
        after = blocked.happens().when(told(WON, after=9), at=T0 + DAY)
        assert after.events[1:] == (
            EntitlementGranted(
                resource=FILM, until=None, reason="purchase", order_id=ORDER.order, subscription_id=None
            ),
        )
        after.happens().when(told(WON, after=9), at=T0 + DAY).then_nothing()

    def test_a_rented_film_has_the_time_that_it_lost(self) -> None:
        blocked = hears(bought("stalker:rent"), told(NEEDS, amount=usd(299)), policies=AT_ONCE)
        after = hears(blocked, told(WON, after=9, amount=usd(299)), at=T0 + 30 * DAY)
        assert after.account.entitlements[Resource("film:stalker")].until == T0 + 32 * DAY - HOUR

    def test_a_period_has_the_time_that_it_lost(self) -> None:
        blocked = hears(subscribed(), told(NEEDS), at=T0 + 8 * DAY, policies=AT_ONCE)
        assert subscription(blocked).status is SubscriptionStatus.ENDED
        assert blocked.account.entitlements == {}
        won = blocked.when(told(WON, after=9), at=END + 10 * DAY)
        end = END + 10 * DAY + 20 * DAY
        assert won.events[1:] == (
            SubscriptionRestored(
                subscription_id=PLAN,
                order_id=ORDER.order,
                anchor=end,
                paid=(paid_period(ORDER, end - 28 * DAY, end),),
                period_start=END + 10 * DAY,
                period_end=end,
                access_end=end,
                renew_at=None,
                restored_at=END + 10 * DAY,
            ),
            EntitlementGranted(
                resource=ROLE, until=end, reason="subscription", order_id=ORDER.order, subscription_id=PLAN
            ),
        )
        restored = won.happens()
        assert not subscription(restored).auto_renew
        resumed = restored.when(ResumeSubscription(subscription_id=PLAN), at=end - DAY).happens()
        assert subscription(resumed).auto_renew
        assert subscription(until(restored, end)).status is SubscriptionStatus.ENDED

    def test_a_period_follows_what_was_bought_meanwhile(self) -> None:
        blocked = hears(subscribed(), told(NEEDS), at=T0 + 8 * DAY, policies=AT_ONCE)
        again = bought_too(blocked, "cinema:month", at=T0 + 10 * DAY, ids=SECOND)
        won = hears(again, told(WON, after=9), at=T0 + 11 * DAY)
        running = won.account.subscriptions[SECOND.subscription("cinema")]
        bought_end = again.account.subscriptions[running.id].period_end
        assert running.period_end == bought_end + 20 * DAY
        assert (running.is_running, running.auto_renew) == (True, True)
        assert running.renew_at == running.period_end - 3 * DAY

    def test_another_plan_that_was_bought_meanwhile_stays(self) -> None:
        blocked = hears(subscribed(), told(NEEDS), at=T0 + 8 * DAY, policies=AT_ONCE)
        again = bought_too(blocked, "cinema-plus:month", at=T0 + 10 * DAY, ids=SECOND)
        won = again.when(told(WON, after=9), at=T0 + 11 * DAY)
        assert won.events == (DisputeWon(**ending(after=9)),)


class TestLost:
    def test_a_film_goes_with_its_money(self) -> None:
        spec = hears(bought(), told(NEEDS))
        after = spec.when(told(LOST, after=9), at=T0 + DAY)
        taken = (TakenAccess(resource=FILM, taken_at=T0 + DAY),)
        said = {name: value for name, value in facts(LOST, after=9).items() if name in {*ending(), "access"}}
        lost = after.then(DisputeLost(**said, taken=taken), EntitlementEnded(resource=FILM, ended_at=T0 + DAY))
        assert payment_of(lost).status is PaymentStatus.DISPUTED
        lost.when(told(LOST, after=9), at=T0 + DAY).then_nothing()
        lost.when(place("solaris:own"), at=T0 + DAY).happens()

    def test_by_setting_access_stays(self) -> None:
        lost = hears(bought(), told(NEEDS), told(LOST, after=9), policies=NEVER)
        assert FILM in lost.account.entitlements

    def test_the_period_that_it_paid_ends_and_its_card_is_forgotten(self) -> None:
        spec = hears(subscribed(), told(NEEDS))
        after = spec.when(told(LOST, after=9), at=T0 + 8 * DAY)
        assert after.events[1:] == (
            SubscriptionEnded(subscription_id=PLAN, ended_at=T0 + 8 * DAY),
            EntitlementEnded(resource=ROLE, ended_at=T0 + 8 * DAY),
            PaymentMethodRemoved(method_reference="pm_1"),
        )
        after.happens().then_waits_for({})

    def test_by_setting_the_card_is_kept(self) -> None:
        lost = hears(subscribed(), told(LOST), policies=Policies(dispute_lost_forgets_method=False))
        assert [method.method_reference for method in lost.account.methods] == ["pm_1"]

    def test_a_period_paid_ahead_leaves_the_others(self) -> None:
        ahead = bought_too(subscribed(), "cinema:month", at=T0 + DAY, ids=SECOND)
        lost = ahead.when(told(LOST, ids=SECOND), at=T0 + 2 * DAY).events
        assert [type(event) for event in lost[2:]] == [SubscriptionShortened, EntitlementGranted]

    def test_months_later_what_was_paid_since_stays_and_the_card_renews_no_more(self) -> None:
        """The period that the lost payment bought is over; the later charge of the same card is not disputed."""
        renewed = charge_answered(until(subscribed(), END - 3 * DAY), AnswerStatus.SUCCEEDED, at=END - 3 * DAY)
        lost = hears(renewed, told(NEEDS), told(LOST, after=9), at=END + 5 * DAY)
        held = subscription(lost)
        assert held.is_running
        assert ROLE in lost.account.entitlements
        assert lost.account.methods == ()
        over = until(lost, held.period_end + 3 * DAY)
        assert subscription(over).status is SubscriptionStatus.ENDED
        assert len(over.account.payments) == 2, "nobody was charged again"

    def test_a_renewal_that_is_lost(self) -> None:
        charging = until(subscribed(), END - 3 * DAY)
        payment = charge(charging)
        renewed = charge_answered(charging, AnswerStatus.SUCCEEDED, at=END - 3 * DAY)
        lost = hears(renewed, told(LOST, payment_id=payment.id), at=END + DAY)
        assert subscription(lost).status is SubscriptionStatus.ENDED
        assert lost.account.methods == ()

    def test_a_part_takes_nothing_back(self) -> None:
        lost = hears(bought(), told(NEEDS, amount=usd(500)), told(LOST, after=9, amount=usd(500)))
        assert FILM in lost.account.entitlements
        assert payment_of(lost).status is PaymentStatus.DISPUTED

    def test_later_the_bank_may_think_better_of_it(self) -> None:
        lost = hears(bought(), told(NEEDS), told(LOST, after=9))
        won = hears(lost, told(WON, after=20), at=T0 + DAY)
        assert payment_of(won).disputed == 0
        assert FILM in won.account.entitlements
        won.when(told(LOST, after=9)).then_nothing()
        again = hears(won, told(LOST, after=30), at=T0 + DAY)
        assert (payment_of(again).disputed, again.account.entitlements) == (999, {})


class TestAnyOrder:
    def test_the_end_comes_first(self) -> None:
        lost = bought().when(told(LOST, after=9))
        assert [type(event) for event in lost.events] == [DisputeOpened, DisputeLost, EntitlementEnded]
        lost.happens().when(told(NEEDS)).then_nothing()
        lost.happens().when(told(REVIEW, after=20)).then_nothing()
        won = hears(bought(), told(WON, after=9))
        won.when(told(NEEDS)).then_nothing()
        assert payment_of(won).disputed == 0
        closed = hears(bought(), told(CLOSED, after=9, is_inquiry=True))
        assert payment_of(closed).disputed == 0

    def test_an_end_counts_however_its_times_are(self) -> None:
        spec = hears(bought(), told(REVIEW, after=9))
        assert payment_of(hears(spec, told(WON, after=8))).disputed == 0

    def test_twice(self) -> None:
        spec = hears(bought(), told(NEEDS))
        spec.when(told(NEEDS)).then_nothing()
        spec.when(told(NEEDS, after=1)).then_nothing()

    def test_what_is_older_than_what_is_known(self) -> None:
        spec = hears(bought(), told(REVIEW, after=5))
        spec.when(told(NEEDS, after=4)).then_nothing()
        spec.when(told(NEEDS, after=5)).then_nothing()
        spec.when(told(NEEDS, after=6)).then(DisputeUpdated(**facts(NEEDS, after=6)))

    def test_before_the_money_was_heard_of(self) -> None:
        spec = hears(opened(), told(NEEDS))
        assert payment_of(spec).status is PaymentStatus.ACTION_REQUIRED
        given_ = spec.when(reported(paid()), at=T0 + HOUR).happens()
        assert payment_of(given_).status is PaymentStatus.DISPUTED
        assert FILM in given_.account.entitlements
        assert hears(given_, told(LOST, after=9)).account.entitlements == {}

    def test_lost_before_the_money_was_heard_of(self) -> None:
        spec = hears(opened("cinema:month"), told(NEEDS), told(LOST, after=9))
        after = spec.when(reported(paid(customer_reference="cus_1", method_reference="pm_1")), at=T0 + HOUR).happens()
        assert after.account.entitlements == {}
        assert subscription(after).status is SubscriptionStatus.ENDED
        assert after.account.methods == ()
        assert hears(after, told(WON, after=20)).account.entitlements != {}

    def test_opened_before_the_money_was_heard_of_with_access_at_once(self) -> None:
        spec = hears(opened(), told(NEEDS), policies=AT_ONCE)
        after = spec.when(reported(paid()), at=T0 + HOUR, policies=AT_ONCE).happens()
        assert after.account.entitlements == {}
        assert FILM in hears(after, told(WON, after=9), policies=AT_ONCE).account.entitlements


class TestRefunds:
    def test_what_the_bank_took_is_not_given_back(self) -> None:
        for spec in (hears(bought(), told(NEEDS)), hears(bought(), told(LOST))):
            for by_manager in (False, True):
                ask = RequestRefund(payment_id=ORDER.payment, by_manager=by_manager)
                spec.when(ask).then_rejected(PaymentDisputed, payment_id=ORDER.payment)

    def test_at_most_what_is_left_beside_the_dispute(self) -> None:
        spec = hears(bought(), told(NEEDS, amount=usd(600)))
        ask = RequestRefund(payment_id=ORDER.payment, amount=400, by_manager=True)
        spec.when(ask).then_rejected(RefundExceedsPayment, left_amount="399")
        rest = spec.when(RequestRefund(payment_id=ORDER.payment, by_manager=True)).happens()
        assert [refund.amount for refund in rest.account.refunds.values()] == [usd(399)]

    def test_the_rest_and_the_dispute_make_the_whole(self) -> None:
        spec = hears(bought(), told(LOST, amount=usd(600)))
        assert FILM in spec.account.entitlements
        asked = spec.when(RequestRefund(payment_id=ORDER.payment, by_manager=True)).happens()
        (refund,) = asked.account.refunds.values()
        done = asked.when(refund_answer(refund, RefundAnswerStatus.SUCCEEDED)).happens()
        assert done.account.entitlements == {}

    def test_a_payment_that_was_given_back_already(self) -> None:
        asked = bought().when(RequestRefund(payment_id=ORDER.payment)).happens()
        (refund,) = asked.account.refunds.values()
        done = asked.when(refund_answer(refund, RefundAnswerStatus.SUCCEEDED)).happens()
        disputed = hears(done, told(NEEDS))
        assert payment_of(disputed).status is PaymentStatus.DISPUTED
        won = hears(disputed, told(WON, after=9))
        assert payment_of(won).status is PaymentStatus.REFUNDED
        won.when(RequestRefund(payment_id=ORDER.payment)).then_rejected(NothingToRefund)

    def test_money_that_bought_nothing_goes_back_but_for_what_the_bank_took(self) -> None:
        ended = cancelling().when(answered(ORDER.close, PAGE_CLOSED)).happens()
        for amount, back in ((usd(400), [usd(599)]), (usd(999), [])):
            late = hears(ended, told(NEEDS, amount=amount)).when(reported(paid())).happens()
            assert [refund.amount for refund in late.account.refunds.values()] == back
