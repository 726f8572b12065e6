"""Changes of the plan that `subscribed()` bought, and what became of the money for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from domain.effects import AnswerStatus
from domain.ids import EffectId, PriceId, Resource, derive
from domain.subscriptions.commands import ChangeAt, ChangePlan
from domain.subscriptions.state import Plan
from tests.domain.histories import MIDDLE, PLAN, ROLE, answer, answered, bought, subscribed, subscription
from tests.domain.spec import HOUR, MONTH, Ids, Spec, usd

NEW_END = datetime(2030, 3, 14, 12, 30, tzinfo=UTC)
CHANGE = Ids("change 1")
CHARGE = EffectId(derive(CHANGE.payment, "charge"))


def change(price: str = "cinema-plus:month", at: ChangeAt = ChangeAt.NOW) -> ChangePlan:
    return ChangePlan(subscription_id=PLAN, price_id=PriceId(price), at=at, provider="stripe")


LATER = change(at=ChangeAt.PERIOD_END)
PLUS = Plan(
    product_id=subscription(bought("cinema-plus:month")).product_id,
    price_id=PriceId("cinema-plus:month"),
    title="Cinema-Plus",
    price=usd(1999),
    period=MONTH,
    resource=ROLE,
)
KIDS = replace(
    PLUS,
    product_id=subscription(bought("kids:month")).product_id,
    price_id=PriceId("kids:month"),
    title="Kids",
    price=usd(500),
    resource=Resource("role:kids"),
)


def changing(spec: Spec | None = None, price: str = "cinema-plus:month", at: datetime = MIDDLE) -> Spec:
    """A change now whose difference is being charged."""
    return (spec or subscribed()).when(change(price), at=at, command_id=CHANGE.command).happens()


def told(status: AnswerStatus, amount: int = 1500, **fields: object) -> object:
    found = answer(status, reference="ch_1", amount=usd(amount) if status is AnswerStatus.SUCCEEDED else None, **fields)
    return answered(CHARGE, found, ids=CHANGE)


def changed(spec: Spec | None = None) -> Spec:
    """A change now whose difference was paid."""
    return (spec or changing()).when(told(AnswerStatus.SUCCEEDED), at=MIDDLE + HOUR).happens()
