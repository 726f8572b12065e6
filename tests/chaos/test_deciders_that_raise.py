"""A bug in a decision costs one command its answer, never a record, never the partition, never its neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

from domain.ids import PriceId
from domain.orders.commands import OrderItem, PlaceOrder
from schemas.envelope import read_event
from schemas.messages import CommandAccepted, CommandRejected
from tests.sample_log import OFFERS

if TYPE_CHECKING:
    from domain.catalog.state import Offer
    from tests.chaos.journal_harness import Bench

pytestmark = pytest.mark.chaos

CURSED = PriceId("cursed:eur")


class CursedPrices(Mapping[PriceId, "Offer"]):
    """A catalogue in which one price makes whoever looks at it fail, as a bug would."""

    def __getitem__(self, price_id: PriceId) -> Offer:
        if price_id == CURSED:
            raise ZeroDivisionError("a bug")
        return OFFERS[price_id]

    def __iter__(self) -> Iterator[PriceId]:
        return iter(OFFERS)

    def __len__(self) -> int:
        return len(OFFERS)


async def test_a_decision_that_raises_is_rejected_and_kept(bench: Bench) -> None:
    bench.prices = CursedPrices()
    cursed_order = PlaceOrder(items=(OrderItem(price_id=CURSED),), provider="stripe")
    good = bench.orders(0, 9)
    cursed = bench.incoming(bench.account(4), cursed_order, "cursed")
    batch = [*good[:5], cursed, *good[5:]]

    async with bench.journal() as journal:
        await journal.open()
        decided = await journal.handle(batch)
        again = await journal.handle([bench.again(incoming) for incoming in batch])

    assert (decided.accepted, decided.rejected) == (9, 1)
    assert again.repeated == 10
    assert await bench.faults(accepted=10) == []
    events = [read_event(record.key, record.value, record.headers) for record in await bench.read()]
    outcomes = [event.data for event in events if isinstance(event.data, CommandAccepted | CommandRejected)]
    rejections = [outcome for outcome in outcomes if isinstance(outcome, CommandRejected)]
    assert [rejection.code for rejection in rejections] == ["decision_failed"]
    assert "a bug" not in rejections[0].detail  # what went wrong inside is nobody's business outside
    letters = await bench.read(bench.topics.dead_letters)
    assert [letter.value for letter in letters] == [cursed.value]


POISON = [
    (None, b"{}", []),
    (b"", b"{}", []),
    (b"alice", None, []),
    (b"alice", b"\xff\xfe", [("ce_type", b"billing.order.place")]),
    (b"alice", b"{}", [("ce_type", b"billing.order.placed")]),
    (b"\xff\xff", b"{}", [("ce_type", b"billing.order.place")]),
    (b"alice", b"[" * 100_000, [("ce_type", b"billing.order.place")]),
    (b"a" * 10_000, b"{}", [("ce_type", b"billing.order.place")]),
    (b"alice", b"{}", [(f"header-{number}", b"x") for number in range(500)]),
]


async def test_poison_goes_to_the_dead_letters_whole(bench: Bench) -> None:
    good = bench.orders(0, 3)
    poison = [bench.raw(key, value, list(headers)) for key, value, headers in POISON]

    async with bench.journal() as journal:
        await journal.open()
        decided = await journal.handle([good[0], *poison, *good[1:]])

    assert decided.accepted == 3
    assert await bench.faults(accepted=3) == []
    letters = await bench.read(bench.topics.dead_letters)
    assert [(letter.key, letter.value) for letter in letters] == [
        (key or letter.key, value) for (key, value, _), letter in zip(POISON, letters, strict=True)
    ]
    for letter, incoming in zip(letters, poison, strict=True):
        headers = dict(letter.headers)
        assert headers["dead_letter_offset"] == str(incoming.offset).encode()
        assert headers["dead_letter_topic"] == bench.topics.commands.encode()
        assert headers["dead_letter_reason"]


async def test_poison_alone_is_kept_too(bench: Bench) -> None:
    async with bench.journal() as journal:
        await journal.open()
        await journal.handle([bench.raw(b"alice", b"nothing", [])])
        await journal.handle(bench.orders(0, 1))

    assert len(await bench.read(bench.topics.dead_letters)) == 1
    assert await bench.faults(accepted=1) == []


async def test_the_same_id_with_another_body_is_kept_and_changes_nothing(bench: Bench) -> None:
    """The API refuses such a request; where it cannot know yet, the engine does not let the second body pass."""
    account = bench.account(1)
    order = PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe")
    other = PlaceOrder(items=(OrderItem(price_id=PriceId("premium:month")),), provider="stripe")
    first = bench.incoming(account, order, "order", body_hash="1" * 64)
    second = bench.incoming(account, other, "order", body_hash="2" * 64)

    async with bench.journal() as journal:
        await journal.open()
        await journal.handle([first, second, bench.again(second)])
        await journal.handle([bench.again(second)])

    assert await bench.faults(accepted=1) == []
    events = [read_event(record.key, record.value, record.headers) for record in await bench.read()]
    assert isinstance(events[-1].data, CommandAccepted)
    assert events[-1].data.body_hash == "1" * 64
