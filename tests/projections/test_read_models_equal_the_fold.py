"""The law of the read side: whatever happened, the tables say what the fold of the log says."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, get_args

import pytest

from domain.account.evolve import AccountEvent
from domain.account.state import INITIAL
from domain.catalog.events import CatalogEvent
from projections.fold import LISTENERS
from projections.verify import compare_many
from schemas.messages import EVENTS, Outcome
from tests.projections.histories import dump, project, rare_stories, wander
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.writer import Writer

ACCOUNTS = [f"account-{number}" for number in range(12)]


def random_log(seed: int, steps: int = 500) -> SampleLog:
    random = Random(seed)
    log = SampleLog()
    rare_stories(log)
    for _ in range(steps):
        wander(log, random.choice(ACCOUNTS), 1, random)
    return log


def test_every_event_is_heard_by_a_read_model() -> None:
    assert set(EVENTS.values()) == LISTENERS.keys() | set(get_args(Outcome))


def test_histories_reach_every_event_of_an_account() -> None:
    """Otherwise the law below would be judged on the easy part of the domain only."""
    seen = {record.headers[2][1].decode() for seed in range(8) for record in random_log(seed).records}
    assert {EVENTS[name] for name in seen} >= set(_account_events())


def _account_events() -> tuple[type, ...]:
    events: tuple[type, ...] = get_args(AccountEvent)
    return tuple(event for event in events if event not in get_args(CatalogEvent))


@pytest.mark.parametrize("seed", range(4))
async def test_tables_equal_the_fold(seed: int, writer: Writer, connection: AsyncConnection) -> None:
    log = random_log(seed)
    random = Random(seed)
    await project(writer, log.records, sorted(random.sample(range(len(log.records)), 25)))
    differences = await compare_many(connection, log.accounts)
    assert differences == {account: [] for account in log.accounts}


async def test_rare_stories_equal_the_fold_as_they_end(writer: Writer, connection: AsyncConnection) -> None:
    """What happens to their accounts afterwards could hide that the end of a story was not heard."""
    log = SampleLog()
    rare_stories(log)
    await project(writer, log.records)
    differences = await compare_many(connection, log.accounts)
    assert differences == {account: [] for account in log.accounts}


async def test_where_batches_end_changes_nothing(
    writer: Writer, migrated_url: str, connection: AsyncConnection
) -> None:
    log = random_log(99, steps=120)
    await project(writer, log.records)
    at_once = dump(migrated_url)
    await _empty(connection)
    await project(writer, log.records, range(1, len(log.records)))
    assert dump(migrated_url) == at_once
    assert len(at_once["commands"]) == log.commands


async def test_a_replay_gives_the_same_tables(writer: Writer, migrated_url: str, connection: AsyncConnection) -> None:
    log = random_log(7)
    await project(writer, log.records, range(0, len(log.records), 50))
    first = dump(migrated_url)
    await _empty(connection)
    await project(writer, log.records, range(0, len(log.records), 37))
    assert dump(migrated_url) == first


async def test_comparing_tells_what_is_wrong(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    order_id = log.buy("ada")
    await project(writer, log.records)
    state = log.accounts["ada"]
    assert await compare_many(connection, {"ada": state}) == {"ada": []}
    await connection.exec_driver_sql("UPDATE billing.payments SET amount = 1")
    await connection.exec_driver_sql("DELETE FROM billing.entitlements")
    payment_id = state.orders[next(iter(state.orders))].payment_id
    assert (await compare_many(connection, {"ada": state}))["ada"] == [
        f"payments {payment_id}: amount is 1, the log says 499",
        "entitlements film:solaris: the log has it, the read model does not",
    ]
    told = (await compare_many(connection, {"ada": INITIAL}))["ada"]
    assert f"orders {order_id}: the read model has it, the log does not" in told


async def _empty(connection: AsyncConnection) -> None:
    names = await connection.exec_driver_sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'billing' AND table_name <> 'migrations'"
    )
    tables = ", ".join(f"billing.{name}" for (name,) in names)
    await connection.exec_driver_sql(f"TRUNCATE {tables}")
