"""Trials: some days for nothing, once; then the plan is charged at their end, or ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, ProviderAnswer
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import (
    AlreadyEntitled,
    PriceUnknown,
    RenewalMethodMissing,
    SubscriptionNotPausable,
    TrialUnavailable,
    TrialUsed,
)
from domain.ids import PriceId, ProductId, Resource
from domain.orders.events import OrderFulfilled, OrderPaymentWaived, OrderPlaced
from domain.orders.state import OrderPurpose
from domain.payments.commands import AnswerCall
from domain.payments.events import PaymentCreated
from domain.policies.settings import Policies
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ExtendSubscription,
    PauseSubscription,
    ResumeSubscription,
    StartTrial,
)
from domain.subscriptions.events import SubscriptionStarted
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.histories import (
    bought,
    bought_too,
    opened,
    subscribed,
    subscription,
    until,
)
from tests.domain.spec import AGREED, DAY, HOUR, MONTH, OFFERS, ORDER, POLICIES, SECOND, T0, Spec, given, usd

if TYPE_CHECKING:
    from collections.abc import Callable

TRY = StartTrial(price_id=PriceId("arthouse:month"))
PLAN = ORDER.subscription("arthouse")
ROLE = Resource("role:arthouse")
END = T0 + 14 * DAY
ACCESS_END = END + POLICIES.grace


def trying(spec: Spec | None = None, **changed: bool) -> Spec:
    """A trial that runs."""
    asked = StartTrial(price_id=TRY.price_id, **changed)
    return (spec or given()).when(asked, command_id=ORDER.command).happens()


def test_it_gives_the_days_by_an_order_that_costs_nothing() -> None:
    events = given().when(TRY, command_id=ORDER.command).events
    placed = events[0]
    assert isinstance(placed, OrderPlaced)
    assert (placed.purpose, placed.subtotal, placed.discount, placed.total) == (
        OrderPurpose.TRIAL,
        usd(700),
        usd(700),
        usd(0),
    )
    assert events[1:] == (
        OrderPaymentWaived(order_id=ORDER.order, reason="a trial costs nothing", waived_at=T0),
        SubscriptionStarted(
            subscription_id=PLAN,
            order_id=ORDER.order,
            product_id=ProductId("arthouse"),
            price_id=TRY.price_id,
            title="Arthouse",
            price=usd(700),
            period=MONTH,
            periods=0,
            resource=ROLE,
            auto_renew=True,
            period_start=T0,
            period_end=END,
            access_end=ACCESS_END,
            renew_at=END,
            is_trial=True,
            terms=AGREED,
        ),
        EntitlementGranted(
            resource=ROLE, until=ACCESS_END, reason="subscription", order_id=ORDER.order, subscription_id=PLAN
        ),
        OrderFulfilled(order_id=ORDER.order),
    )
    assert subscription(trying()).status is SubscriptionStatus.TRIALING
    trying().then_waits_for({"RenewSubscription": END, "EndPeriod": END})


def test_at_its_end_the_saved_method_is_charged_for_the_first_period() -> None:
    spec = subscribed("kids:month").when(TRY, command_id="try").happens()
    before = [event for event in until(spec, END - DAY).events if isinstance(event, PaymentCreated)]
    assert len(before) == 1, "nobody pays while it is for nothing"
    charging = until(spec, END)
    tried = next(each for each in charging.account.subscriptions.values() if each.product_id == "arthouse")
    assert tried.renewal_order_id is not None
    payment = charging.account.payments[charging.account.orders[tried.renewal_order_id].payment_id]
    assert payment.amount == usd(700)


def paying() -> Spec:
    """A trial whose customer has a card, because they bought something of it before the trial's end."""
    return bought_too(trying(), "arthouse:month", at=T0 + DAY, ids=SECOND)


def test_bought_while_it_runs_the_first_period_begins_at_its_end() -> None:
    held = subscription(paying())
    assert (held.status, held.period_start, held.period_end) == (
        SubscriptionStatus.ACTIVE,
        END,
        datetime(2030, 3, 14, 12, 30, tzinfo=UTC),
    )
    assert held.renew_at == held.period_end - 3 * DAY, "what is paid is renewed with the usual lead"


def test_without_grace_it_is_charged_while_there_still_is_access() -> None:
    no_grace = Policies(grace=timedelta(0))
    spec = subscribed("kids:month").when(TRY, command_id="try", policies=no_grace).happens()
    charging = until(spec, END - HOUR, policies=no_grace)
    assert [each.amount for each in charging.account.payments.values()] == [usd(500), usd(700)]


def test_without_a_means_of_payment_it_is_dunned_and_ends() -> None:
    grace = until(trying(), END + DAY)
    assert subscription(grace).status is SubscriptionStatus.GRACE
    ended = until(grace, ACCESS_END)
    assert subscription(ended).status is SubscriptionStatus.ENDED
    assert ended.account.entitlements == {}
    assert ended.account.payments == {}


def test_cancelled_before_its_end_nothing_is_charged() -> None:
    cancel = CancelSubscription(subscription_id=PLAN, at=CancelAt.PERIOD_END)
    spec = trying().when(cancel, at=T0 + DAY).happens()
    assert subscription(spec).status is SubscriptionStatus.TRIALING
    spec.then_waits_for({"EndPeriod": END})
    resume = ResumeSubscription(subscription_id=PLAN)
    spec.when(resume, at=T0 + 12 * DAY).then_rejected(RenewalMethodMissing, subscription_id=PLAN)
    over = until(spec, END)
    assert over.events[-1] == EntitlementEnded(resource=ROLE, ended_at=END)
    assert over.account.payments == {}


def test_resumed_late_it_is_charged_at_its_end() -> None:
    spec = subscribed("kids:month").when(TRY, command_id=SECOND.command).happens()
    tried = SECOND.subscription("arthouse")
    cancel = CancelSubscription(subscription_id=tried, at=CancelAt.PERIOD_END)
    spec = spec.when(cancel, at=T0 + DAY).happens()
    resumed = spec.when(ResumeSubscription(subscription_id=tried), at=T0 + 12 * DAY).happens()
    assert resumed.account.subscriptions[tried].renew_at == END, "even late in the trial"


def test_that_does_not_renew_has_no_grace() -> None:
    spec = trying(auto_renew=False)
    spec.then_waits_for({"EndPeriod": END})
    assert spec.account.entitlements[ROLE].until == END


def test_extended_it_is_still_a_trial() -> None:
    extend = ExtendSubscription(subscription_id=PLAN, days=7, reason="kindness")
    held = subscription(trying().when(extend, at=T0 + DAY).happens())
    assert (held.status, held.renew_at) == (SubscriptionStatus.TRIALING, END + 7 * DAY)


def test_after_an_outage_that_outlasts_it_nobody_is_charged() -> None:
    """All was down from before the end of the trial until long after."""
    card = subscribed("kids:month", auto_renew=False).when(TRY, command_id="try").happens()
    later = T0 + 65 * DAY
    spec = card
    for timer in sorted(card.timers, key=lambda each: each.due_at):
        spec = spec.when(timer.data, at=later, command_id=timer.name).happens()
    assert len([event for event in spec.events if isinstance(event, PaymentCreated)]) == 1


def test_the_money_of_the_first_charge_pays_from_the_end_of_the_trial() -> None:
    spec = until(subscribed("kids:month").when(TRY, command_id="try").happens(), END)
    charging = next(payment for payment in spec.account.payments.values() if payment.amount == usd(700))
    assert charging.call is not None
    told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference="ch_1", amount=usd(700))
    answered = AnswerCall(payment_id=charging.id, effect_id=charging.call.effect_id, attempt=1, answer=told)
    after = spec.when(answered, at=END + DAY).happens()
    tried = next(each for each in after.account.subscriptions.values() if each.product_id == "arthouse")
    assert (tried.status, tried.period_start, tried.anchor) == (SubscriptionStatus.ACTIVE, END, END)
    assert tried.period_end == datetime(2030, 3, 14, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("history", [trying, lambda: bought("arthouse:month"), paying])
def test_only_who_never_had_the_product_may_try_it(history: Callable[[], Spec]) -> None:
    spec = history()
    spec.when(TRY, at=T0 + DAY, command_id="again").then_rejected(TrialUsed, product_id="arthouse")
    over = until(spec, T0 + 100 * DAY)
    over.when(TRY, at=T0 + 100 * DAY, command_id="again").then_rejected(TrialUsed)


def test_an_order_that_was_never_paid_is_no_reason() -> None:
    assert opened("arthouse:month").when(TRY, command_id="try").events


@pytest.mark.parametrize("price", ["cinema:month", "solaris:own"])
def test_of_what_cannot_be_tried(price: str) -> None:
    asked = StartTrial(price_id=PriceId(price))
    given().when(asked).then_rejected(TrialUnavailable, product_id=price.partition(":")[0])


def test_of_what_is_not_on_sale() -> None:
    given().when(StartTrial(price_id=PriceId("gone:own"))).then_rejected(PriceUnknown)
    given().when(StartTrial(price_id=PriceId("x:y"))).then_rejected(PriceUnknown)


def test_of_a_role_that_another_plan_gives() -> None:
    offer = OFFERS[TRY.price_id]
    same_role = {TRY.price_id: replace(offer, product=replace(offer.product, role="cinema"))}
    subscribed().when(TRY, command_id="try", prices=same_role).then_rejected(AlreadyEntitled, resource="role:cinema")


def test_it_cannot_be_paused() -> None:
    trying().when(PauseSubscription(subscription_id=PLAN), at=T0 + DAY).then_rejected(
        SubscriptionNotPausable, status="trialing"
    )
