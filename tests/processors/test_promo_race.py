"""Many accounts race for the few uses of a promo code, over partitions whose owners die and messages that repeat."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.catalog.state import StillCatalogue
from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import OrderId, PriceId, derive, promo_key
from domain.money import Money
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.orders.events import OrderFailed, OrderFulfilled, OrderPlaced
from domain.payments.commands import AnswerCall
from domain.payments.events import PaymentCreated
from domain.pricing.state import PromoCode
from domain.promo.commands import DefinePromoCode
from domain.promo.events import PromoCodeRefused, PromoCodeReleased, PromoCodeReserved, PromoCodeSettled
from domain.promo.state import PromoCodeUses
from infra.kafka.fenced_log import UnsureError
from infra.memory.log import Trouble
from tests.processors.cluster import Cluster
from tests.processors.kit import OFFERS, TOPICS

if TYPE_CHECKING:
    from schemas.envelope import EventRecord

PRICE = Money(amount=999, currency="USD")
HALF = Money(amount=499, currency="USD")


def cluster(uses: int) -> Cluster:
    promo = PromoCode(code="HALF", basis_points=5000, uses_max=uses)
    made = Cluster(catalogue=StillCatalogue(prices=OFFERS, promo_codes={"HALF": promo}))
    made.send(promo_key("HALF"), DefinePromoCode(promo=promo), "define")
    return made


def buy(made: Cluster, account: str) -> None:
    order = PlaceOrder(items=(OrderItem(price_id=PriceId("dune:usd")),), provider="stripe", promo_code="half")
    made.send(account, order, f"buy {account}")


def order_of(account: str) -> OrderId:
    return OrderId(derive(f"buy {account}", "order"))


def pay(made: Cluster) -> None:
    """Every customer who is asked to pay does."""
    for call in made.calls:
        told = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference=f"page {call.data.payment_id}", amount=HALF)
        answer = AnswerCall(
            payment_id=call.data.payment_id,
            effect_id=call.data.effect_id,
            attempt=call.data.attempt,
            answer=told,
        )
        made.send(call.key, answer, derive(call.data.effect_id, f"answer {call.data.attempt}"))
    made.calls.clear()


def uses_at_every_moment(events: list[EventRecord]) -> list[int]:
    """How many orders had a use, after each event of the code."""
    held: set[str] = set()
    settled, counts = 0, []
    for event in events:
        match event.data:
            case PromoCodeReserved(order_id=order_id):
                held.add(order_id)
            case PromoCodeReleased(order_id=order_id):
                held.discard(order_id)
            case PromoCodeSettled(order_id=order_id):
                held.remove(order_id)
                settled += 1
            case _:
                continue
        counts.append(len(held) + settled)
    return counts


def of(events: list[EventRecord], kind: type) -> list[EventRecord]:
    return [event for event in events if isinstance(event.data, kind)]


async def test_ten_uses_and_a_hundred_buyers() -> None:
    made = cluster(10)
    await made.settle()
    for number in range(100):
        buy(made, f"customer {number}")
    await made.settle()
    assert len(of(made.events(), PaymentCreated)) == 10
    pay(made)
    await made.settle()
    events = made.events()
    assert len(of(events, OrderFulfilled)) == 10
    assert Counter(event.data.reason for event in of(events, OrderFailed)) == {"promo_code_used_up": 90}
    assert max(uses_at_every_moment(events)) == 10
    assert len(of(events, PromoCodeSettled)) == 10


async def test_an_order_that_dies_lets_another_in() -> None:
    made = cluster(1)
    await made.settle()
    buy(made, "ann")
    await made.settle()
    buy(made, "bob")
    await made.settle()
    assert [event.key for event in of(made.events(), OrderFailed)] == ["bob"]
    call = made.calls[0]
    refused = AnswerCall(
        payment_id=call.data.payment_id,
        effect_id=call.data.effect_id,
        attempt=1,
        answer=ProviderAnswer(status=AnswerStatus.REFUSED, detail="no"),
    )
    made.send("ann", refused, "refused")
    await made.settle()
    buy(made, "cid")
    await made.settle()
    assert {event.key for event in of(made.events(), PaymentCreated)} == {"ann", "cid"}


steps = st.one_of(
    st.tuples(st.just("work"), st.integers(0, 2)),
    st.tuples(st.just("work"), st.integers(0, 2)),
    st.tuples(st.just("relay"), st.integers(0, 2)),
    st.tuples(st.just("relay again"), st.integers(0, 2)),
    st.tuples(st.just("lost commit"), st.integers(0, 2)),
    st.tuples(st.just("unanswered commit"), st.integers(0, 2)),
    st.tuples(st.just("crash"), st.integers(0, 2)),
    st.tuples(st.just("time"), st.integers(1, 90)),
    st.tuples(st.just("cancel"), st.integers(0, 11)),
    st.tuples(st.just("buy"), st.integers(0, 11)),
    st.tuples(st.just("pay"), st.just(0)),
)


async def step(made: Cluster, what: str, number: int) -> None:
    match what:
        case "work":
            await made.work(number, 3)
        case "relay" | "relay again":
            made.carry_out(number, repeats=5 if what == "relay again" else 0)
        case "lost commit" | "unanswered commit":
            made.topics.troubles.append(Trouble.LOST if what == "lost commit" else Trouble.UNANSWERED)
            try:
                await made.work(number)
            except UnsureError:
                made.crash(number)
            made.topics.troubles.clear()
        case "crash":
            made.crash(number)
        case "time":
            made.clock.advance(timedelta(minutes=number))
            for partition in range(made.partitions):
                await made.fire(partition)
        case "cancel":
            account = f"customer {number}"
            made.send(account, CancelOrder(order_id=order_of(account)), f"cancel {account}")
        case "buy":
            buy(made, f"customer {number}")
        case _:
            pay(made)


async def race(uses: int, schedule: list[tuple[str, int]]) -> None:
    made = cluster(uses)
    await made.settle()
    for what, number in schedule:
        await step(made, what, number)
        assert max(uses_at_every_moment(made.events()), default=0) <= uses
    for _ in range(60):
        await made.settle()
        pay(made)
        made.clock.advance(timedelta(hours=1))
        for partition in range(made.partitions):
            await made.fire(partition)
    await made.settle()
    events = made.events()
    counts = uses_at_every_moment(events)
    assert max(counts, default=0) <= uses
    placed = of(events, OrderPlaced)
    paid = {event.data.order_id for event in of(events, OrderFulfilled)}
    assert len(paid) <= uses
    state = (await made._owner(made.partition_of(promo_key("HALF"))))._state
    assert state is not None
    code = state.stream(promo_key("HALF")).state
    assert isinstance(code, PromoCodeUses)
    assert not code.reserved, "what died gave its use back, what was paid is final"
    assert code.settled == len(paid)
    if len(paid) < uses:
        released = {event.data.order_id for event in of(events, PromoCodeReleased)}
        refused = {event.data.order_id for event in of(events, PromoCodeRefused)}
        assert {event.data.order_id for event in placed} == paid | released | refused


@settings(max_examples=150)
@given(uses=st.integers(1, 4), schedule=st.lists(steps, max_size=60))
def test_the_limit_holds_under_any_race(uses: int, schedule: list[tuple[str, int]]) -> None:
    with asyncio.Runner() as runner:
        runner.run(race(uses, [("buy", number) for number in range(6)] + schedule))


@pytest.mark.parametrize("account", ["catalog/promo/HALF", "ann"])
async def test_only_the_right_key_takes_a_command(account: str) -> None:
    made = cluster(1)
    if account == "ann":
        made.send("ann", DefinePromoCode(promo=PromoCode(code="X1", basis_points=1)), "wrong")
    else:
        made.send(account, CancelOrder(order_id=OrderId("x")), "wrong")
    await made.settle()
    letters = [r for number in range(made.partitions) for r in made.topics.read(TOPICS.dead_letters, number)]
    assert len(letters) == 1
