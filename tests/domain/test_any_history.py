"""Whatever commands come, in whatever order, with whatever answers: decisions are total and pure, the laws hold."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.account.state import INITIAL, Account
from domain.decider import Command
from domain.effects import AnswerStatus, ProviderAnswer
from domain.entitlements.commands import EndEntitlement
from domain.ids import CommandId, Resource
from domain.money import Money
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ExpirePayment, RepeatCall, ReportPayment, SweepPayment
from domain.payments.events import PaymentSucceeded
from domain.subscriptions.commands import (
    ChangeAt,
    ChangePlan,
    ContinueSubscription,
    EndPeriod,
    MigratePrice,
    PauseSubscription,
    ResumeSubscription,
    StartTrial,
)
from tests.domain.laws import decided
from tests.domain.spec import OFFERS, POLICIES, T0, Ids, usd

COMMANDS = ["place 1", "place 2", "place 3"]
ids = st.sampled_from([Ids(command) for command in COMMANDS])
amounts = st.sampled_from([usd(999), usd(299), usd(1), Money(amount=999, currency="EUR")])
answers = st.builds(
    ProviderAnswer,
    status=st.sampled_from(AnswerStatus),
    reference=st.sampled_from(["page-1", "page-2", None]),
    confirmation_url=st.sampled_from(["https://pay.example/1", None]),
    amount=amounts | st.none(),
    decline_reason=st.sampled_from(["insufficient_funds", None]),
    hard=st.booleans(),
)
numbers = st.integers(1, 3)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, Any]:
    """A payment and a call that was made for it, or might have been."""
    one = draw(ids)
    return one.payment, draw(st.sampled_from([one.checkout, one.close, one.fetch(1), one.fetch(2)]))


def _of_plans(one: Ids, moment: datetime) -> list[Any]:
    plan = one.subscription("cinema")
    return [
        *(
            ChangePlan(subscription_id=plan, price_id=price_id, at=at, provider="stripe")
            for price_id in OFFERS
            for at in ChangeAt
        ),
        *(MigratePrice(subscription_id=plan, price_id=price_id, effective_at=moment) for price_id in OFFERS),
        *(StartTrial(price_id=price_id) for price_id in OFFERS),
        PauseSubscription(subscription_id=plan),
        ResumeSubscription(subscription_id=plan),
        ContinueSubscription(subscription_id=plan, resume_by=moment),
    ]


@st.composite
def commands(draw: st.DrawFn) -> Any:
    """Any command of the wire."""
    one = draw(ids)
    payment_id, effect_id = draw(calls())
    items = st.builds(OrderItem, price_id=st.sampled_from([*OFFERS, "x:y"]), months=st.none() | st.integers(-1, 40))
    until = T0 + timedelta(days=draw(st.integers(0, 60)))
    return draw(
        st.one_of(
            st.builds(
                PlaceOrder,
                items=st.lists(items, max_size=3).map(tuple),
                provider=st.sampled_from(["stripe", "memory"]),
                auto_renew=st.booleans(),
                expected_total=st.none() | amounts,
            ),
            st.just(PlaceOrder(items=(OrderItem(price_id="stalker:rent"),), provider="stripe")),  # type: ignore[arg-type]
            st.just(PlaceOrder(items=(OrderItem(price_id="cinema:month"),), provider="stripe")),  # type: ignore[arg-type]
            st.just(CancelOrder(order_id=one.order)),
            st.builds(
                AnswerCall,
                payment_id=st.just(payment_id),
                effect_id=st.just(effect_id),
                attempt=numbers,
                answer=answers,
            ),
            st.builds(
                ReportPayment,
                payment_id=st.just(payment_id),
                provider=st.sampled_from(["stripe", "memory"]),
                report_id=st.just("evt"),
                answer=answers,
            ),
            st.builds(RepeatCall, payment_id=st.just(payment_id), effect_id=st.just(effect_id), attempt=numbers),
            st.builds(SweepPayment, payment_id=st.just(payment_id), sweep=numbers),
            st.just(ExpirePayment(payment_id=payment_id)),
            st.sampled_from(_of_plans(one, until)),
            st.just(EndPeriod(subscription_id=one.subscription("cinema"), period_end=until)),
            st.just(EndEntitlement(resource=Resource("film:stalker"), until=until)),
        )
    )


steps = st.tuples(commands(), st.sampled_from(COMMANDS), st.timedeltas(timedelta(0), timedelta(hours=30)))


@given(history=st.lists(steps, max_size=25))
def test_any_history_keeps_the_laws(history: list[tuple[Any, str, timedelta]]) -> None:
    account: Account = INITIAL
    now = T0
    paid: list[str] = []
    for data, command_id, passed in history:
        now += passed
        # Ids repeat on purpose where the engine would know a repeat; an order placed twice under one id is its rule.
        if isinstance(data, PlaceOrder | ChangePlan | StartTrial) and Ids(command_id).order in account.orders:
            continue
        command: Command[Any] = Command(
            id=CommandId(command_id), key="ann", at=now, actor="test", data=data, prices=OFFERS, policies=POLICIES
        )
        account, events, _ = decided(account, command)
        paid += [event.payment_id for event in events if isinstance(event, PaymentSucceeded)]
    assert len(set(paid)) == len(paid), "a payment succeeds once"
