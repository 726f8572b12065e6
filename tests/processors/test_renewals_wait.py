"""Renewals that are due at once: so many are under way at a time, nothing else waits behind them, none is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from domain.catalog.state import Offer, Product, ProductKind, StillCatalogue
from domain.effects import AnswerStatus, ChargeMethod, ProviderAnswer
from domain.payments.commands import AnswerCall, RepeatCall
from domain.subscriptions.commands import RenewSubscription
from infra.memory.store import MemoryStore
from schemas.envelope import read_effect
from tests.bench.renewal_day import PLAN, PRICE, account_of, purchases
from tests.processors.kit import OFFERS, TOPICS, Bench, buy_dune

if TYPE_CHECKING:
    from processors.journal import Journal
    from schemas.envelope import CommandRecord

CUSTOMERS = 5
TOGETHER = 2
MONTHLY = Product(id=PLAN, kind=ProductKind.SUBSCRIPTION, title="Monthly", role="all", prices={PRICE.id: PRICE})
LEAD = timedelta(days=3)


async def renewal_day() -> tuple[Bench, Journal]:
    """Five customers, who bought a second after one another, and the day on which all of them are due."""
    catalogue = StillCatalogue(prices={**OFFERS, PRICE.id: Offer(product=MONTHLY, price=PRICE)})
    bench = Bench(catalogue=catalogue, renewals_max=TOGETHER)
    journal = await bench.opened()
    for number, command in enumerate(purchases(CUSTOMERS, "cus_1", "pm_1", bench.clock.now())):
        await bench.handle(journal, bench.delivered(command))
        if number % 3 == 2:
            bench.clock.advance(timedelta(seconds=1))
    bench.clock.advance(timedelta(days=27))
    return bench, journal


def renewals(journal: Journal) -> list[CommandRecord]:
    """What of the due timers renews."""
    return [command for command in journal.due_timers() if isinstance(command.data, RenewSubscription)]


def names(commands: list[CommandRecord]) -> list[str]:
    """Whose they are."""
    return [command.key for command in commands]


async def fire(bench: Bench, journal: Journal, commands: list[CommandRecord]) -> None:
    """Decide what was fired."""
    await bench.handle(journal, *map(bench.delivered, commands))


def charges(bench: Bench) -> list[tuple[str, ChargeMethod]]:
    """The charges that the provider was asked for, in their order."""
    effects = (read_effect(record.key, record.value, record.headers) for record in bench.written(TOPICS.effects))
    return [(effect.key, effect.data) for effect in effects if isinstance(effect.data, ChargeMethod)]


async def pay(bench: Bench, journal: Journal, number: int) -> None:
    """The provider's answer to the charge of a customer."""
    key, charge = next(each for each in charges(bench) if each[0] == account_of(number))
    answer = ProviderAnswer(status=AnswerStatus.SUCCEEDED, reference=f"pi_{number}", amount=PRICE.amount)
    answered = AnswerCall(
        payment_id=charge.payment_id, effect_id=charge.effect_id, attempt=charge.attempt, answer=answer
    )
    await bench.handle(journal, bench.incoming(answered, command_id=f"answer {number}", key=key))


async def test_the_longest_due_are_first_and_the_others_wait_for_answers() -> None:
    bench, journal = await renewal_day()
    first = renewals(journal)
    assert names(first) == [account_of(0), account_of(1)]
    assert names(renewals(journal)) == names(first), "what is not decided keeps its room"
    await fire(bench, journal, first)
    assert renewals(journal) == []
    await pay(bench, journal, 1)
    assert names(renewals(journal)) == [account_of(2)]


async def test_another_owner_knows_how_many_are_under_way() -> None:
    bench, journal = await renewal_day()
    first = renewals(journal)
    await fire(bench, journal, first[:1])
    for store in (bench.store, MemoryStore()):
        assert names(renewals(await bench.opened(store))) == [account_of(1)]
    journal = await bench.opened()
    await fire(bench, journal, first)
    assert [key for key, _ in charges(bench)] == names(first), "what was fired twice is charged once"


async def test_all_are_charged_once_and_never_too_many_at_a_time() -> None:
    bench, journal = await renewal_day()
    paid: list[int] = []
    while len(paid) < CUSTOMERS:
        await fire(bench, journal, renewals(journal))
        assert 0 < len(charges(bench)) - len(paid) <= TOGETHER
        await pay(bench, journal, len(paid))
        paid.append(len(paid))
    assert [key for key, _ in charges(bench)] == [account_of(number) for number in range(CUSTOMERS)]
    assert bench.types().count("subscription.renewed") == CUSTOMERS
    assert journal.due_timers() == []


async def test_whatever_else_is_due_does_not_wait_behind_renewals() -> None:
    bench, journal = await renewal_day()
    await fire(bench, journal, renewals(journal))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="order", key="alice"))
    bench.clock.advance(timedelta(seconds=30))
    due = journal.due_timers()
    assert {command.key for command in due} == {account_of(0), account_of(1), "alice"}
    assert {type(command.data) for command in due} == {RepeatCall}


async def test_the_ends_of_periods_come_while_their_renewals_wait() -> None:
    bench, journal = await renewal_day()
    await fire(bench, journal, renewals(journal))
    bench.clock.advance(LEAD + timedelta(days=1))
    await fire(bench, journal, journal.due_timers())
    assert bench.types().count("subscription.grace_started") == CUSTOMERS
    assert bench.types().count("subscription.ended") == 0


async def test_a_provider_that_is_silent_holds_the_others_back_for_a_minute() -> None:
    bench, journal = await renewal_day()
    await fire(bench, journal, renewals(journal))
    bench.clock.advance(timedelta(seconds=55))
    await fire(bench, journal, journal.due_timers())
    assert bench.types().count("payment.call_repeated") == TOGETHER
    assert renewals(journal) == []
    bench.clock.advance(timedelta(seconds=10))
    assert names(renewals(journal)) == [account_of(2), account_of(3)]


async def test_a_timer_whose_command_is_used_up_takes_nobodys_room() -> None:
    bench, journal = await renewal_day()
    for command in renewals(journal):
        await bench.handle(journal, bench.incoming(buy_dune(), command_id=command.id, key=command.key))
    bench.clock.advance(timedelta(minutes=2))
    assert names(renewals(journal)) == [account_of(2), account_of(3)]
