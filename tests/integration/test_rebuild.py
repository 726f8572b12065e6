"""Read models rebuilt beside the served ones, on a real broker and a real database, while everything goes on."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine as create_plain_engine

from infra.kafka.log_reader import open_log
from infra.kafka.topics import topics_of
from infra.postgres.engine import create_engine, sqlalchemy_url
from infra.postgres.migrations import upgrade
from projections import orders
from projections.comparison import ONLY_REBUILT, ONLY_SERVED
from projections.model import metadata
from projections.positions import CHANNEL
from projections.projector import RETRIES
from projections.rebuild import Outcome, Rebuild
from projections.second_schema import KEPT, REBUILT, REPLACED, RebuildError
from tests.chaos.roles import environment
from tests.integration.projections_harness import (
    assert_each_counted_once,
    caught_up,
    positions,
    projecting,
    publish,
    until,
)
from tests.projections.histories import dump, rare_stories, wander
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.settings import Settings

ACCOUNTS = [f"account-{number}" for number in range(30)]
DEADLINE_S = 60.0


def random_log(seed: int, steps: int) -> SampleLog:
    random, log = Random(seed), SampleLog()
    rare_stories(log)
    for _ in range(steps):
        wander(log, random.choice(ACCOUNTS), 1, random)
    return log


async def rebuild(settings: Settings, *, swaps: bool = True, keeps_old: bool = False) -> Outcome:
    async with asyncio.timeout(DEADLINE_S):
        return await Rebuild(settings, progress=lambda *_: None).run(swaps=swaps, keeps_old=keeps_old)


async def start(settings: Settings, *options: str) -> asyncio.subprocess.Process:
    """`billing projections rebuild` as an operator starts it."""
    arguments = (sys.executable, "-m", "cli.main", "projections", "rebuild", *options)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe, env=environment(settings))


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    return process.returncode, out.decode(), err.decode()


def ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return [] if cursor.description is None else cursor.fetchall()


def schemas(settings: Settings) -> set[str]:
    return {name for (name,) in ask(settings, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'billing%'")}


def running(settings: Settings, where: str = "true") -> list[tuple[Any, ...]]:
    """The connections of rebuilds."""
    ours = "application_name = 'billing-rebuild' AND datname = current_database()"
    return ask(settings, f"SELECT pid FROM pg_stat_activity WHERE {ours} AND {where}")


async def projected(settings: Settings, log: SampleLog) -> None:
    """The log is published and projected, and nobody projects any more."""
    upgrade(settings.database_url)
    async with projecting(settings):
        await publish(settings, log.records, size=400)
        await caught_up(settings)


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[list[str]]:
    """What is told of new positions meanwhile."""
    heard: list[str] = []
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}".encode())

        connection.add_notify_handler(lambda told: heard.append(told.payload))
        yield heard
        await connection.execute("SELECT 1")


@asynccontextmanager
async def querying(settings: Settings, account: str) -> AsyncIterator[None]:
    """Somebody queries without a pause on one connection, with statements that are prepared; none may fail."""
    engine = create_engine(settings.database_url, pool_size=1)

    async def query(connection: Any) -> None:
        while True:
            assert (await orders.list_page(connection, account)).items
            await asyncio.sleep(0)

    async with engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        task = asyncio.create_task(query(connection))
        yield
        assert not task.done(), task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await engine.dispose()


async def test_while_orders_keep_coming(settings: Settings) -> None:
    upgrade(settings.database_url)
    log = random_log(1, 1_500)
    half = len(log.records) // 2
    async with projecting(settings):
        await publish(settings, log.records[:half], size=400)
        await caught_up(settings)
        retries = RETRIES._value.get()
        async with listening(settings) as heard, querying(settings, "account-0"):
            publishing = asyncio.create_task(publish(settings, log.records[half:], size=5))
            outcomes = [await rebuild(settings), await rebuild(settings)]
            was_busy = not publishing.done()
            await publishing
            await caught_up(settings)
        assert was_busy, "the orders did not keep coming"
        assert RETRIES._value.get() == retries, "the projector was disturbed"
    assert [outcome.differing for outcome in outcomes] == [0, 0]
    assert all(outcome.is_swapped and outcome.old_schema is None for outcome in outcomes)
    assert schemas(settings) == {"billing"}
    assert _goes_back(heard) == []
    await assert_each_counted_once(settings, log, log.records)


def _goes_back(heard: list[str]) -> list[str]:
    """What was told of a position that had been told to be farther; those who wait for positions may not see that."""
    newest: dict[tuple[str, str], int] = {}
    backwards = []
    for payload in heard:
        topic, partition, next_offset = payload.split(" ")
        if int(next_offset) < newest.get((topic, partition), 0):
            backwards.append(payload)
        newest[topic, partition] = int(next_offset)
    return backwards


async def test_the_tables_are_those_that_migrations_make(settings: Settings) -> None:
    await projected(settings, random_log(2, 20))
    before = _structure(settings)
    await rebuild(settings)
    assert _structure(settings) == before
    upgrade(settings.database_url)
    engine = create_plain_engine(sqlalchemy_url(settings.database_url))
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "include_name": lambda name, kind, _parents: kind != "schema" or name == "billing",
                "include_object": lambda _object, name, _kind, _reflected, _compared: name != "migrations",
            },
        )
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _structure(settings: Settings) -> list[tuple[Any, ...]]:
    """Columns in whatever order, indexes, constraints: all that tables are made of."""
    return [
        *ask(
            settings,
            "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
            "WHERE table_schema = 'billing' ORDER BY table_name, column_name",
        ),
        *ask(settings, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'billing' ORDER BY indexdef"),
        *ask(
            settings,
            "SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'billing'::regnamespace ORDER BY 1, 2",
        ),
    ]


async def test_damaged_rows_are_told_and_mended(settings: Settings) -> None:
    log = random_log(3, 200)
    await projected(settings, log)
    sound = dump(settings.database_url)
    ((changed,), (deleted,)) = ask(settings, "SELECT id FROM billing.orders ORDER BY id LIMIT 2")
    ask(settings, f"UPDATE billing.orders SET total = 1, currency = 'XXX' WHERE id = '{changed}'")
    ask(settings, f"DELETE FROM billing.orders WHERE id = '{deleted}'")
    ask(
        settings,
        "INSERT INTO billing.grants VALUES ('eve', 'film:solaris', NULL, 'none', now(), 'eve', NULL, NULL, now())",
    )
    damaged = dump(settings.database_url)

    looked = await start(settings, "--dry-run", "--json")
    code, out, err = await ended(looked)
    document = json.loads(out)
    assert (code, err) == (1, "")
    assert (document["swapped"], document["differing"]) == (False, 3)
    assert dump(settings.database_url) == damaged
    assert schemas(settings) == {"billing"}

    async with projecting(settings):
        code, out, err = await ended(await start(settings))
    assert (code, err) == (0, "")
    assert f"orders {changed}: currency, total\n" in out
    assert f"orders {deleted}: {ONLY_REBUILT}\n" in out
    assert f"grants eve film:solaris: {ONLY_SERVED}\n" in out
    assert dump(settings.database_url) == sound
    assert (await rebuild(settings)).differing == 0
    await assert_each_counted_once(settings, log, log.records)


async def test_positions_beyond_the_log_are_taken_back(settings: Settings) -> None:
    """A projector that finds them ends; after a rebuild it goes on."""
    log = random_log(10, 50)
    await projected(settings, log)
    ask(settings, "UPDATE billing.positions SET next_offset = next_offset + 1000")
    outcome = await rebuild(settings)
    assert {table.table for table in outcome.tables if table.differing} == {"positions"}
    seen = len(log.records)
    log.buy("newcomer")
    async with projecting(settings):
        await publish(settings, log.records[seen:])
        await caught_up(settings)
    await assert_each_counted_once(settings, log, log.records)


@pytest.mark.parametrize("moment", ["while it builds", "before it swaps"])
async def test_killed_in_the_middle(settings: Settings, moment: str) -> None:
    log = random_log(5, 600)
    await projected(settings, log)
    ask(settings, "UPDATE billing.orders SET total = 1")
    served = dump(settings.database_url)
    with psycopg.connect(settings.database_url) as reader:
        reader.execute("SELECT * FROM billing.positions")  # as long as this is open, nothing can be swapped
        killed = await start(settings)
        try:

            async def is_there() -> bool:
                if REBUILT not in schemas(settings):
                    return False
                if moment == "while it builds":
                    return True
                return bool(running(settings, "wait_event_type = 'Lock'"))

            await until(is_there)
        finally:
            killed.kill()
            await killed.wait()
    assert dump(settings.database_url) == served

    async def is_gone() -> bool:
        return not running(settings)

    await until(is_gone)
    await rebuild(settings)
    assert schemas(settings) == {"billing"}
    await assert_each_counted_once(settings, log, log.records)


async def test_two_at_once(settings: Settings) -> None:
    await projected(settings, random_log(6, 50))
    with psycopg.connect(settings.database_url) as reader:
        reader.execute("SELECT * FROM billing.positions")
        first = asyncio.create_task(rebuild(settings))

        async def is_there() -> bool:
            return REBUILT in schemas(settings)

        await until(is_there)
        code, _, err = await ended(await start(settings))
        assert (code, err) == (1, "billing: another rebuild is under way on this database\n")
    assert (await first).is_swapped


async def test_what_is_not_of_the_log_stays(settings: Settings) -> None:
    await projected(settings, random_log(7, 50))
    ask(settings, "CREATE TABLE billing.notes AS SELECT 'mine' AS note")
    ask(settings, "GRANT USAGE ON SCHEMA billing TO PUBLIC")
    ask(settings, "GRANT SELECT ON billing.orders TO PUBLIC")
    ask(settings, "UPDATE billing.commands SET received_at = decided_at, received_offset = -1")
    waiting = "'waiting', 'ada', 'any', 'pending', now(), -1, 'c', 'user:ada', now()"
    misplaced = "'misplaced', 'ada', 'any', 'rejected', now(), -1, 'c', 'user:ada', now()"
    columns = "id, account, type, status, received_at, received_offset, correlation_id, actor, updated_at"
    ask(settings, f"INSERT INTO billing.commands ({columns}) VALUES ({waiting}), ({misplaced})")
    rights = _rights(settings)
    assert (await rebuild(settings)).differing == 0
    assert ask(settings, "SELECT note FROM billing.notes") == [("mine",)]
    assert _rights(settings) == rights
    assert ask(settings, "SELECT count(*) FROM billing.migrations") == [(1,)]
    assert ask(settings, "SELECT count(*) FROM billing.commands WHERE received_offset IS DISTINCT FROM -1") == [(0,)]
    undecided = ask(settings, "SELECT id FROM billing.commands WHERE position_offset IS NULL ORDER BY id")
    assert undecided == [("misplaced",), ("waiting",)]


def _rights(settings: Settings) -> list[tuple[Any, ...]]:
    return ask(
        settings,
        "SELECT relname, relacl::text FROM pg_class "
        "WHERE relnamespace = 'billing'::regnamespace AND relacl IS NOT NULL "
        "UNION ALL SELECT nspname, nspacl::text FROM pg_namespace WHERE nspname = 'billing' ORDER BY 1",
    )


async def test_the_old_ones_can_be_kept_and_are_not_torn_from_others(settings: Settings) -> None:
    await projected(settings, random_log(8, 50))
    ask(settings, "UPDATE billing.orders SET total = 1")
    assert (await rebuild(settings, keeps_old=True)).old_schema == KEPT
    assert ask(settings, f"SELECT DISTINCT total FROM {KEPT}.orders") == [(1,)]
    with pytest.raises(RebuildError, match=f"the schema {KEPT} of an earlier rebuild is still there"):
        await rebuild(settings, keeps_old=True)

    ask(settings, "CREATE VIEW public.mine AS SELECT id FROM billing.orders")
    outcome = await rebuild(settings)
    assert (outcome.is_swapped, outcome.old_schema) == (True, REPLACED)
    assert "depend" in outcome.old_reason
    with pytest.raises(RebuildError, match=f"the schema {REPLACED} of an earlier rebuild cannot be dropped"):
        await rebuild(settings)
    ask(settings, "DROP VIEW public.mine")
    assert (await rebuild(settings)).old_schema is None
    assert schemas(settings) == {"billing", KEPT}


async def test_what_cannot_be_read_is_told_and_not_sent_again(settings: Settings) -> None:
    log = random_log(9, 50)
    await projected(settings, log)
    topics = topics_of(settings)
    async with projecting(settings):
        end = positions(settings.database_url, topics.events)[0]
        await publish(settings, [type("Garbage", (), {"key": b"x", "value": b"{", "partition": 0, "headers": ()})])
        await caught_up(settings)
    async with open_log(settings.kafka_bootstrap, topics.dead_letters) as letters:
        before = [record async for record in letters.read()]
        outcome = await rebuild(settings)
        assert [record async for record in letters.read()] == before
    assert len(before) == outcome.given_up_count == 1
    ((partition, offset),) = [place.split(":") for place in outcome.given_up]
    assert partition == "0"
    assert int(offset) >= end
    assert outcome.differing == 0


async def test_tables_of_another_version_are_left_alone(settings: Settings) -> None:
    with pytest.raises(RebuildError, match="no read models yet"):
        await rebuild(settings)
    upgrade(settings.database_url, revision="0006")
    with pytest.raises(RebuildError, match="the tables are of revision 0006, this version works with"):
        await rebuild(settings)
