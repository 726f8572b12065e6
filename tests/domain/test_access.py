"""What money gives, and when it ends: entitlements and subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from domain.calendar import Period, PeriodUnit
from domain.entitlements.commands import EndEntitlement
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.orders.events import OrderFulfilled
from domain.subscriptions.commands import EndPeriod
from domain.subscriptions.events import SubscriptionEnded, SubscriptionStarted
from tests.domain.histories import OPENED, answered, bought, opened, paid, place, placed, reported
from tests.domain.spec import DAY, HOUR, MONTH, ORDER, SECOND, T0, Spec, given, usd

FILM = Resource("film:solaris")
RENTED = Resource("film:stalker")
ROLE = Resource("role:cinema")
FEBRUARY_END = datetime(2030, 2, 28, 12, 30, tzinfo=UTC)


def granted(resource: Resource, until: datetime | None) -> EntitlementGranted:
    return EntitlementGranted(
        resource=resource, until=until, reason="purchase", order_id=OrderId("earlier"), subscription_id=None
    )


def ends(spec: Spec) -> dict[Resource, datetime | None]:
    return {resource: held.until for resource, held in spec.account.entitlements.items()}


def test_there_is_no_access_before_the_money() -> None:
    for spec in (placed("solaris:own", "cinema:month"), opened("solaris:own", "cinema:month")):
        assert not spec.account.entitlements
        assert not spec.account.subscriptions


def test_a_film_is_given_for_ever() -> None:
    assert ends(bought("solaris:own")) == {FILM: None}


def test_a_film_with_a_validity_is_given_from_the_payment_on() -> None:
    assert ends(bought("stalker:rent", at=T0 + HOUR)) == {RENTED: T0 + HOUR + 2 * DAY}


def test_a_film_that_is_held_longer_is_not_shortened() -> None:
    for until in (None, T0 + 30 * DAY):
        spec = placed("stalker:rent").and_given(granted(RENTED, until))
        assert ends(spec.when(answered(ORDER.checkout, paid(usd(299)))).happens()) == {RENTED: until}


def test_a_plan_begins_with_the_payment() -> None:
    start = T0 + HOUR
    events = opened("cinema:month").when(reported(paid()), at=start).events
    assert events[2:] == (
        SubscriptionStarted(
            subscription_id=ORDER.subscription("cinema"),
            order_id=ORDER.order,
            product_id=ProductId("cinema"),
            price_id=PriceId("cinema:month"),
            price=usd(999),
            period=MONTH,
            resource=ROLE,
            auto_renew=True,
            period_start=start,
            period_end=FEBRUARY_END + HOUR,
        ),
        EntitlementGranted(
            resource=ROLE,
            until=FEBRUARY_END + HOUR,
            reason="subscription",
            order_id=ORDER.order,
            subscription_id=ORDER.subscription("cinema"),
        ),
        OrderFulfilled(order_id=ORDER.order),
    )


def test_several_months_are_one_period() -> None:
    (subscription,) = bought("cinema:month", months=3).account.subscriptions.values()
    assert subscription.period == Period(count=3, unit=PeriodUnit.MONTH)
    assert subscription.period_end == datetime(2030, 4, 30, 12, 30, tzinfo=UTC)
    (subscription,) = bought("cinema:quarter", months=6).account.subscriptions.values()
    assert subscription.period == Period(count=6, unit=PeriodUnit.MONTH)


def test_a_plan_by_the_day() -> None:
    (subscription,) = bought("cinema:days").account.subscriptions.values()
    assert subscription.period_end == T0 + timedelta(days=30)


def test_everything_in_an_order_is_given() -> None:
    spec = bought("solaris:own", "stalker:rent", "cinema:month", "kids:month")
    assert set(ends(spec)) == {FILM, RENTED, ROLE, Resource("role:kids")}
    assert len(spec.account.subscriptions) == 2


def test_a_plan_bought_again_begins_where_the_paid_time_ends() -> None:
    first = bought("cinema:month")
    second = (
        first.when(place("cinema:month"), at=T0 + DAY, command_id=SECOND.command)
        .happens()
        .when(answered(SECOND.checkout, OPENED, ids=SECOND), at=T0 + DAY)
        .happens()
        .when(reported(paid(), payment_id=SECOND.payment), at=T0 + DAY)
        .happens()
    )
    subscription = second.account.subscriptions[SECOND.subscription("cinema")]
    assert subscription.period_start == FEBRUARY_END
    assert subscription.period_end == datetime(2030, 3, 28, 12, 30, tzinfo=UTC)
    assert ends(second) == {ROLE: subscription.period_end}
    # The end of the first period takes nothing away.
    first_end = EndEntitlement(resource=ROLE, until=FEBRUARY_END)
    second.when(first_end, at=FEBRUARY_END).then_nothing()


def test_a_plan_bought_again_after_its_end_begins_with_the_payment() -> None:
    spec = placed("cinema:month").and_given(granted(ROLE, T0 - HOUR))
    paid_spec = spec.when(answered(ORDER.checkout, paid()), at=T0).happens()
    assert paid_spec.account.subscriptions[ORDER.subscription("cinema")].period_start == T0


class TestTheEndOfAPeriod:
    END = EndPeriod(subscription_id=ORDER.subscription("cinema"), period_end=FEBRUARY_END)

    def test_ends_the_subscription(self) -> None:
        bought("cinema:month").when(self.END, at=FEBRUARY_END + HOUR).then(
            SubscriptionEnded(subscription_id=self.END.subscription_id, ended_at=FEBRUARY_END)
        ).when(self.END, at=FEBRUARY_END + HOUR).then_nothing()

    def test_that_has_not_come(self) -> None:
        bought("cinema:month").when(self.END, at=FEBRUARY_END - HOUR).then_nothing()

    def test_of_another_period(self) -> None:
        other = EndPeriod(subscription_id=self.END.subscription_id, period_end=FEBRUARY_END - DAY)
        bought("cinema:month").when(other, at=FEBRUARY_END).then_nothing()

    def test_of_a_subscription_that_nobody_knows(self) -> None:
        given().when(EndPeriod(subscription_id=SubscriptionId("x"), period_end=T0)).then_nothing()


class TestTheEndOfAnEntitlement:
    UNTIL = T0 + 2 * DAY
    END = EndEntitlement(resource=RENTED, until=UNTIL)

    def test_takes_the_access_back(self) -> None:
        spec = bought("stalker:rent").when(self.END, at=self.UNTIL + HOUR)
        ended = spec.then(EntitlementEnded(resource=RENTED, ended_at=self.UNTIL))
        assert ends(ended) == {}
        ended.when(self.END, at=self.UNTIL + HOUR).then_nothing()

    def test_that_has_not_come(self) -> None:
        bought("stalker:rent").when(self.END, at=self.UNTIL - HOUR).then_nothing()

    def test_that_was_moved(self) -> None:
        moved = EndEntitlement(resource=RENTED, until=self.UNTIL - HOUR)
        bought("stalker:rent").when(moved, at=self.UNTIL).then_nothing()

    def test_of_what_is_held_for_ever(self) -> None:
        bought("solaris:own").when(EndEntitlement(resource=FILM, until=T0)).then_nothing()

    def test_of_what_is_not_held(self) -> None:
        given().when(self.END, at=self.UNTIL).then_nothing()
