"""The preview says what then happens: the same dates and amounts as the renewals themselves."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from domain.effects import AnswerStatus
from domain.errors import DomainError
from domain.ids import DiscountId, PriceId
from domain.pricing.commands import GrantPersonalDiscount
from domain.pricing.quote import Candidates
from domain.pricing.state import DiscountKind, MonthsDiscounts, MonthsStep, PersonalDiscount
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    MigratePrice,
    PauseSubscription,
    ResumeSubscription,
)
from domain.subscriptions.events import SubscriptionRenewed
from domain.subscriptions.preview import RENEWALS_MAX, preview
from tests.domain.histories import END, PLAN, bought_too, charge, charge_answered, subscribed, subscription, until
from tests.domain.spec import DAY, OFFERS, POLICIES, SECOND, T0, Spec, usd

if TYPE_CHECKING:
    from domain.subscriptions.preview import Upcoming

NONE = Candidates()


def upcoming(
    spec: Spec, count: int = RENEWALS_MAX, now: datetime = T0, candidates: Candidates = NONE
) -> tuple[Upcoming, ...]:
    return preview(subscription(spec), candidates, count=count, now=now, prices=OFFERS, policies=POLICIES)


def test_36_renewals_keep_the_anchor_day() -> None:
    found = upcoming(subscribed())
    assert len(found) == 36
    assert [each.period_start.day for each in found[:6]] == [28, 31, 30, 31, 30, 31]
    assert [each.period_start for each in found[1:]] == [each.period_end for each in found[:-1]]
    assert found[0].charge_at == END - 3 * DAY
    assert {each.total for each in found} == {usd(999)}


CHANGES = {
    "nothing": None,
    "plan": ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema-plus:month"), at=ChangeAt.PERIOD_END),
    "days": ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema:days"), at=ChangeAt.PERIOD_END),
    "quarter": ChangePlan(subscription_id=PLAN, price_id=PriceId("cinema:quarter"), at=ChangeAt.PERIOD_END),
    "price": MigratePrice(subscription_id=PLAN, price_id=PriceId("cinema:new"), effective_at=T0 + 70 * DAY),
    "extend": ExtendSubscription(subscription_id=PLAN, days=5, reason="kindness"),
}


@settings(max_examples=25)
@drawn(
    start=st.datetimes(datetime(2027, 1, 1), datetime(2033, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # made UTC
    price=st.sampled_from(["cinema:month", "cinema:quarter", "cinema:days"]),
    changes=st.lists(st.sampled_from(sorted(CHANGES)), max_size=2),
    discount=st.booleans(),
    ahead=st.booleans(),
)
def test_it_is_what_then_happens(
    start: datetime,
    price: str,
    changes: list[str],
    discount: bool,  # noqa: FBT001  # Hypothesis names what it draws
    ahead: bool,  # noqa: FBT001
) -> None:
    spec = subscribed(price, at=start)
    if discount:
        grant = GrantPersonalDiscount(basis_points=1500, reason="kindness", valid_until=start + 100 * DAY)
        spec = spec.when(grant, at=start).happens()
    if ahead:
        spec = bought_too(spec, "cinema:month", at=start, ids=SECOND)
    for number, change in enumerate(changes):
        asked = CHANGES[change]
        if isinstance(asked, MigratePrice):
            asked = MigratePrice(subscription_id=PLAN, price_id=asked.price_id, effective_at=start + timedelta(days=70))
        if asked is not None and getattr(asked, "price_id", None) != price:
            with suppress(DomainError):  # a change that does not fit the others is left out
                spec = spec.when(asked, at=start, command_id=f"change {number}").happens()
    candidates = Candidates(personal=tuple(spec.account.personal_discounts.values()))
    promised = upcoming(spec, 5, start, candidates)
    for each in promised:
        spec = until(spec, each.charge_at)
        payment = charge(spec)
        assert (payment.created_at, payment.amount) == (each.charge_at, each.total)
        spec = charge_answered(spec, AnswerStatus.SUCCEEDED, at=each.charge_at)
        renewed = [event for event in spec.events if isinstance(event, SubscriptionRenewed)][-1]
        assert (renewed.period_start, renewed.period_end) == (each.period_start, each.period_end)
        assert subscription(spec).plan == each.plan


def test_discounts_that_are_known_now() -> None:
    personal = PersonalDiscount(id=DiscountId("d"), basis_points=5000, reason="kindness", valid_until=END + 10 * DAY)
    months = MonthsDiscounts(steps=(MonthsStep(months=1, basis_points=1000),))
    found = upcoming(subscribed(), 3, candidates=Candidates(personal=(personal,), months=months))
    assert [each.total for each in found] == [usd(499), usd(899), usd(899)]
    assert [each.applied.kind for each in found if each.applied] == [
        DiscountKind.PERSONAL,
        DiscountKind.MONTHS,
        DiscountKind.MONTHS,
    ]


@pytest.mark.parametrize("count", [0, 1, 36, 37, 10_000])
def test_never_more_than_36(count: int) -> None:
    assert len(upcoming(subscribed(), count)) == min(count, RENEWALS_MAX)


def test_none_of_what_does_not_renew() -> None:
    assert upcoming(subscribed(auto_renew=False)) == ()
    now = CancelSubscription(subscription_id=PLAN, at=CancelAt.NOW)
    assert upcoming(subscribed().when(now, at=T0 + DAY).happens()) == ()


def test_of_what_is_paused_as_if_it_went_on_now() -> None:
    spec = subscribed().when(PauseSubscription(subscription_id=PLAN), at=T0 + DAY).happens()
    back = T0 + 40 * DAY
    going_on = spec.when(ResumeSubscription(subscription_id=PLAN), at=back).happens()
    assert upcoming(spec, 5, back) == upcoming(going_on, 5, back)


def test_while_a_renewal_is_charged_it_is_the_first() -> None:
    first = END - 3 * DAY
    (one,) = upcoming(until(subscribed(), first), 1, first + timedelta(hours=1))
    assert (one.charge_at, one.period_start) == (first + timedelta(hours=1), END)
