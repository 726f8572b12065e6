"""What waits past its deadline is listed with its cause, by a clock that is given; what goes on is not."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from domain.account.evolve import evolve
from domain.account.state import INITIAL
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.ids import CommandId, PriceId
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import ReportPayment
from domain.policies.reactions import pending
from domain.promo.events import PromoUseCallRepeated, PromoUseHeld, PromoUseReleaseRequested
from domain.refunds.commands import AnswerRefund, RequestRefund
from infra.kafka.standing import DeadLetterSeen, GroupStanding, Letters, Standing, Unread
from projections import overdue
from projections.fold import Batch, Place
from projections.overdue import OverdueKind, OverdueView
from projections.verify import compare_many
from projections.writer import Move
from schemas.codec import encode, type_of
from schemas.envelope import EventRecord, new_command
from tests.domain.histories import place
from tests.domain.spec import ORDER, T0, given
from tests.domain.test_operations import TEN
from tests.projections.histories import TOPIC, project
from tests.sample_log import BEGIN, SampleLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from domain.account.state import Account
    from projections.writer import Writer

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def placed() -> tuple[SampleLog, str, str]:
    log = SampleLog()
    log.do("ada", PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe"))
    (payment,) = log.accounts["ada"].payments.values()
    return log, payment.id, payment.order_id


async def late(connection: AsyncConnection, now: datetime) -> dict[OverdueKind, OverdueView]:
    """What is listed, by kind; the counts agree with it."""
    items = await overdue.list_oldest(connection, now)
    assert await overdue.count(connection, now) == dict.fromkeys((item.kind for item in items), 1)
    return {item.kind: item for item in items}


async def test_nothing_waits_too_long(writer: Writer, connection: AsyncConnection) -> None:
    log, _, _ = placed()
    log.buy("bob")
    log.buy("eve", "premium:month")
    await project(writer, log.records)
    assert await late(connection, log.now + MINUTE) == {}


async def test_a_provider_that_does_not_answer(writer: Writer, connection: AsyncConnection) -> None:
    log, payment_id, _ = placed()
    for _ in range(2):
        repeat = next(timer for timer in pending(log.accounts["ada"]) if timer.name.startswith("repeat"))
        log.now = repeat.due_at
        log.do("ada", repeat.data)
    await project(writer, log.records)
    assert await late(connection, BEGIN + 6 * MINUTE) == {}, "it is being repeated"
    item = (await late(connection, BEGIN + 11 * MINUTE))[OverdueKind.PROVIDER_CALL]
    assert (item.id, item.account, item.noun, item.subject) == (payment_id, "ada", "payment", payment_id)
    asked_at = BEGIN + timedelta(seconds=1)
    assert (item.since, item.deadline, item.attempts) == (asked_at, asked_at + 10 * MINUTE, 3)
    assert item.cause == (
        f"stripe was asked to open the page for payment {payment_id} 3 times since 2026-01-31 12:00:01 UTC "
        "and has not given an answer that settles it."
    )


async def test_an_engine_that_fires_no_timers(writer: Writer, connection: AsyncConnection) -> None:
    log, payment_id, _ = placed()
    await project(writer, log.records)
    item = (await late(connection, BEGIN + 3 * MINUTE))[OverdueKind.TIMER]
    assert (item.id, item.since) == (payment_id, BEGIN + timedelta(seconds=21))
    assert item.cause.startswith(f"Asking stripe again to open the page for payment {payment_id} has been due since")
    assert "no worker owns" in item.cause
    waiting = await overdue.get_waiting(connection, payment_id)
    assert waiting is not None
    assert (waiting.subject, waiting.next_at) == (payment_id, item.since)


async def test_a_payment_of_which_nothing_is_heard(writer: Writer, connection: AsyncConnection) -> None:
    log, payment_id, order_id = placed()
    log.open_page("ada", order_id)
    processing = ProviderAnswer(status=AnswerStatus.PROCESSING, reference=f"cs_{payment_id}")
    (payment,) = log.accounts["ada"].payments.values()
    log.do("ada", ReportPayment(payment_id=payment.id, provider="stripe", report_id="evt", answer=processing))
    await project(writer, log.records)
    assert OverdueKind.SILENT_PAYMENT not in await late(connection, BEGIN + 50 * MINUTE)
    item = (await late(connection, BEGIN + 2 * HOUR))[OverdueKind.SILENT_PAYMENT]
    assert item.cause.startswith(f"stripe has been collecting payment {payment_id} since 2026-01-31 12:00:03 UTC")


async def test_a_refund_of_which_nothing_is_heard(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada")
    (payment,) = log.accounts["ada"].payments.values()
    log.do("ada", RequestRefund(payment_id=payment.id))
    (refund,) = log.accounts["ada"].refunds.values()
    await project(writer, log.records)
    item = (await late(connection, log.now + 11 * MINUTE))[OverdueKind.PROVIDER_CALL]
    assert f"to give the money of refund {refund.id} back" in item.cause
    told = RefundAnswer(status=RefundAnswerStatus.PENDING, reference="re_1")
    log.do("ada", AnswerRefund(refund_id=refund.id, effect_id=None, attempt=1, answer=told))
    await project(writer, log.records[-2:])
    assert OverdueKind.SILENT_REFUND not in await late(connection, log.now + DAY)
    item = (await late(connection, log.now + 4 * DAY))[OverdueKind.SILENT_REFUND]
    assert item.subject == refund.id


async def test_a_renewal_that_was_not_tried(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada", "premium:month")
    (subscription,) = log.accounts["ada"].subscriptions.values()
    await project(writer, log.records)
    assert subscription.renew_at is not None
    assert await late(connection, subscription.renew_at + 59 * MINUTE) == {}, "renewals may wait for each other"
    assert list(await late(connection, subscription.renew_at + HOUR)) == [OverdueKind.RENEWAL]
    items = await late(connection, subscription.period_end + HOUR)
    assert items[OverdueKind.RENEWAL].since == subscription.renew_at
    assert items[OverdueKind.RENEWAL].next_at == subscription.renew_at
    assert items[OverdueKind.TIMER].cause.startswith(f"The end of subscription {subscription.id} has been due since")
    assert {item.id for item in items.values()} == {subscription.id}


async def test_a_promo_code_that_does_not_answer(writer: Writer, connection: AsyncConnection) -> None:
    asked = given().when(place("solaris:own", promo_code="TEN"), command_id=ORDER.command, promo_code=TEN).happens()
    await _project(writer, asked.events)
    item = (await late(connection, T0 + 15 * MINUTE))[OverdueKind.PROMO_RESERVATION]
    assert item.subject == ORDER.order
    assert item.cause.startswith(f"The promo code TEN was asked for a use for order {ORDER.order} 1 time since 2030")


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_uses_of_promo_codes_as_the_fold_has_them(
    steps: int, writer: Writer, connection: AsyncConnection
) -> None:
    asked = given().when(place("solaris:own", promo_code="TEN"), command_id=ORDER.command, promo_code=TEN).happens()
    (use,) = asked.account.promo_uses.values()
    assert use.call is not None
    later: list[Any] = [
        PromoUseCallRepeated(order_id=ORDER.order, effect_id=use.call.effect_id, attempt=2, repeat_at=T0 + HOUR),
        PromoUseHeld(order_id=ORDER.order, code="TEN", is_limited=True),
        PromoUseReleaseRequested(
            order_id=ORDER.order, code="TEN", effect_id=use.call.effect_id, repeat_at=T0 + 2 * HOUR
        ),
    ]
    events = (*asked.events, *later[:steps])
    await _project(writer, events)
    state: Account = reduce(evolve, events, INITIAL)
    told = (await compare_many(connection, {"ann": state}))["ann"]
    assert [sentence for sentence in told if sentence.startswith("deadlines")] == []


async def test_a_command_without_outcome(writer: Writer, connection: AsyncConnection) -> None:
    data = PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe")
    command = new_command(
        command_id=CommandId("the command"), key="ada", time=BEGIN, source="test", actor="user:ada", data=data
    )
    batch = Batch()
    batch.add_command(command, 41)
    await writer.write(batch, [Move(topic=TOPIC, partition=0, expected=await _next(writer), reached=1)])
    assert await late(connection, BEGIN + MINUTE / 2) == {}
    item = (await late(connection, BEGIN + 2 * MINUTE))[OverdueKind.COMMAND]
    assert (item.id, item.account, item.noun) == ("the command", "ada", "command")
    assert item.cause.startswith("billing.order.place of ada was sent at 2026-01-31 12:00:00 UTC and has no outcome")
    found = await overdue.get_pending_command(connection, "the command")
    assert found is not None
    assert found.offset == 41
    assert await overdue.get_waiting(connection, "the command") is None


async def test_the_longest_first_and_never_too_many(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    for number in range(5):
        log.do(f"ada-{number}", PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe"))
    await project(writer, log.records)
    now = BEGIN + 11 * MINUTE
    items = await overdue.list_oldest(connection, now, limit=3)
    assert [item.deadline for item in items] == sorted(item.deadline for item in items)
    assert len(items) == 3
    assert await overdue.count(connection, now) == {OverdueKind.PROVIDER_CALL: 5, OverdueKind.TIMER: 5}
    assert await overdue.get_waiting(connection, "nobody") is None
    assert await overdue.get_waiting(connection, "a\0b") is None


def letter(at: datetime, position: str, reason: str) -> DeadLetterSeen:
    return DeadLetterSeen(
        partition=0, offset=0, at=at, role="engine", topic="billing.commands", position=position, reason=reason
    )


def test_roles_that_are_behind_and_dead_letters() -> None:
    standing = Standing(
        groups=(
            GroupStanding(role="engine", topic="billing.commands", behind=3, waits_for=HOUR),
            GroupStanding(role="gateway", topic="billing.effects", behind=9, waits_for=MINUTE / 2),
        ),
        letters=Letters((letter(BEGIN, "1:2", "the first"), letter(BEGIN + HOUR, "1:3", "no body")), ()),
    )
    behind, letters = overdue.of_standing(standing, BEGIN + 2 * HOUR)
    assert (behind.id, behind.since, behind.is_resumable) == ("consumer-engine", BEGIN + HOUR, False)
    assert behind.cause == "3 records of billing.commands wait for the engine: none runs, or too few."
    assert (letters.kind, letters.since) == (OverdueKind.DEAD_LETTERS, BEGIN)
    assert letters.cause == "The engine could not take 2 records; the newest is billing.commands 1:3: no body."


def test_dead_letters_that_could_not_all_be_read() -> None:
    unread, seen = (Unread(0, 1, 7),), (letter(BEGIN, "1:2", "no body"),)
    (some,) = overdue.of_standing(Standing(groups=(), letters=Letters(seen, unread)), BEGIN + HOUR)
    assert some.cause == "The engine could not take at least 1 record; the newest is billing.commands 1:2: no body."
    (none,) = overdue.of_standing(Standing(groups=(), letters=Letters((), unread)), BEGIN + HOUR)
    assert (none.kind, none.since) == (OverdueKind.DEAD_LETTERS, BEGIN + HOUR)


async def _next(writer: Writer) -> int:
    return (await writer.positions([(TOPIC, 0)]))[TOPIC, 0]


async def _project(writer: Writer, events: tuple[Any, ...]) -> None:
    """Events of the account of the specs, without the records of a log."""
    batch = Batch()
    for number, data in enumerate(events):
        event = EventRecord(
            id=f"event {number}",
            type=type_of(data),
            key="ann",
            time=T0,
            actor="user:ann",
            command_id=CommandId("c"),
            correlation_id="c",
            causation_id="c",
            sequence=number + 1,
            chain_hash="",
            command_offset=0,
            data=data,
            body=encode(data).decode(),
        )
        batch.add_event(event, Place(0, number))
    begin = await _next(writer)
    await writer.write(batch, [Move(topic=TOPIC, partition=0, expected=begin, reached=begin + len(events))])
