"""What money gives, and when it ends: entitlements and subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from domain.calendar import Period, PeriodUnit
from domain.entitlements.commands import EndEntitlement
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.errors import PlanChangeNeeded
from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.orders.events import OrderFulfilled, OrderPaid
from domain.orders.state import OrderStatus
from domain.pricing.quote import Candidates
from domain.subscriptions.commands import EndPeriod
from domain.subscriptions.events import SubscriptionEnded, SubscriptionStarted
from domain.subscriptions.preview import preview
from tests.domain.histories import (
    END,
    FILM,
    METHOD_FIELDS,
    ROLE,
    answered,
    bought,
    bought_too,
    cancelling,
    opened,
    paid,
    paid_period,
    place,
    placed,
    reported,
    subscription,
    until,
)
from tests.domain.spec import AGREED, DAY, HOUR, MONTH, OFFERS, ORDER, POLICIES, SECOND, T0, Spec, given, usd

if TYPE_CHECKING:
    from domain.subscriptions.state import Subscription

RENTED = Resource("film:stalker")


def granted(resource: Resource, until: datetime | None) -> EntitlementGranted:
    return EntitlementGranted(
        resource=resource, until=until, reason="purchase", order_id=OrderId("earlier"), subscription_id=None
    )


def ends(spec: Spec) -> dict[Resource, datetime | None]:
    return {resource: held.until for resource, held in spec.account.entitlements.items()}


def renewals_end(held: Subscription, count: int) -> list[datetime]:
    """When the periods end that the next renewals bring."""
    upcoming = preview(held, Candidates(), count=count, now=T0, prices=OFFERS, policies=POLICIES)
    return [each.period_end for each in upcoming]


def test_there_is_no_access_before_the_money() -> None:
    for spec in (placed("solaris:own", "cinema:month"), opened("solaris:own", "cinema:month")):
        assert not spec.account.entitlements
        assert not spec.account.subscriptions


def test_a_film_is_given_for_ever() -> None:
    assert ends(bought("solaris:own")) == {FILM: None}


def test_a_film_with_a_validity_is_given_from_the_payment_on() -> None:
    assert ends(bought("stalker:rent", at=T0 + HOUR)) == {RENTED: T0 + HOUR + 2 * DAY}


def test_a_film_that_is_held_longer_is_not_shortened() -> None:
    for end in (None, T0 + 30 * DAY):
        spec = placed("stalker:rent").and_given(granted(RENTED, end))
        kept = spec.when(answered(ORDER.checkout, paid(usd(299)))).happens()
        assert ends(kept) == {RENTED: end}


def test_a_plan_begins_with_the_payment() -> None:
    start = T0 + HOUR
    end = END + HOUR
    events = opened("cinema:month").when(reported(paid(**METHOD_FIELDS)), at=start).events
    assert events[2:] == (
        OrderPaid(order_id=ORDER.order, payment_id=ORDER.payment, paid_at=start),
        SubscriptionStarted(
            subscription_id=ORDER.subscription("cinema"),
            order_id=ORDER.order,
            product_id=ProductId("cinema"),
            price_id=PriceId("cinema:month"),
            title="Cinema",
            price=usd(999),
            period=MONTH,
            periods=1,
            resource=ROLE,
            auto_renew=True,
            period_start=start,
            period_end=end,
            access_end=end + POLICIES.grace,
            renew_at=end - 3 * DAY,
            paid=(paid_period(ORDER, start, end),),
            terms=AGREED,
        ),
        EntitlementGranted(
            resource=ROLE,
            until=end + POLICIES.grace,
            reason="subscription",
            order_id=ORDER.order,
            subscription_id=ORDER.subscription("cinema"),
        ),
        OrderFulfilled(order_id=ORDER.order),
    )


def test_a_plan_that_does_not_renew_has_no_grace() -> None:
    spec = bought("cinema:month", auto_renew=False)
    assert subscription(spec).renew_at is None
    assert ends(spec) == {ROLE: END}


def test_several_months_are_one_paid_period_and_renew_by_one() -> None:
    held = subscription(bought("cinema:month", months=3))
    assert held.period == MONTH
    assert held.period_end == datetime(2030, 4, 30, 12, 30, tzinfo=UTC)
    assert held.paid == (paid_period(ORDER, T0, held.period_end, 2997),)
    assert renewals_end(held, 2) == [
        datetime(2030, 5, 31, 12, 30, tzinfo=UTC),
        datetime(2030, 6, 30, 12, 30, tzinfo=UTC),
    ]
    held = subscription(bought("cinema:quarter", months=6))
    assert held.period == Period(count=3, unit=PeriodUnit.MONTH)
    assert held.period_end == datetime(2030, 7, 31, 12, 30, tzinfo=UTC)


def test_a_plan_by_the_day() -> None:
    (subscription,) = bought("cinema:days").account.subscriptions.values()
    assert subscription.period_end == T0 + timedelta(days=30)


def test_everything_in_an_order_is_given() -> None:
    spec = bought("solaris:own", "stalker:rent", "cinema:month", "kids:month")
    assert set(ends(spec)) == {FILM, RENTED, ROLE, Resource("role:kids")}
    assert len(spec.account.subscriptions) == 2


class TestAPlanBoughtAgain:
    """The paid time is joined without a gap; the agreed price stays; whether it renews is said anew."""

    AT = T0 + DAY

    def test_the_new_period_begins_where_the_old_one_ends(self) -> None:
        spec = bought_too(bought("cinema:month"), "cinema:month", at=self.AT, ids=SECOND)
        held = subscription(spec)
        march_end = datetime(2030, 3, 31, 12, 30, tzinfo=UTC)
        assert (held.period_start, held.period_end) == (END, march_end)
        assert held.renew_at == march_end - 3 * DAY
        assert ends(spec) == {ROLE: march_end + POLICIES.grace}
        assert held.paid == (
            paid_period(ORDER, T0, END),
            paid_period(SECOND, END, march_end),
        )
        # The end of the first period takes nothing away.
        first_end = EndPeriod(subscription_id=held.id, period_end=END)
        spec.when(first_end, at=END).then_nothing()

    def test_by_a_price_for_another_number_of_months(self) -> None:
        spec = bought_too(bought("cinema:month"), "cinema:quarter", at=self.AT, ids=SECOND)
        held = subscription(spec)
        assert held.period_end == datetime(2030, 5, 31, 12, 30, tzinfo=UTC)
        assert (held.price, held.period) == (usd(999), MONTH)

    def test_by_a_price_for_days(self) -> None:
        held = subscription(bought_too(bought("cinema:month"), "cinema:days", at=self.AT, ids=SECOND))
        assert held.period_end == END + 30 * DAY
        assert renewals_end(held, 1) == [datetime(2030, 4, 30, 12, 30, tzinfo=UTC)]

    def test_whether_it_renews_is_said_anew(self) -> None:
        off = bought_too(bought("cinema:month"), "cinema:month", at=self.AT, ids=SECOND, auto_renew=False)
        assert (subscription(off).auto_renew, subscription(off).renew_at) == (False, None)
        on = bought_too(
            bought("cinema:month", auto_renew=False), "cinema:month", at=self.AT, ids=SECOND, auto_renew=True
        )
        assert subscription(on).auto_renew
        assert subscription(on).renew_at == subscription(on).period_end - 3 * DAY

    def test_after_its_end_it_begins_with_the_payment(self) -> None:
        over = until(bought("cinema:month", auto_renew=False), END)
        later = END + 10 * DAY
        spec = bought_too(over, "cinema:month", at=later, ids=SECOND)
        held = spec.account.subscriptions[SECOND.subscription("cinema")]
        assert (held.period_start, held.period_end) == (later, datetime(2030, 4, 10, 12, 30, tzinfo=UTC))
        assert ends(spec) == {ROLE: held.access_end}

    def test_of_another_product_with_the_same_role(self) -> None:
        bought("cinema:month").when(place("cinema-plus:month"), at=self.AT).then_rejected(
            PlanChangeNeeded, subscription_id=ORDER.subscription("cinema")
        )
        over = until(bought("cinema:month", auto_renew=False), END)
        assert over.when(place("cinema-plus:month"), at=END, command_id=SECOND.command).events

    def test_two_orders_of_one_plan_make_one_subscription(self) -> None:
        """The first was being given up when the second was placed, and then both were paid."""
        spec = cancelling("cinema:month")
        spec = bought_too(spec, "cinema:month", at=self.AT, ids=SECOND)
        spec = spec.when(answered(ORDER.close, paid()), at=self.AT + HOUR).happens()
        held = subscription(spec)
        assert [period.order_id for period in held.paid] == [SECOND.order, ORDER.order]
        assert spec.account.orders[ORDER.order].status is OrderStatus.FULFILLED


class TestTheEndOfAPeriod:
    END = EndPeriod(subscription_id=ORDER.subscription("cinema"), period_end=END)

    def test_ends_the_subscription(self) -> None:
        bought("cinema:month", auto_renew=False).when(self.END, at=END + HOUR).then(
            SubscriptionEnded(subscription_id=self.END.subscription_id, ended_at=END),
            EntitlementEnded(resource=ROLE, ended_at=END),
        ).when(self.END, at=END + HOUR).then_nothing()

    def test_that_has_not_come(self) -> None:
        bought("cinema:month").when(self.END, at=END - HOUR).then_nothing()

    def test_of_another_period(self) -> None:
        other = EndPeriod(subscription_id=self.END.subscription_id, period_end=END - DAY)
        bought("cinema:month").when(other, at=END).then_nothing()

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
