"""The journal: every command decided exactly once, whatever happens to its writer, its store or its commits."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from domain.catalog.commands import DefineProduct
from domain.catalog.state import ProductKind, StillCatalogue
from domain.grants.commands import GiveGrant
from domain.ids import CommandId, OrderId, PaymentId, PriceId, ProductId, Resource
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import ExpirePayment
from domain.policies.settings import Policies
from domain.pricing.commands import GrantPersonalDiscount
from domain.refunds.commands import RequestRefund
from infra.kafka.fenced_log import FencedError, Record, UnsureError
from infra.kafka.log_reader import partition_of
from infra.memory.log import Trouble
from infra.memory.store import MemoryStore
from infra.rocksdb.store import RocksStore
from processors.decisions import Incoming
from processors.journal import TIMERS_MAX
from processors.partition import LogMismatchError
from schemas.codec import BODY_BYTES_MAX, decode, encode
from schemas.envelope import command_body, command_headers, new_command
from schemas.messages import PUBLIC, CommandRejected, EntitlementsRecord
from tests.processors.kit import NOON, TOPICS, Bench, buy_dune, paid

if TYPE_CHECKING:
    from processors.journal import Journal

CANCEL = new_command(
    command_id=CommandId("c0"),
    key="a",
    time=NOON,
    source="test",
    actor="a",
    data=CancelOrder(order_id=OrderId("nobody's")),
)
FAR_EAST, FAR_WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-14))
PLACED = ["order.placed", "payment.created", "command.accepted"]
PAID = ["payment.succeeded", "order.paid", "entitlement.granted", "order.fulfilled", "command.accepted"]


async def test_a_purchase_is_written_with_its_effect_and_its_public_record() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    created = bench.events()[1].data
    await bench.handle(journal, bench.incoming(paid(created.payment_id, created.effect_id), command_id="c2"))
    assert bench.types() == PLACED + PAID
    assert len(bench.written(TOPICS.effects)) == 1
    (public,) = bench.written(TOPICS.entitlements)
    record: EntitlementsRecord = decode("billing.entitlements.current", public.value, PUBLIC)
    assert [(item.resource, item.until, item.reason) for item in record.items] == [("film:dune", None, "purchase")]


async def test_sequence_and_chain_join_all_events_of_an_account_and_of_no_other() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(
        journal,
        bench.incoming(buy_dune(), command_id="c1"),
        bench.incoming(buy_dune(), command_id="c2", key="bob"),
        bench.incoming(buy_dune(), command_id="c3"),
    )
    for account in ("alice", "bob"):
        previous = "0" * 64
        records = [record for record in bench.written(TOPICS.events) if record.key == account.encode()]
        for number, record in enumerate(records, start=1):
            headers = dict(record.headers)
            assert headers["sequence"] == str(number).encode()
            parts = (previous.encode(), headers["ce_id"], headers["ce_type"], headers["ce_time"], record.value)
            previous = hashlib.sha256(b"\0".join(parts)).hexdigest()
            assert headers["chain_hash"] == previous.encode()


async def test_a_command_delivered_again_changes_nothing() -> None:
    bench = Bench()
    journal = await bench.opened()
    command = bench.incoming(buy_dune(), command_id="c1")
    await bench.handle(journal, command, command)
    decided = await bench.handle(journal, command)
    assert bench.types() == PLACED
    assert decided.repeated == 1


async def test_the_same_id_with_another_body_is_kept_for_people_and_decided_once() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1", body_hash="a"))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1", body_hash="b"))
    assert bench.types() == PLACED
    (letter,) = bench.written(TOPICS.dead_letters)
    assert b"another body" in dict(letter.headers)["dead_letter_reason"]


@pytest.mark.parametrize(
    "poison",
    [
        Incoming(TOPICS.commands, 0, 7, None, b"{}", []),
        Incoming(TOPICS.commands, 0, 7, b"alice", None, []),
        Incoming(TOPICS.commands, 0, 7, b"alice", b"\xff\x00", [("ce_type", b"billing.order.place")]),
        Incoming(TOPICS.commands, 0, 7, b"\xff", b"{}", [("ce_type", b"\xff")]),
        Incoming(TOPICS.commands, 0, 7, b"a" * 300, b"{}", []),
        Incoming(TOPICS.commands, 0, 7, b"a\0", command_body(CANCEL), command_headers(CANCEL)),
        Incoming(TOPICS.commands, 0, 7, b"a", command_body(CANCEL), [*command_headers(CANCEL), ("actor", b"a\0")]),
    ],
)
async def test_a_poison_record_is_kept_whole_and_holds_nothing_back(poison: Incoming) -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, poison, bench.incoming(buy_dune(), command_id="c1"))
    assert bench.types() == PLACED
    (letter,) = bench.written(TOPICS.dead_letters)
    assert (letter.key, letter.value) == (poison.key, poison.value)
    assert dict(letter.headers)["dead_letter_offset"] == b"7"


@pytest.mark.parametrize(
    "data",
    [
        GrantPersonalDiscount(basis_points=100, reason="?", valid_from=datetime(1, 1, 1, tzinfo=FAR_EAST)),
        GiveGrant(resource=Resource("film:dune"), reason="?", until=datetime(9999, 12, 31, 20, tzinfo=FAR_WEST)),
        RequestRefund(payment_id=PaymentId("nobody's"), amount=10**30, reason="?", by_manager=True),
        RequestRefund(payment_id=PaymentId("nobody's"), amount=1, reason="\0", by_manager=True),
    ],
    ids=["before the calendar", "after the calendar", "beyond 64 bits", "the zero character"],
)
async def test_what_no_store_can_hold_is_a_dead_letter_and_stops_nobody(data: Any) -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(data, command_id="hostile"))
    assert [letter.value for letter in bench.written(TOPICS.dead_letters)] == [encode(data)]
    assert bench.types() == []
    journal = await bench.opened(MemoryStore())
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c2"))
    assert bench.types()[-1] == "command.accepted"


async def test_a_refusal_of_something_huge_is_small() -> None:
    bench = Bench()
    journal = await bench.opened()
    huge = PlaceOrder(items=(OrderItem(price_id=PriceId("x" * (BODY_BYTES_MAX - 1000))),), provider="stripe")
    await bench.handle(journal, bench.incoming(huge, command_id="c1"))
    (refused,) = bench.events()
    assert refused.data.code == "price_unknown"
    assert len(refused.body) < 10_000
    await bench.opened(MemoryStore())


async def test_a_decision_that_no_record_can_hold_is_kept_for_people_and_stops_nobody() -> None:
    bench = Bench()
    journal = await bench.opened()
    huge = replace(buy_dune(), return_url="https://cinema.example/" + "x" * (BODY_BYTES_MAX - 200))
    await bench.handle(journal, bench.incoming(huge, command_id="c1"), bench.incoming(buy_dune(), command_id="c2"))
    assert bench.types() == ["command.rejected", *PLACED]
    assert bench.events()[0].data.code == "decision_failed"
    (letter,) = bench.written(TOPICS.dead_letters)
    assert letter.value == encode(huge)
    assert len(bench.written(TOPICS.effects)) == 1
    await bench.opened(MemoryStore())


async def test_a_command_under_a_key_that_is_not_its_own_is_kept_for_people() -> None:
    bench = Bench()
    journal = await bench.opened()
    define = DefineProduct(product_id=ProductId("dune"), kind=ProductKind.FILM, title="Dune", prices=())
    await bench.handle(
        journal,
        bench.incoming(define, command_id="c1", key="alice"),
        bench.incoming(define, command_id="c2", key="catalog/product/other"),
        bench.incoming(buy_dune(), command_id="c3", key="catalog/product/dune"),
    )
    assert bench.types() == []
    assert len(bench.written(TOPICS.dead_letters)) == 3


async def test_a_command_in_another_partition_than_its_key_begins_no_second_history() -> None:
    bench = Bench(partitions=8)
    journal = await bench.opened()
    home = next(key for key in map(str, range(100)) if partition_of(key.encode(), 8) == 0)
    stray = next(key for key in map(str, range(100)) if partition_of(key.encode(), 8) != 0)
    orders = [bench.incoming(buy_dune(), command_id=key, key=key) for key in (stray, home)]
    await bench.handle(journal, *orders)
    assert {event.key for event in bench.events()} == {home}
    (letter,) = bench.written(TOPICS.dead_letters)
    assert letter.key == stray.encode()


async def test_a_broken_rule_is_an_outcome() -> None:
    bench = Bench(catalogue=StillCatalogue())
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    (event,) = bench.events()
    assert isinstance(event.data, CommandRejected)
    assert event.data.code == "price_unknown"
    assert event.data.facts == {"price_id": "dune:usd"}


@pytest.mark.parametrize(("trouble", "written_before"), [(Trouble.LOST, []), (Trouble.UNANSWERED, PLACED)])
async def test_an_unknown_commit_is_resolved_from_the_log(trouble: Trouble, written_before: list[str]) -> None:
    bench = Bench()
    journal = await bench.opened()
    command = bench.incoming(buy_dune(), command_id="c1")
    bench.topics.troubles.append(trouble)
    with pytest.raises(UnsureError):
        await bench.handle(journal, command)
    assert not journal.is_open
    assert bench.types() == written_before
    await journal.open()
    await bench.handle(journal, command)
    assert bench.types() == PLACED


async def test_an_earlier_owner_can_write_nothing_more() -> None:
    bench = Bench()
    zombie = await bench.opened(MemoryStore())
    owner = await bench.opened()
    await bench.handle(owner, bench.incoming(buy_dune(), command_id="c1"))
    with pytest.raises(FencedError):
        await bench.handle(zombie, bench.incoming(buy_dune(), command_id="c2", key="bob"))
    assert bench.types() == PLACED


async def test_the_log_says_where_to_go_on() -> None:
    bench = Bench()
    journal = await bench.opened()
    assert journal.next_command_offset is None
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c2", key="bob"))
    assert journal.next_command_offset == 2
    assert (await bench.opened(MemoryStore())).next_command_offset == 2


async def _two_orders(bench: Bench, journal: Journal) -> None:
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c2", key="bob"))


async def test_a_store_that_is_empty_old_or_damaged_gives_the_same_state(tmp_path) -> None:  # type: ignore[no-untyped-def]
    bench = Bench(store=MemoryStore())
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    old = MemoryStore()
    old.write(dict(bench.store.scan(b"", b"\xff")))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c2", key="bob"))
    damaged = MemoryStore()
    damaged.write(
        {key: b"\xc1" + value[1:] if key.startswith(b"s") else value for key, value in bench.store.scan(b"", b"\xff")}
    )
    ahead = MemoryStore()
    ahead.write(dict(bench.store.scan(b"", b"\xff")))
    for store in (MemoryStore(), old, damaged, ahead, RocksStore(tmp_path / "store")):
        bench.clock.advance(timedelta(days=2))
        again = await bench.opened(store)
        commands = again.due_timers() if store is not damaged else []
        if store is damaged:
            with pytest.raises(ValueError, match="cannot be read"):
                await bench.handle(again, bench.incoming(buy_dune(), command_id="c3"))
            await again.open()
            commands = again.due_timers()
        assert {command.key for command in commands} == {"alice", "bob"}
        again.forget()


async def test_a_store_of_another_log_is_thrown_away() -> None:
    other = Bench()
    await _two_orders(other, await other.opened())
    bench = Bench(store=other.store)
    journal = await bench.opened()
    assert journal.next_command_offset is None
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c9"))
    assert bench.types() == PLACED


async def test_what_a_stranger_wrote_into_the_log_stops_nobody() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    for stranger in (Record(b"alice", b"nonsense", []), Record(None, None, [("ce_type", b"billing.order.paid")])):
        bench.topics.append(TOPICS.events, 0, stranger)
    for command_id, store in (("c2", bench.store), ("c3", MemoryStore())):
        again = await bench.opened(store)
        decided = await bench.handle(again, bench.incoming(buy_dune(), command_id=command_id, key="bob"))
        assert decided.accepted
    sequences = [dict(record.headers).get("sequence") for record in bench.written(TOPICS.events)]
    assert sequences == [b"1", b"2", b"3", None, None, b"1", b"2", b"3", b"4", b"5"]


async def test_an_event_that_was_damaged_opens_to_nobody() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    placed = bench.written(TOPICS.events)[0]
    damaged = Bench()
    damaged.topics.append(TOPICS.events, 0, Record(placed.key, b"nonsense", list(placed.headers)))
    with pytest.raises(LogMismatchError):
        await damaged.opened()


async def test_timers_are_in_the_state_and_fire_with_the_same_id_after_a_restart() -> None:
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    assert journal.due_timers() == []
    bench.clock.advance(timedelta(seconds=20))
    (timer,) = journal.due_timers()
    (same,) = (await bench.opened(MemoryStore())).due_timers()
    assert timer.id == same.id
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(timer.data, command_id=timer.id))
    assert bench.types() == [*PLACED, "payment.call_repeated", "command.accepted"]
    assert journal.due_timers() == []
    assert len(bench.written(TOPICS.effects)) == 2


async def test_timers_whose_commands_are_used_up_hold_nobody_back() -> None:
    bench = Bench()
    journal = await bench.opened()
    stuck = TIMERS_MAX + 1
    await bench.handle(journal, *(bench.incoming(buy_dune(), command_id=f"c{n}", key=f"s{n}") for n in range(stuck)))
    bench.clock.advance(timedelta(seconds=20))
    for count in (TIMERS_MAX, stuck - TIMERS_MAX):
        due = journal.due_timers()
        assert len(due) == count
        await bench.handle(journal, *(bench.incoming(buy_dune(), command_id=each.id, key=each.key) for each in due))
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c", key="alice"))
    bench.clock.advance(timedelta(seconds=20))
    assert [command.key for command in journal.due_timers()] == ["alice"]


async def test_a_timer_is_not_lost_to_an_owner_whose_clock_is_behind() -> None:
    """Its command is decided once: as too early, it would never come again, and what it was for would wait for ever."""
    bench = Bench()
    journal = await bench.opened()
    await bench.handle(journal, bench.incoming(buy_dune(), command_id="c1"))
    bench.clock.advance(Policies().payment_expiry)
    (expiry,) = [timer for timer in journal.due_timers() if isinstance(timer.data, ExpirePayment)]
    bench.clock.advance(timedelta(seconds=-1))
    offset = bench.next_offset
    fired = Incoming(TOPICS.commands, 0, offset, expiry.key.encode(), command_body(expiry), command_headers(expiry))
    await bench.handle(await bench.opened(MemoryStore()), fired)
    assert bench.types()[-2:] == ["payment.close_requested", "command.accepted"]
