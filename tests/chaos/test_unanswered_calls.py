"""The provider answers twice, late, or never: one page is opened, the money counts once, and nothing waits for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus, CreateCheckout, FetchPayment, ProviderAnswer
from domain.money import Money
from domain.payments.commands import AnswerCall, RepeatCall
from domain.payments.events import PaymentActionRequired, PaymentSucceeded
from schemas.envelope import command_body, command_headers, read_effect, read_event

if TYPE_CHECKING:
    from processors.decisions import Incoming
    from processors.journal import Journal
    from schemas.envelope import EffectRecord
    from tests.chaos.journal_harness import Bench

pytestmark = pytest.mark.chaos

PRICE = Money(amount=499, currency="EUR")


async def effects(bench: Bench) -> list[EffectRecord]:
    return [read_effect(record.key, record.value, record.headers) for record in await bench.read(bench.topics.effects)]


async def happened(bench: Bench, kind: type) -> int:
    events = [read_event(record.key, record.value, record.headers) for record in await bench.read()]
    return sum(isinstance(event.data, kind) for event in events)


async def fire(bench: Bench, journal: Journal) -> list[Incoming]:
    """Let every due timer's command come back over the topic, as the worker's loop does."""
    commands = journal.due_timers()
    batch = [bench.raw(c.key.encode(), command_body(c), command_headers(c)) for c in commands]
    if batch:
        await journal.handle(batch)
    return batch


def answer(effect: EffectRecord, status: AnswerStatus) -> AnswerCall:
    data = effect.data
    paid = status is AnswerStatus.SUCCEEDED
    said = ProviderAnswer(
        status=status,
        reference="cs_1",
        confirmation_url=None if paid else "http://pay.example/cs_1",
        amount=PRICE if paid else None,
    )
    return AnswerCall(payment_id=data.payment_id, effect_id=data.effect_id, attempt=data.attempt, answer=said)


async def test_a_call_that_is_never_answered_is_repeated_with_its_key(bench: Bench) -> None:
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 1))
        for seconds in (20, 60, 300):
            bench.clock.advance(timedelta(seconds=seconds + 1))
            assert len(await fire(bench, journal)) == 1
            assert journal.due_timers() == []  # fired once, and due again only later

        asked = [effect.data for effect in await effects(bench)]
        assert all(isinstance(call, CreateCheckout) for call in asked)
        assert [call.attempt for call in asked] == [1, 2, 3, 4]
        assert len({call.effect_id for call in asked}) == 1

        bench.clock.advance(timedelta(hours=24))
        for _ in range(10):  # at last the provider is asked to close it, and that is repeated too
            await fire(bench, journal)
            bench.clock.advance(timedelta(hours=2))
        assert len(await effects(bench)) > len(asked)

    assert await bench.faults(accepted=bench.offset) == []


async def test_a_timer_that_is_fired_twice_counts_once(bench: Bench) -> None:
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 1))
        bench.clock.advance(timedelta(seconds=21))
        fired = await fire(bench, journal)
        repeated = await journal.handle([bench.again(incoming) for incoming in fired])

    assert repeated.events == []
    assert [effect.data.attempt for effect in await effects(bench)] == [1, 2]


async def test_two_answers_to_one_call_count_once(bench: Bench) -> None:
    """The call was repeated, and both copies are answered: by commands with ids of their own."""
    account = bench.account(0)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 1))
        bench.clock.advance(timedelta(seconds=21))
        await fire(bench, journal)
        first, second = await effects(bench)
        await journal.handle(
            [
                bench.incoming(account, answer(first, AnswerStatus.ACTION_REQUIRED), "answer 1"),
                bench.incoming(account, answer(second, AnswerStatus.ACTION_REQUIRED), "answer 2"),
                bench.incoming(account, answer(first, AnswerStatus.SUCCEEDED), "money 1"),
                bench.incoming(account, answer(second, AnswerStatus.SUCCEEDED), "money 2"),
                bench.incoming(account, answer(first, AnswerStatus.ACTION_REQUIRED), "answer 3, late"),
            ]
        )

    assert await happened(bench, PaymentActionRequired) == 1
    assert await happened(bench, PaymentSucceeded) == 1
    assert await bench.faults(accepted=bench.offset) == []


async def test_a_timer_that_comes_late_does_nothing(bench: Bench) -> None:
    account = bench.account(0)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 1))
        (call,) = await effects(bench)
        late = RepeatCall(payment_id=call.data.payment_id, effect_id=call.data.effect_id, attempt=1)
        await journal.handle([bench.incoming(account, answer(call, AnswerStatus.ACTION_REQUIRED), "answer")])
        await journal.handle([bench.incoming(account, late, "timer")])

    assert len(await effects(bench)) == 1


async def test_a_silent_provider_is_asked(bench: Bench) -> None:
    account = bench.account(0)
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle(bench.orders(0, 1))
        (call,) = await effects(bench)
        await journal.handle([bench.incoming(account, answer(call, AnswerStatus.ACTION_REQUIRED), "answer")])
        bench.clock.advance(timedelta(seconds=61))
        await fire(bench, journal)

    asked = (await effects(bench))[-1].data
    assert isinstance(asked, FetchPayment)
    assert asked.reference == "cs_1"
