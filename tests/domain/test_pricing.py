"""What an order costs: which discounts apply, and the best of them wins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.effects import AnswerStatus
from domain.errors import DiscountInvalid, DiscountUnknown
from domain.ids import DiscountId, ProductId, derive
from domain.money import EXPONENTS, Money, in_words
from domain.orders.events import OrderPaymentWaived, OrderPlaced
from domain.orders.state import OrderPurpose, OrderStatus
from domain.pricing.commands import DefineMonthsDiscounts, GrantPersonalDiscount, RevokePersonalDiscount
from domain.pricing.decider import define_months
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.pricing.quote import part_of
from domain.pricing.state import AppliedDiscount, DiscountKind, MonthsDiscounts, MonthsStep, PersonalDiscount, PromoCode
from domain.subscriptions.events import RenewalFailed, SubscriptionRenewed
from tests.domain.histories import charge, charge_answered, opened, place, placed, subscribed, subscription, until
from tests.domain.spec import DAY, ORDER, T0, Spec, usd
from tests.domain.spec import given as history

TABLE = MonthsDiscounts(steps=(MonthsStep(months=3, basis_points=1000), MonthsStep(months=6, basis_points=2000)))
DISCOUNT = DiscountId(derive("grant 1", "discount"))


def personal(basis_points: int, **changed: object) -> PersonalDiscount:
    return replace(PersonalDiscount(id=DISCOUNT, basis_points=basis_points, reason="a friend"), **changed)  # type: ignore[arg-type]


def granted(basis_points: int, **changed: object) -> PersonalDiscountGranted:
    return PersonalDiscountGranted(discount=personal(basis_points, **changed))


def ordered(spec: Spec, *prices: str, table: MonthsDiscounts = TABLE, months: int | None = None) -> OrderPlaced:
    events = spec.when(place(*prices, months=months), months_discounts=table, command_id=ORDER.command).events
    assert isinstance(events[0], OrderPlaced)
    return events[0]


class TestByMonths:
    def test_the_example(self) -> None:
        order = ordered(history(), "cinema:month", months=3)
        assert (order.subtotal, order.discount, order.total) == (usd(2997), usd(300), usd(2697))
        assert order.applied == AppliedDiscount(
            kind=DiscountKind.MONTHS,
            reference="months",
            amount=usd(300),
            reason="10 % for 3 months or more takes 3.00 USD off.",
        )

    @pytest.mark.parametrize(
        ("months", "basis_points"), [(None, 0), (1, 0), (2, 0), (3, 1000), (5, 1000), (6, 2000), (36, 2000)]
    )
    def test_the_greatest_step_that_is_reached(self, months: int | None, basis_points: int) -> None:
        order = ordered(history(), "cinema:month", months=months)
        assert order.discount.amount == part_of(order.subtotal.amount, basis_points)

    def test_a_price_for_several_months_counts_them(self) -> None:
        assert ordered(history(), "cinema:quarter").discount == usd(250)

    def test_films_and_days_have_no_months(self) -> None:
        assert ordered(history(), "solaris:own", "cinema:days").applied is None

    def test_each_line_by_its_own_months(self) -> None:
        order = ordered(history(), "solaris:own", "cinema:quarter", "kids:month")
        assert [line.discount_amount for line in order.lines] == [0, 250, 0]
        assert order.total == usd(999 + 2250 + 500)

    def test_the_reason_names_every_step_that_counted(self) -> None:
        command = place("cinema:month", "kids:month")
        months = (6, 3)
        items = tuple(replace(item, months=each) for item, each in zip(command.items, months, strict=True))
        order = history().when(replace(command, items=items), months_discounts=TABLE).events[0]
        assert isinstance(order, OrderPlaced)
        assert order.applied is not None
        assert order.applied.reason == "20 % for 6 months or more and 10 % for 3 months or more takes 13.49 USD off."


class TestTheTable:
    def test_is_replaced(self) -> None:
        steps = (MonthsStep(months=6, basis_points=2000), MonthsStep(months=3, basis_points=1000))
        events = define_months(MonthsDiscounts(), DefineMonthsDiscounts(steps=steps))
        assert events == (MonthsDiscountsDefined(steps=TABLE.steps),)
        assert define_months(TABLE, DefineMonthsDiscounts(steps=steps)) == ()
        assert define_months(TABLE, DefineMonthsDiscounts(steps=())) == (MonthsDiscountsDefined(steps=()),)

    @pytest.mark.parametrize(
        "steps",
        [
            (MonthsStep(months=0, basis_points=1000),),
            (MonthsStep(months=121, basis_points=1000),),
            (MonthsStep(months=3, basis_points=0),),
            (MonthsStep(months=3, basis_points=10_001),),
            (MonthsStep(months=3, basis_points=1), MonthsStep(months=3, basis_points=2)),
            tuple(MonthsStep(months=months, basis_points=1) for months in range(1, 52)),
        ],
    )
    def test_that_makes_no_sense(self, steps: tuple[MonthsStep, ...]) -> None:
        with pytest.raises(DiscountInvalid):
            define_months(TABLE, DefineMonthsDiscounts(steps=steps))


class TestPersonal:
    GRANT = GrantPersonalDiscount(basis_points=1250, reason="a friend", valid_until=T0 + DAY)

    def test_is_given_and_taken_back(self) -> None:
        discount = personal(1250, valid_until=T0 + DAY)
        revoke = RevokePersonalDiscount(discount_id=DISCOUNT)
        spec = history().when(self.GRANT, command_id="grant 1").then(PersonalDiscountGranted(discount=discount))
        assert dict(spec.account.personal_discounts) == {DISCOUNT: discount}
        gone = spec.when(revoke).then(PersonalDiscountRevoked(discount_id=DISCOUNT))
        assert gone.account.personal_discounts == {}
        gone.when(revoke).then_rejected(DiscountUnknown, discount_id=DISCOUNT)

    def test_is_in_the_order_with_its_reason(self) -> None:
        order = ordered(history(granted(1250)), "solaris:own")
        assert (order.discount, order.total) == (usd(125), usd(874))
        assert order.applied == AppliedDiscount(
            kind=DiscountKind.PERSONAL,
            reference=DISCOUNT,
            amount=usd(125),
            reason="Your personal discount of 12.5 % takes 1.25 USD off.",
        )

    @pytest.mark.parametrize(
        ("start", "end", "is_valid"),
        [
            (T0, T0 + DAY, True),
            (T0 - DAY, T0, False),
            (T0 + timedelta(seconds=1), None, False),
            (None, T0 + timedelta(seconds=1), True),
        ],
    )
    def test_while_it_is_valid(self, start: object, end: object, is_valid: bool) -> None:  # noqa: FBT001
        order = ordered(history(granted(1000, valid_from=start, valid_until=end)), "solaris:own")
        assert (order.applied is not None) == is_valid

    def test_for_some_products(self) -> None:
        order = ordered(history(granted(5000, products=(ProductId("solaris"),))), "solaris:own", "stalker:rent")
        assert [line.discount_amount for line in order.lines] == [500, 0]

    @pytest.mark.parametrize(
        "asked",
        [
            GrantPersonalDiscount(basis_points=0, reason="?"),
            GrantPersonalDiscount(basis_points=10_001, reason="?"),
            GrantPersonalDiscount(basis_points=-1, reason="?"),
            GrantPersonalDiscount(basis_points=1000, reason=""),
            GrantPersonalDiscount(basis_points=1000, reason="x" * 201),
            GrantPersonalDiscount(basis_points=1000, reason="?", valid_from=T0, valid_until=T0),
            GrantPersonalDiscount(
                basis_points=1000, reason="?", products=tuple(ProductId(f"p{number}") for number in range(101))
            ),
        ],
    )
    def test_that_makes_no_sense(self, asked: GrantPersonalDiscount) -> None:
        history().when(asked).then_rejected(DiscountInvalid)

    def test_too_many(self) -> None:
        spec = history()
        for number in range(50):
            spec = spec.when(self.GRANT, command_id=f"grant {number}").happens()
        spec.when(self.GRANT).then_rejected(DiscountInvalid)


class TestTheBestWins:
    def test_they_do_not_add_up(self) -> None:
        order = ordered(history(granted(8000)), "cinema:month", months=6)
        assert order.discount == usd(4795)
        assert order.applied is not None
        assert order.applied.reason == (
            "Your personal discount of 80 % takes 47.95 USD off, at least as much as 11.99 USD of 20 % for 6 months "
            "or more; discounts do not add up."
        )

    def test_of_equals_the_promo_code_is_not_used_up(self) -> None:
        promo = PromoCode(code="TEN", basis_points=1000, uses_max=1)
        spec = history(granted(1000))
        events = spec.when(place("solaris:own", promo_code="ten"), promo_code=promo).events
        assert events[0].applied.kind is DiscountKind.PERSONAL
        assert len(events) == 2, "no use is reserved"

    def test_the_larger_sum_over_the_order_counts(self) -> None:
        """5 % of everything is less than 10 % of the plan alone."""
        order = ordered(history(granted(500)), "solaris:own", "cinema:quarter")
        assert order.applied is not None
        assert order.applied.kind is DiscountKind.MONTHS


class TestNothingToPay:
    def test_the_order_is_given_at_once(self) -> None:
        events = history(granted(10_000)).when(place("solaris:own"), command_id=ORDER.command).events
        assert [type(event).__name__ for event in events] == [
            "OrderPlaced",
            "OrderPaymentWaived",
            "EntitlementGranted",
            "OrderFulfilled",
        ]
        assert events[1] == OrderPaymentWaived(
            order_id=ORDER.order, reason="the discount covers the whole price", waived_at=T0
        )
        spec = history(granted(10_000)).when(place("solaris:own"), command_id=ORDER.command).happens()
        assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED
        assert spec.account.payments == {}
        spec.then_waits_for({})

    def test_a_plan_without_a_saved_method_is_renewed_for_nothing_or_asks_for_one(self) -> None:
        free = history(granted(10_000)).when(place("cinema:month"), command_id=ORDER.command).happens()
        at = subscription(free).renew_at
        assert at is not None
        again = until(free, at)
        assert [event for event in again.events if isinstance(event, SubscriptionRenewed)]
        revoked = free.and_given(PersonalDiscountRevoked(discount_id=DISCOUNT))
        assert isinstance(until(revoked, at).events[-1], RenewalFailed)


class TestRenewals:
    """The agreed price, with the discounts that hold when it is charged, and never with the first promo code."""

    def renewed(self, spec: Spec, table: MonthsDiscounts = MonthsDiscounts()) -> OrderPlaced:  # noqa: B008
        at = subscription(spec).renew_at
        assert at is not None
        order = next(
            event
            for event in reversed(until(spec, at, months_discounts=table).events)
            if isinstance(event, OrderPlaced)
        )
        assert order.purpose is OrderPurpose.RENEWAL
        return order

    def test_without_the_promo_code(self) -> None:
        promo = PromoCode(code="HALF", basis_points=5000)
        spec = placed("cinema:month")
        spec = (
            history()
            .when(place("cinema:month", promo_code="HALF"), promo_code=promo, command_id=ORDER.command)
            .happens()
        )
        assert spec.account.orders[ORDER.order].total == usd(499)
        assert self.renewed(subscribed()).total == usd(999)

    def test_with_the_months_of_its_price(self) -> None:
        assert self.renewed(subscribed("cinema:quarter"), TABLE).total == usd(2250)
        assert self.renewed(subscribed("cinema:month", months=6), TABLE).total == usd(999)

    def test_with_the_personal_discount_while_it_is_valid(self) -> None:
        assert self.renewed(subscribed().and_given(granted(1000))).total == usd(899)
        assert self.renewed(subscribed().and_given(granted(1000, valid_until=T0 + DAY))).total == usd(999)

    def test_the_amount_of_the_first_attempt_stays_for_the_others(self) -> None:
        spec = subscribed().and_given(granted(1000))
        at = subscription(spec).renew_at
        assert at is not None
        first = charge_answered(until(spec, at), AnswerStatus.DECLINED, at=at, decline_reason="insufficient_funds")
        later = first.and_given(PersonalDiscountRevoked(discount_id=DISCOUNT))
        retry = subscription(later).renew_at
        assert retry is not None
        assert charge(until(later, retry)).amount == usd(899)


@pytest.mark.parametrize(
    ("amount", "currency", "words"),
    [
        (2697, "USD", "26.97 USD"),
        (5, "USD", "0.05 USD"),
        (-120, "USD", "-1.20 USD"),
        (7, "JPY", "7 JPY"),
        (1, "KWD", "0.001 KWD"),
    ],
)
def test_amounts_in_words(amount: int, currency: str, words: str) -> None:
    assert in_words(Money(amount=amount, currency=currency)) == words
    assert EXPONENTS[currency] in {0, 2, 3}


def test_what_was_placed_keeps_its_discount() -> None:
    spec = history(granted(1000)).when(place("solaris:own"), command_id=ORDER.command).happens()
    later = spec.and_given(PersonalDiscountRevoked(discount_id=DISCOUNT))
    assert later.account.payments[ORDER.payment].amount == usd(899)
    assert opened().account.payments[ORDER.payment].amount == usd(999)
