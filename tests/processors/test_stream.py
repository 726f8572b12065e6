"""How an account is stored: piece by piece, and read back as it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from domain.account.state import Account
from domain.catalog.state import StillCatalogue
from domain.ids import PriceId
from domain.policies.settings import Policies
from infra.memory.store import MemoryStore
from processors.decisions import Decider, Incoming
from processors.partition import PartitionState
from schemas.envelope import command_body, command_headers
from tests.bench import workload
from tests.processors.kit import NOON

_ACCOUNT = "store-0"


class _Writes(MemoryStore):
    """Remembers what the last write put."""

    def write(self, puts, deletes=()) -> None:  # type: ignore[no-untyped-def]
        """Write, and note it."""
        self.last = dict(puts)
        super().write(puts, deletes)


def _ordered(store: MemoryStore) -> PartitionState:
    """Return the state after all orders of one customer, each a batch of its own."""
    state = PartitionState(store)
    for offset, record in enumerate(workload.orders(workload.FILMS, run="store")):
        incoming = Incoming("c", 0, offset, record.key.encode(), command_body(record), command_headers(record))
        decided = Decider(state, StillCatalogue(prices=workload.offers()), Policies()).decide(
            [incoming], NOON + timedelta(seconds=offset)
        )
        assert decided.accepted == 1
        state.apply(decided.changes)
    return state


def test_an_account_is_read_back_as_it_was_and_in_its_order() -> None:
    store = MemoryStore()
    before = _ordered(store).stream(_ACCOUNT)
    after = PartitionState(store).stream(_ACCOUNT)
    assert after == before
    assert isinstance(after.state, Account)
    assert [order.lines[0].price_id for order in after.state.orders.values()] == [
        PriceId(f"film-{number}:eur") for number in range(workload.FILMS)
    ]


def test_a_command_writes_what_it_changed_and_not_the_whole_history() -> None:
    store = _Writes()
    _ordered(store)
    assert len([key for key in store.last if key.startswith(b"p")]) == 2, "one order and one payment"


def test_an_account_of_which_a_piece_is_lost_is_not_believed() -> None:
    store = MemoryStore()
    _ordered(store)
    lost = next(key for key, _ in store.scan(b"p", b"q"))
    store.write({}, [lost])
    with pytest.raises(ValueError, match="cannot be read"):
        PartitionState(store).stream(_ACCOUNT)
