"""The gateway on a real broker: what it makes of effects, of bad records and of bad providers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from domain.effects import (
    AnswerStatus,
    ChargeMethod,
    CloseCheckout,
    CreateCheckout,
    FetchPayment,
    ProviderAnswer,
    RefundAnswer,
    RefundAnswerStatus,
    RefundPayment,
)
from domain.payments.commands import AnswerCall
from domain.refunds.commands import AnswerRefund
from domain.reports import ReportPage
from infra.kafka.topics import topics_of
from infra.memory.books import Method
from infra.memory.provider import MemoryProvider
from schemas.codec import encode
from schemas.envelope import headers_of_type
from tests.integration.gateway_harness import (
    Reader,
    account_in,
    answer_id,
    answers,
    charging,
    checkout,
    committed,
    eventually,
    refunding,
    running,
    write_effects,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from domain.effects import Effect
    from infra.settings import Settings


class Scripted:
    """A provider of which a test writes one behaviour for every call."""

    def __init__(self, behaviour: Callable[[Any], Awaitable[Any]], name: str = "scripted") -> None:
        self.name = name
        self._behaviour = behaviour

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        return await self._behaviour(effect)  # type: ignore[no-any-return]  # garbage is what some tests want

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        return await self._behaviour(effect)  # type: ignore[no-any-return]

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        return await self._behaviour(effect)  # type: ignore[no-any-return]

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        return await self._behaviour(effect)  # type: ignore[no-any-return]

    async def refund(self, effect: RefundPayment, *, account: str) -> RefundAnswer:
        return await self._behaviour(effect)  # type: ignore[no-any-return]

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        return ReportPage()

    async def close(self) -> None:
        """Nothing."""


async def test_the_answer_is_a_command_that_names_its_effect(settings: Settings) -> None:
    effect = checkout("one")
    await write_effects(settings, [("ann", effect)])

    async with running(settings, MemoryProvider()):
        found = await answers(settings, 1)

    command = found[answer_id(effect)]
    assert (command.key, command.actor, command.source) == ("ann", "gateway", "billing/gateway")
    assert command.correlation_id == "correlation of ann"
    assert command.causation_id == f"{effect.effect_id}-1"
    assert isinstance(command.data, AnswerCall)
    assert (command.data.payment_id, command.data.attempt) == (effect.payment_id, 1)
    assert command.data.answer.status is AnswerStatus.ACTION_REQUIRED


async def test_every_kind_of_effect_reaches_its_method(settings: Settings) -> None:
    provider = MemoryProvider()
    create = checkout("all")
    reference = f"page-{create.effect_id}"
    common = {"payment_id": create.payment_id, "provider": "memory", "attempt": 1, "reference": reference}
    fetch = FetchPayment(effect_id="fetch", **common)  # type: ignore[arg-type]
    close = CloseCheckout(effect_id="close", **common)  # type: ignore[arg-type]
    provider.methods["card"] = Method(customer_reference="ann's")
    charge = charging("month", customer="ann's", method="card")
    back = refunding("back", charge)
    effects = (create, fetch, close, charge, back)
    await write_effects(settings, [("ann", effect) for effect in effects])

    async with running(settings, provider):
        found = await answers(settings, len(effects))

    assert [found[answer_id(effect)].data.answer.status for effect in effects] == [
        AnswerStatus.ACTION_REQUIRED,
        AnswerStatus.ACTION_REQUIRED,
        AnswerStatus.CLOSED,
        AnswerStatus.SUCCEEDED,
        RefundAnswerStatus.SUCCEEDED,
    ]
    assert tuple(provider.calls) == effects
    told = found[answer_id(back)].data
    assert isinstance(told, AnswerRefund)
    assert (told.refund_id, told.effect_id, told.attempt) == (back.refund_id, back.effect_id, 1)
    assert found[answer_id(back)].correlation_id == "correlation of ann"


async def test_an_aborted_effect_is_never_carried_out(settings: Settings) -> None:
    provider = MemoryProvider()
    aborted, kept = checkout("aborted"), checkout("kept")
    await write_effects(settings, [("ann", aborted)], abort=True)
    await write_effects(settings, [("ann", kept)])

    async with running(settings, provider):
        found = await answers(settings, 1)

    assert list(found) == [answer_id(kept)]
    assert list(provider.calls) == [kept]


async def test_what_is_done_is_committed_and_not_done_again(settings: Settings) -> None:
    provider = MemoryProvider()
    effects = [(f"account-{number}", checkout(str(number))) for number in range(40)]
    await write_effects(settings, effects)

    async with running(settings, provider):
        await answers(settings, 40)
    offsets = await committed(settings)
    last = checkout("last")
    await write_effects(settings, [("ann", last)])
    async with running(settings, provider):
        await answers(settings, 41)

    assert sum(offset or 0 for offset in offsets.values()) >= 40
    assert len(provider.calls) == 41


async def test_one_call_at_a_time_for_an_account_and_many_for_all(settings: Settings) -> None:
    now: dict[str, int] = {}
    most_of_account = most_of_all = 0
    order: dict[str, list[str]] = {}
    gate = asyncio.Event()

    async def slow(effect: CreateCheckout) -> ProviderAnswer:
        nonlocal most_of_account, most_of_all
        account = effect.description
        now[account] = now.get(account, 0) + 1
        most_of_account = max(most_of_account, now[account])
        most_of_all = max(most_of_all, sum(now.values()))
        await gate.wait()
        order.setdefault(account, []).append(effect.effect_id)
        now[account] -= 1
        return ProviderAnswer(status=AnswerStatus.PROCESSING, reference="r")

    def named(account: str, number: int) -> CreateCheckout:
        effect = checkout(f"{account} {number}", provider="scripted")
        return replace(effect, description=account)

    effects = [(account, named(account, number)) for number in range(4) for account in ("a", "b", "c", "d", "e")]
    await write_effects(settings, effects)
    bounded = settings.model_copy(update={"gateway_concurrency": 3})

    async with running(bounded, Scripted(slow)):
        await eventually(lambda: sum(now.values()) == 3, "three calls at once")
        gate.set()
        await answers(settings, 20)

    assert (most_of_account, most_of_all) == (1, 3)
    assert order == {
        account: [effect.effect_id for owner, effect in effects if owner == account] for account in "abcde"
    }


async def test_the_offset_of_an_unfinished_effect_is_not_passed(settings: Settings) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    async def first_hangs(effect: CreateCheckout) -> ProviderAnswer:
        if effect.description == "hangs":
            entered.set()
            await gate.wait()
        return ProviderAnswer(status=AnswerStatus.PROCESSING, reference="r")

    slow, quick = account_in(0, settings.partitions, 0), account_in(0, settings.partitions, 1)
    hanging = replace(checkout("hanging", provider="scripted"), description="hangs")
    others = [(quick, checkout(f"quick {number}", provider="scripted")) for number in range(5)]
    await write_effects(settings, [others[0], (slow, hanging), *others[1:]])

    async with running(settings, Scripted(first_hangs)) as task:
        await entered.wait()
        await answers(settings, 5)
        task.cancel()
        await asyncio.wait({task})
    offsets = await committed(settings)

    assert offsets[0] in {None, 1}, "only the effect before the hanging one is done in its order"
    gate.set()
    async with running(settings, Scripted(first_hangs)):
        found = await answers(settings, 6)
    assert answer_id(hanging) in found


async def test_whatever_a_provider_does_the_answer_is_unknown_and_the_rest_goes_on(settings: Settings) -> None:
    async def misbehave(effect: CreateCheckout) -> Any:
        match effect.description:
            case "raises":
                raise RuntimeError("sk_live_secret in a library's text")
            case "cancels":
                raise asyncio.CancelledError
            case "hangs":
                await asyncio.Event().wait()
            case "hangs on":
                while True:
                    with suppress(asyncio.CancelledError):
                        await gives_up.wait()
                        break
            case "garbage":
                return {"status": "succeeded"}
            case "wrong types":
                return ProviderAnswer(status="paid", amount="9.99")  # type: ignore[arg-type]
            case "surrogate":
                return ProviderAnswer(status=AnswerStatus.REFUSED, detail="\udcff")
            case "huge":
                return ProviderAnswer(status=AnswerStatus.REFUSED, detail="x" * 1_000_000)
            case "answer of another kind":
                return RefundAnswer(status=RefundAnswerStatus.SUCCEEDED)
        return None

    gives_up = asyncio.Event()
    cases = ["raises", "cancels", "hangs", "hangs on", "garbage", "wrong types", "surrogate", "huge"]
    cases.append("answer of another kind")
    effects = {case: replace(checkout(case, provider="scripted"), description=case) for case in cases}
    good = checkout("good")
    await write_effects(settings, [*((case, effect) for case, effect in effects.items()), ("good", good)])

    async with running(settings, Scripted(misbehave), MemoryProvider(), call_timeout_s=1.0):
        found = await answers(settings, len(cases) + 1)
        gives_up.set()

    told = {case: found[answer_id(effect)].data.answer for case, effect in effects.items()}
    assert {answer.status for answer in told.values()} == {AnswerStatus.UNKNOWN}
    assert told["hangs"].detail == "no answer within 1 s"
    assert told["raises"].detail == "the adapter raised RuntimeError"
    assert found[answer_id(good)].data.answer.status is AnswerStatus.ACTION_REQUIRED


async def test_a_refund_in_bad_hands_is_unknown_and_never_failed(settings: Settings) -> None:
    async def misbehave(effect: RefundPayment) -> Any:
        match effect.payment_reference:
            case "raises":
                raise RuntimeError
            case "hangs":
                await asyncio.Event().wait()
            case "answer of another kind":
                return ProviderAnswer(status=AnswerStatus.REFUSED)
            case "wrong types":
                return RefundAnswer(status="gone", reference=7)  # type: ignore[arg-type]
        return None

    cases = ["raises", "hangs", "answer of another kind", "wrong types", "nothing"]
    charge = charging("month", provider="scripted")
    effects = {case: replace(refunding(case, charge), payment_reference=case) for case in cases}
    effects["not configured"] = refunding("lost", charging("lost", provider="acme"))
    await write_effects(settings, list(effects.items()))

    async with running(settings, Scripted(misbehave), call_timeout_s=1.0):
        found = await answers(settings, len(effects))

    told = {case: found[answer_id(effect)].data for case, effect in effects.items()}
    assert all(isinstance(data, AnswerRefund) for data in told.values())
    assert {data.answer.status for data in told.values()} == {RefundAnswerStatus.UNKNOWN}
    assert told["hangs"].answer.detail == "no answer within 1 s"
    assert told["not configured"].answer.detail == "the provider 'acme' is not configured here"


async def test_a_provider_that_is_not_configured_is_unknown(settings: Settings) -> None:
    effects = (checkout("lost", provider="acme"), charging("lost", provider="acme"))
    await write_effects(settings, [("ann", effect) for effect in effects])

    async with running(settings, MemoryProvider()):
        found = await answers(settings, len(effects))

    for effect in effects:
        answer = found[answer_id(effect)].data.answer
        assert answer.status is AnswerStatus.UNKNOWN
        assert answer.detail == "the provider 'acme' is not configured here"


async def test_charges_and_refunds_that_are_written_twice_move_the_money_once(settings: Settings) -> None:
    provider = MemoryProvider()
    provider.methods["card"] = Method(customer_reference="ann's")
    provider.lose_answers = 1
    charge = charging("month", customer="ann's", method="card")
    back = refunding("back", charge)
    written: list[Effect] = [charge, replace(charge, attempt=2), charge, back, replace(back, attempt=2), back]
    await write_effects(settings, [("ann", effect) for effect in written])

    async with running(settings, provider):
        found = await answers(settings, 4)
        await eventually(lambda: len(provider.calls) == 6, "six calls")

    assert found[answer_id(replace(charge, attempt=2))].data.answer.status is AnswerStatus.SUCCEEDED
    assert len(provider.charges) == len(provider.refunds) == 1
    assert next(iter(provider.charges.values())).returned == charge.amount.amount


async def test_an_effect_that_is_written_twice_opens_one_page(settings: Settings) -> None:
    provider = MemoryProvider()
    await write_effects(settings, [("ann", checkout("x")), ("ann", checkout("x")), ("ann", checkout("x", attempt=2))])

    async with running(settings, provider):
        found = await answers(settings, 2)
        await eventually(lambda: len(provider.calls) == 3, "three calls")

    assert len(provider.pages) == 1
    assert set(found) == {answer_id(checkout("x")), answer_id(checkout("x", attempt=2))}


POISON: dict[str, tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = {
    "no key": (None, b"{}", headers_of_type("billing.effect.fetch_payment")),
    "no headers": (b"ann", b"{}", []),
    "no body": (b"ann", None, headers_of_type("billing.effect.fetch_payment")),
    "not JSON": (b"ann", b"\xff\x00", headers_of_type("billing.effect.fetch_payment")),
    "another topic's type": (b"ann", b"{}", headers_of_type("billing.order.place")),
    "unknown type": (b"ann", b"{}", [("ce_type", b"billing.effect.give_away")]),
    "a number too deep": (b"ann", b"[" * 100_000, headers_of_type("billing.effect.fetch_payment")),
    "a float": (
        b"ann",
        encode(checkout("float")).replace(b"999", b"9.99"),
        headers_of_type("billing.effect.create_checkout"),
    ),
    "as large as the broker takes": (b"ann", b"x" * (1024 * 1024 - 500), headers_of_type("billing.order.place")),
}


async def test_a_record_that_cannot_be_read_becomes_a_dead_letter_whole(settings: Settings) -> None:
    topics = topics_of(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, max_request_size=2_000_000)
    await producer.start()
    sent = {}
    for key, value, headers in POISON.values():
        kept = await producer.send_and_wait(topics.effects, key=key, value=value, headers=headers)
        sent[f"{kept.partition}:{kept.offset}"] = (key, value, headers)
    await producer.stop()
    good = checkout("good")
    await write_effects(settings, [("ann", good)])

    async with running(settings, MemoryProvider()), Reader(settings, topics.dead_letters) as reader:
        assert answer_id(good) in await answers(settings, 1)
        letters = await reader.until(lambda records: len(records) >= len(POISON))

    for letter in letters:
        fields = dict(letter.headers)
        where = f"{fields['dead_letter_partition'].decode()}:{fields['dead_letter_offset'].decode()}"
        key, value, headers = sent.pop(where)
        assert (letter.key, letter.value) == (key, value)
        assert [header for header in letter.headers if not header[0].startswith("dead_letter_")] == headers
        assert fields["dead_letter_topic"].decode() == topics.effects
        assert fields["dead_letter_by"] == b"gateway"
        assert fields["dead_letter_reason"]
    assert sent == {}
