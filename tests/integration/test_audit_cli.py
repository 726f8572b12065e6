"""`billing audit` on a real broker and a real database: what it tells, and that it finds what was tampered with."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from typer.testing import CliRunner

from cli.common import UsageError
from cli.main import app
from domain.catalog.commands import DefineProduct
from domain.catalog.state import Price, ProductKind
from domain.ids import PriceId, ProductId
from domain.money import Money
from domain.pricing.commands import DefineMonthsDiscounts
from domain.pricing.state import MonthsStep, PromoCode
from domain.promo.commands import DefinePromoCode
from infra.kafka.command_sender import CommandSender
from infra.kafka.topics import Topics, create_topics, topics_of
from infra.settings import Settings
from tests.chaos.roles import environment
from tests.integration.projections_harness import caught_up, projecting, publish
from tests.sample_log import PARTITIONS, SampleLog
from tests.stack import scratch_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.stack import Stack

DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Its document."""
        return json.loads(self.out)


async def audit(settings: Settings, *arguments: str) -> Ran:
    """Run `billing audit` in this process, which has paid for its imports already."""
    told = environment(settings, COLUMNS="200")
    result = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *arguments], env=told)
    if isinstance(result.exception, UsageError):  # what cli.main.main makes a sentence of
        return Ran(1, result.stdout, f"billing: {result.exception}")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


async def audit_process(settings: Settings, *arguments: str) -> Ran:
    """Run it as an operator does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        "audit",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(settings, COLUMNS="200"),
    )
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def database_url(migrated_url: str) -> str:
    """With all tables already: these tests are many."""
    return migrated_url


@pytest.fixture(scope="module")
async def sound(stack: Stack, migrated_template: str) -> AsyncIterator[tuple[Settings, SampleLog]]:
    """Two customers who bought, in a log and in read models that these tests only look at."""
    topics = Topics(f"audit-{uuid.uuid4().hex[:8]}")
    await create_topics(stack.kafka_bootstrap, topics, partitions=PARTITIONS)
    with stack.fresh_database(migrated_template) as database_url, scratch_dir() as data_dir:
        settings = Settings(
            _env_file=None,
            kafka_bootstrap=stack.kafka_bootstrap,
            topic_prefix=topics.prefix,
            partitions=PARTITIONS,
            database_url=database_url,
            data_dir=data_dir,
        )
        yield settings, await written(settings)


@pytest.fixture
async def log(settings: Settings) -> SampleLog:
    """The same for one test alone, to be tampered with."""
    return await written(settings)


async def written(settings: Settings) -> SampleLog:
    made = SampleLog()
    for account in ("alice", "bob"):
        made.buy(account)
        made.buy(account, "premium:month")
    await project(settings, made.records)
    return made


async def project(settings: Settings, records: Sequence[Any]) -> None:
    await publish(settings, records)
    async with projecting(settings):
        await caught_up(settings)


async def test_history_tells_the_story(sound: tuple[Settings, SampleLog]) -> None:
    settings, log = sound
    told = await audit(settings, "history", "--account", "alice")

    assert told.code == 0, told.err
    order_id = next(iter(log.accounts["alice"].orders))
    assert "user:alice asked to place an order" in told.out
    assert f"Order {order_id[:8]} was placed: “Solaris” at €4.99" in told.out
    assert f"{order_id[:8]}  {order_id}" in " ".join(told.out.split()).replace(f"{order_id[:8]} ", f"{order_id[:8]}  ")
    assert "bob" not in told.out


async def test_history_for_machines(sound: tuple[Settings, SampleLog]) -> None:
    settings, log = sound
    document = (await audit(settings, "history", "--account", "bob", "--json")).json()

    assert [event["sequence"] for event in document["events"]] == list(range(1, log.sequences["bob"] + 1))
    assert document["events"][0]["type"] == "billing.order.placed"
    assert document["events"][0]["data"]["total"] == {"amount": 499, "currency": "EUR"}


async def test_state_at_a_moment(sound: tuple[Settings, SampleLog]) -> None:
    settings, _ = sound
    later = (await audit(settings, "state", "--account", "alice", "--json")).json()
    before = (await audit(settings, "state", "--account", "alice", "--at", "2026-01-31T12:00:02Z", "--json")).json()

    assert {order["status"] for order in later["state"]["orders"].values()} == {"fulfilled"}
    assert sorted(later["state"]["entitlements"]) == ["film:solaris", "role:premium"]
    assert [order["status"] for order in before["state"]["orders"].values()] == ["awaiting_payment"]
    assert before["state"]["entitlements"] == {}

    page = await audit(settings, "state", "--account", "alice")
    assert "€4.99" in page.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("history", "--account", "nobody"),
        ("state", "--account", "nobody"),
        ("state", "--account", "alice", "--at", "2020-01-01"),
        ("state", "--account", "alice", "--at", "yesterday"),
        ("verify", "--account", "nobody"),
    ],
    ids=" ".join,
)
async def test_what_is_not_there_is_said(sound: tuple[Settings, SampleLog], arguments: tuple[str, ...]) -> None:
    ran = await audit(sound[0], *arguments)

    assert ran.code == 1
    assert ran.err.startswith("billing: ")
    assert "Traceback" not in ran.err


async def test_verify_of_what_is_sound(sound: tuple[Settings, SampleLog]) -> None:
    settings, log = sound
    ran = await audit_process(settings, "verify")
    one = (await audit(settings, "verify", "--account", "alice", "--json")).json()

    assert ran.code == 0, ran.out + ran.err
    assert "The log is sound" in ran.out
    assert "skipped: every charge" in ran.out  # no sandbox is configured here, and it says so
    assert one["sound"]
    checked = {check["name"]: check["checked"] for check in one["checks"]}
    assert checked["sequence"] == log.sequences["alice"]
    assert checked["read_models"] == 1


async def faults(settings: Settings, *arguments: str) -> list[str]:
    ran = await audit(settings, "verify", "--json", *arguments)
    assert ran.code == 1, ran.out + ran.err
    return [f"{fault['check']} {fault['account']} {fault['detail']}" for fault in ran.json()["faults"]]


async def test_verify_finds_a_row_that_was_edited(settings: Settings, log: SampleLog) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("update billing.orders set total = 1 where account = 'alice'")
        connection.execute("delete from billing.entitlements where account = 'bob'")

    found = await faults(settings)

    assert len([fault for fault in found if fault.startswith("read_models alice orders")]) == 2
    assert len([fault for fault in found if fault.startswith("read_models bob entitlements")]) == 2
    assert {fault.split()[1] for fault in await faults(settings, "--account", "alice")} == {"alice"}


@pytest.mark.parametrize("table", ["entitlements", "orders_history", "account_events", "customers"])
async def test_verify_finds_rows_of_nobody(settings: Settings, log: SampleLog, table: str) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(f"update billing.{table} set account = 'mallory' where account = 'bob'")

    found = await faults(settings)

    assert any(fault.startswith("read_models mallory ") for fault in found)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("update billing.products set title = 'Solaris 2'", "catalog/product/solaris products solaris: title"),
        ("update billing.prices set amount = 1", "catalog/product/solaris prices solaris:eur: amount"),
        ("delete from billing.prices", "catalog/product/solaris prices solaris:eur: the log has it"),
        ("update billing.promo_codes set uses_max = null", "catalog/promo/TEN promo_codes TEN: uses_max"),
        ("update billing.months_discounts set steps = '[]'", "catalog/months-discounts months_discounts"),
        ("update billing.products set id = 'stalker'", "catalog/product/stalker the read models have rows"),
    ],
)
async def test_verify_finds_a_catalogue_that_was_edited(settings: Settings, change: str, fault: str) -> None:
    log = SampleLog()
    film, code = PriceId("solaris:eur"), PromoCode(code="TEN", basis_points=1000, uses_max=5)
    price = Price(id=film, amount=Money(amount=499, currency="EUR"))
    log.define(DefineProduct(product_id=ProductId("solaris"), kind=ProductKind.FILM, title="Solaris", prices=(price,)))
    log.define(DefinePromoCode(promo=code))
    log.define(DefineMonthsDiscounts(steps=(MonthsStep(months=3, basis_points=1000),)))
    await project(settings, log.records)
    with psycopg.connect(settings.database_url) as connection:
        connection.execute(change)

    found = await faults(settings)

    assert any(line.startswith(f"read_models {fault}") for line in found), found


async def test_a_fault_ends_the_process_with_1(settings: Settings, log: SampleLog) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("update billing.payments set status = 'failed' where account = 'alice'")

    ran = await audit_process(settings, "verify")
    nobody = await audit_process(settings, "history", "--account", "nobody")

    assert ran.code == 1
    assert "FAULT  alice: payments" in ran.out
    assert (nobody.code, nobody.err) == (1, "billing: the log has nothing of 'nobody'\n")


async def test_verify_finds_a_log_that_was_cut(settings: Settings, log: SampleLog) -> None:
    with psycopg.connect(settings.database_url) as connection:
        connection.execute("update billing.positions set next_offset = next_offset + 1000")

    assert all("but the log ends at" in fault for fault in await faults(settings))


async def test_verify_finds_a_forged_event(settings: Settings, log: SampleLog) -> None:
    """Somebody writes to the topic behind the engine's back: whatever they write, the chain does not fit."""
    forged = SampleLog()
    forged.buy("alice")

    await project(settings, forged.records[-1:])

    found = await faults(settings)
    assert any(fault.startswith("chain alice") for fault in found)
    assert any(fault.startswith("sequence alice") for fault in found)
    assert any(fault.startswith("outcome alice") for fault in found)


async def test_verify_finds_a_command_that_was_passed_over(settings: Settings, log: SampleLog) -> None:
    """The log says that it decided command 5 of a partition; command 3 of it has no outcome anywhere."""
    sender = CommandSender(settings.kafka_bootstrap, topics_of(settings).commands, partitions=settings.partitions)
    sender.start()
    from tests.chaos.test_group_offsets import send

    await send(sender, 0, 20)
    await sender.stop()

    found = await faults(settings)

    assert all(fault.startswith("commands account-") for fault in found)
    assert "was passed and has no outcome" in found[0]


async def test_export_gives_every_event(sound: tuple[Settings, SampleLog]) -> None:
    settings, log = sound
    exported = [json.loads(line) for line in (await audit(settings, "export")).out.splitlines()]
    one = [json.loads(line) for line in (await audit(settings, "export", "--account", "bob")).out.splitlines()]

    assert len(exported) == len(log.records)
    assert {line["key"] for line in one} == {"bob"}
    assert one[0]["headers"]["ce_type"] == "billing.order.placed"
    assert one[0]["data"]["total"] == {"amount": 499, "currency": "EUR"}
