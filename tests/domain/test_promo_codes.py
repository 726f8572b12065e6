"""Promo codes in an order: who may use them, how often, and what the order waits for while it asks for a use."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain.effects import SendCommand
from domain.errors import (
    OrderIsCancelled,
    PromoCodeExpired,
    PromoCodeNotApplicable,
    PromoCodeNotYetValid,
    PromoCodeUnknown,
    PromoCodeUsed,
)
from domain.ids import AccountId, EffectId, PriceId, ProductId, derive
from domain.money import Money
from domain.orders.commands import CancelOrder, ExpireOrder, PlaceOrder
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed
from domain.orders.state import OrderStatus
from domain.payments.events import PaymentCreated
from domain.pricing.events import PersonalDiscountGranted
from domain.pricing.state import DiscountKind, PersonalDiscount, PromoCode
from domain.promo.commands import (
    AnswerPromoReservation,
    PromoOutcome,
    ReleasePromoCode,
    RepeatPromoCall,
    ReservePromoCode,
    SettlePromoCode,
)
from domain.promo.events import (
    PromoUseCallRepeated,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from domain.promo.state import PromoUseStatus
from domain.subscriptions.commands import ChangeAt, ChangePlan
from tests.domain.histories import CLOSED, OPENED, REFUSED, answered, bought_too, paid, place, refund, reported
from tests.domain.spec import HALF, HOUR, LIMITED, ORDER, POLICIES, SECOND, T0, Ids, Spec, given, usd

WITH = place("solaris:own", promo_code="half")
RESERVE = EffectId(derive(ORDER.order, "reserve promo code"))
RELEASE = EffectId(derive(ORDER.order, "release promo code"))
FIRST_REPEAT = POLICIES.call_repeat_delays[0]


def told(outcome: PromoOutcome, effect_id: EffectId = RESERVE, reason: str | None = None) -> AnswerPromoReservation:
    return AnswerPromoReservation(order_id=ORDER.order, effect_id=effect_id, attempt=1, outcome=outcome, reason=reason)


RESERVED = told(PromoOutcome.RESERVED)


def ordered(promo: PromoCode = LIMITED, command: PlaceOrder = WITH) -> Spec:
    return given().when(command, promo_code=promo, command_id=ORDER.command).happens()


def reserved() -> Spec:
    return ordered().when(RESERVED, at=T0).happens()


def use(spec: Spec, ids: Ids = ORDER) -> PromoUseStatus | None:
    held = spec.account.promo_uses.get(ids.order)
    return None if held is None else held.status


class TestOfAnOrder:
    def test_a_part_off(self) -> None:
        event = given().when(WITH, promo_code=HALF).events[0]
        assert (event.discount, event.total) == (usd(500), usd(499))
        assert (event.applied.kind, event.applied.reference) == (DiscountKind.PROMO, "HALF")
        assert event.applied.reason == "The promo code HALF takes 5.00 USD off."

    def test_an_amount_off_is_spread_in_proportion_and_never_more_than_the_price(self) -> None:
        promo = PromoCode(code="HALF", amount=usd(100))
        event = given().when(place("solaris:own", "stalker:rent", promo_code="HALF"), promo_code=promo).events[0]
        assert [line.discount_amount for line in event.lines] == [77, 23]
        promo = PromoCode(code="HALF", amount=usd(10**6))
        event = given().when(place("stalker:rent", promo_code="HALF"), promo_code=promo).events[0]
        assert (event.discount, event.total) == (usd(299), usd(0))

    def test_for_some_products(self) -> None:
        promo = replace(HALF, products=(ProductId("stalker"),))
        event = given().when(place("solaris:own", "stalker:rent", promo_code="HALF"), promo_code=promo).events[0]
        assert [line.discount_amount for line in event.lines] == [0, 150]
        given().when(WITH, promo_code=promo).then_rejected(PromoCodeNotApplicable, reason="it is for stalker")

    def test_for_a_number_of_months(self) -> None:
        promo = replace(HALF, months_min=3)
        order = place("cinema:month", months=3, promo_code="HALF")
        assert given().when(order, promo_code=promo).events[0].discount == usd(1499)
        for other in (place("cinema:month", months=2, promo_code="HALF"), WITH):
            given().when(other, promo_code=promo).then_rejected(PromoCodeNotApplicable)

    def test_of_another_currency(self) -> None:
        promo = PromoCode(code="HALF", amount=Money(amount=100, currency="EUR"))
        given().when(WITH, promo_code=promo).then_rejected(PromoCodeNotApplicable, reason="it is for orders in EUR")

    def test_outside_of_its_time(self) -> None:
        early = replace(HALF, valid_from=T0 + HOUR)
        given().when(WITH, promo_code=early).then_rejected(PromoCodeNotYetValid)
        late = replace(HALF, valid_until=T0)
        given().when(WITH, promo_code=late).then_rejected(PromoCodeExpired, promo_code="HALF")
        assert given().when(WITH, promo_code=replace(HALF, valid_until=T0 + timedelta(seconds=1))).events

    def test_that_nobody_knows_or_that_is_archived(self) -> None:
        given().when(WITH).then_rejected(PromoCodeUnknown, promo_code="half")
        given().when(WITH, promo_code=replace(HALF, active=False)).then_rejected(PromoCodeUnknown)
        given().when(WITH, promo_code=replace(HALF, code="OTHER")).then_rejected(PromoCodeUnknown)

    def test_as_often_as_an_account_may(self) -> None:
        twice = replace(HALF, uses_per_account_max=2)
        spec = given()
        for number, price in enumerate(("solaris:own", "stalker:rent"), start=1):
            order = place(price, promo_code="HALF")
            spec = spec.when(order, promo_code=twice, command_id=f"order {number}").happens()
        third = place("kids:month", promo_code="HALF")
        spec.when(third, promo_code=twice).then_rejected(PromoCodeUsed, promo_code="HALF", uses_max="2")
        ids = Ids("order 1")
        refused = spec.when(answered(ids.checkout, REFUSED, ids=ids)).happens()
        assert refused.when(third, promo_code=twice).events, "an order that died gives its use back"

    def test_a_second_click_is_the_first_order_even_when_the_account_may_use_it_once(self) -> None:
        once = replace(HALF, uses_per_account_max=1)
        spec = given().when(WITH, promo_code=once, command_id=ORDER.command).happens()
        (event,) = spec.when(WITH, promo_code=once).events
        assert event.order_id == ORDER.order


class TestOfALimitedCode:
    def test_the_order_waits_until_a_use_is_reserved(self) -> None:
        decision = given().when(WITH, promo_code=LIMITED, command_id=ORDER.command)
        assert decision.events[1:] == (
            PromoUseRequested(
                order_id=ORDER.order,
                account=AccountId("ann"),
                code="HALF",
                effect_id=RESERVE,
                repeat_at=T0 + FIRST_REPEAT,
                expires_at=T0 + POLICIES.payment_expiry,
            ),
        )
        spec = decision.then_calls(
            SendCommand(
                effect_id=RESERVE,
                attempt=1,
                key="catalog/promo/HALF",
                data=ReservePromoCode(
                    code="HALF", account=AccountId("ann"), order_id=ORDER.order, effect_id=RESERVE, attempt=1
                ),
            )
        )
        assert spec.account.orders[ORDER.order].status is OrderStatus.PENDING
        assert spec.account.payments == {}
        spec.then_waits_for({"RepeatPromoCall": T0 + FIRST_REPEAT, "ExpireOrder": T0 + POLICIES.payment_expiry})

    def test_reserved_the_customer_pays(self) -> None:
        at = T0 + timedelta(seconds=1)
        ordered().when(RESERVED, at=at).then(
            PromoUseHeld(order_id=ORDER.order, code="HALF", is_limited=True),
            PaymentCreated(
                payment_id=ORDER.payment,
                order_id=ORDER.order,
                amount=usd(499),
                provider="stripe",
                effect_id=ORDER.checkout,
                return_url=None,
                save_method=False,
                created_at=at,
                expires_at=at + POLICIES.payment_expiry,
                repeat_at=at + FIRST_REPEAT,
            ),
        ).when(RESERVED, at=at).then_nothing()

    def test_refused_the_order_fails_with_the_reason(self) -> None:
        refused = told(PromoOutcome.REFUSED, reason="promo_code_used_up")
        spec = (
            ordered()
            .when(refused)
            .then(
                PromoUseRefused(order_id=ORDER.order, code="HALF", reason="promo_code_used_up"),
                OrderFailed(order_id=ORDER.order, reason="promo_code_used_up"),
            )
        )
        spec.then_waits_for({})
        assert spec.account.promo_uses == {}
        spec.when(refused).then_nothing()

    def test_unanswered_it_is_asked_again(self) -> None:
        repeat = RepeatPromoCall(order_id=ORDER.order, effect_id=RESERVE, attempt=1)
        at = T0 + FIRST_REPEAT
        decision = ordered().when(repeat, at=at)
        decision.then(
            PromoUseCallRepeated(
                order_id=ORDER.order,
                effect_id=RESERVE,
                attempt=2,
                repeat_at=at + POLICIES.call_repeat_delays[1],
            )
        )
        spec = decision.then_calls(
            SendCommand(
                effect_id=RESERVE,
                attempt=2,
                key="catalog/promo/HALF",
                data=ReservePromoCode(
                    code="HALF", account=AccountId("ann"), order_id=ORDER.order, effect_id=RESERVE, attempt=2
                ),
            )
        )
        spec.when(repeat, at=at).then_nothing()
        given().when(repeat).then_nothing()

    def test_only_the_refusal_of_the_newest_question_counts(self) -> None:
        """A use may have been given back meanwhile, and the second question got it: it must not be lost."""
        repeat = RepeatPromoCall(order_id=ORDER.order, effect_id=RESERVE, attempt=1)
        spec = ordered().when(repeat, at=T0 + FIRST_REPEAT).happens()
        first = told(PromoOutcome.REFUSED, reason="promo_code_used_up")
        spec.when(first).then_nothing().when(replace(first, attempt=2)).happens().then_waits_for({})
        assert use(spec.when(RESERVED).happens()) is PromoUseStatus.HELD

    def test_never_answered_the_order_expires_and_the_use_is_given_back(self) -> None:
        end = T0 + POLICIES.payment_expiry
        expire = ExpireOrder(order_id=ORDER.order)
        ordered().when(expire, at=end - HOUR).then_nothing()
        reserved().when(expire, at=end).then_nothing()
        given().when(expire, at=end).then_nothing()
        decision = ordered().when(expire, at=end)
        decision.then(OrderExpired(order_id=ORDER.order), release_requested(end))
        spec = decision.then_calls(
            SendCommand(
                effect_id=RELEASE,
                attempt=1,
                key="catalog/promo/HALF",
                data=ReleasePromoCode(
                    code="HALF", account=AccountId("ann"), order_id=ORDER.order, effect_id=RELEASE, attempt=1
                ),
            )
        )
        spec.then_waits_for({"RepeatPromoCall": end + FIRST_REPEAT})
        released = told(PromoOutcome.RELEASED, RELEASE)
        spec.when(RESERVED, at=end).then_nothing()
        spec.when(released, at=end).then(PromoUseReleased(order_id=ORDER.order, code="HALF")).then_waits_for({})

    def test_cancelled_before_the_answer_the_use_is_given_back(self) -> None:
        ordered().when(CancelOrder(order_id=ORDER.order)).then(
            OrderCancelled(order_id=ORDER.order), release_requested(T0)
        ).when(CancelOrder(order_id=ORDER.order)).then_rejected(OrderIsCancelled)

    def test_an_order_that_dies_gives_its_use_back(self) -> None:
        page = reserved().when(answered(ORDER.checkout, OPENED)).happens()
        closing = page.when(CancelOrder(order_id=ORDER.order)).happens()
        assert use(closing) is PromoUseStatus.HELD, "until the page is closed it may still be paid"
        for dead in (
            closing.when(answered(ORDER.close, CLOSED)).happens(),
            reserved().when(answered(ORDER.checkout, REFUSED)).happens(),
            page.when(reported(CLOSED)).happens(),
        ):
            assert use(dead) is PromoUseStatus.RELEASING
            assert dead.events[-1] == release_requested(T0)

    def test_paid_the_use_is_final(self) -> None:
        decision = reserved().when(answered(ORDER.checkout, paid(usd(499))))
        settle = EffectId(derive(ORDER.order, "settle promo code"))
        assert decision.events[2] == PromoUseSettled(order_id=ORDER.order, code="HALF", effect_id=settle)
        spec = decision.then_calls(
            SendCommand(
                effect_id=settle,
                attempt=1,
                key="catalog/promo/HALF",
                data=SettlePromoCode(code="HALF", order_id=ORDER.order),
            )
        )
        assert use(spec) is PromoUseStatus.HELD

    def test_paid_after_its_use_was_given_back_the_money_goes_back(self) -> None:
        page = reserved().when(answered(ORDER.checkout, OPENED)).happens()
        dead = page.when(reported(CLOSED)).happens()
        dead = dead.when(told(PromoOutcome.RELEASED, RELEASE)).happens()
        late = dead.when(reported(paid(usd(499)))).happens()
        assert refund(late).amount == usd(499)
        assert late.account.entitlements == {}

    def test_paid_while_its_use_is_being_given_back_the_money_goes_back(self) -> None:
        page = reserved().when(answered(ORDER.checkout, OPENED)).happens()
        late = page.when(reported(CLOSED)).happens().when(reported(paid(usd(499)))).happens()
        assert refund(late).amount == usd(499)

    def test_with_nothing_left_to_pay_it_is_given_when_the_use_is_reserved(self) -> None:
        spec = ordered(replace(LIMITED, basis_points=10_000))
        assert spec.account.entitlements == {}
        given_for_nothing = spec.when(RESERVED)
        assert [type(event).__name__ for event in given_for_nothing.events] == [
            "PromoUseHeld",
            "OrderPaymentWaived",
            "PromoUseSettled",
            "EntitlementGranted",
            "OrderFulfilled",
        ]

    def test_with_nothing_left_to_pay_and_nothing_left_to_give_the_use_is_given_back(self) -> None:
        """Another plan took the role while the promo code was asked."""
        free = replace(LIMITED, basis_points=10_000)
        spec = ordered(free, place("cinema:month", promo_code="half"))
        spec = bought_too(spec, "kids:month", at=T0, ids=SECOND)
        change = ChangePlan(
            subscription_id=SECOND.subscription("kids"),
            price_id=PriceId("cinema-plus:month"),
            at=ChangeAt.NOW,
            provider="stripe",
        )
        ids = Ids("change 1")
        spec = spec.when(change, command_id=ids.command).happens()
        spec = spec.when(answered(ids.checkout, OPENED, ids=ids)).happens()
        spec = spec.when(reported(paid(usd(1499)), payment_id=ids.payment)).happens()
        late = spec.when(RESERVED)
        assert [type(event).__name__ for event in late.events] == [
            "PromoUseHeld",
            "OrderFailed",
            "PromoUseReleaseRequested",
        ]
        assert late.happens().account.orders[ORDER.order].status is OrderStatus.FAILED

    def test_another_discount_that_wins_uses_nothing_up(self) -> None:
        held = PersonalDiscountGranted(
            discount=PersonalDiscount(id=derive("x", "y"), basis_points=9000, reason="?")  # type: ignore[arg-type]
        )
        events = given(held).when(WITH, promo_code=LIMITED).events
        assert [type(event).__name__ for event in events] == ["OrderPlaced", "PaymentCreated"]


def release_requested(at: datetime) -> PromoUseReleaseRequested:
    return PromoUseReleaseRequested(order_id=ORDER.order, code="HALF", effect_id=RELEASE, repeat_at=at + FIRST_REPEAT)


def test_two_orders_of_one_account_are_two_uses() -> None:
    spec = reserved().when(place("stalker:rent", promo_code="HALF"), promo_code=LIMITED, command_id=SECOND.command)
    assert {use(spec.happens()), use(spec.happens(), SECOND)} == {PromoUseStatus.HELD, PromoUseStatus.RESERVING}
