"""`billing audit verify`: everything that must hold between the log, the read models and the provider's books.

The system may run meanwhile. A partition is compared with a snapshot of the database that says itself up to which
offset of the log it was built, and the log is folded to exactly there: nothing is excused as "in between".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy import select, union

from domain.account.state import INITIAL, Account
from domain.ledger.accounts import provider_cash
from domain.payments.state import Succeeded
from domain.refunds.state import RefundStatus
from infra.kafka.log_reader import LogReadError, open_log, partition_of
from infra.kafka.topics import topics_of
from infra.postgres.engine import create_engine
from projections.audit.books import (
    PROVIDER,
    BooksUnreadableError,
    Paid,
    ProviderBooks,
    compare_cash,
    compare_charges,
    compare_payments,
    read_books,
)
from projections.audit.ledger_checks import LedgerFold, compare_ledgers
from projections.audit.log_checks import LogAudit
from projections.audit.report import Check, Report
from projections.commands import commands
from projections.model import metadata
from projections.positions import next_offsets
from projections.verify import compare_many
from projections.verify_catalogue import compare_catalogue, entries_shown
from schemas.codec import WireError
from schemas.envelope import read_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from domain.payments.state import Payment
    from infra.kafka.log_reader import LogReader
    from infra.kafka.topics import Topics
    from infra.settings import Settings

CATCH_UP_S_MAX = 30.0
"""How long the read models may take to reach the end that the log had when its partition was read."""
GRACE_S = 120
"""Word of a charge that is younger than this may still be on its way to the log."""
_POLL_S = 0.1
_STATEMENT_TIMEOUT_MS = 60_000

Dead = frozenset[tuple[int, int]]
"""Partition and offset of the commands that lie among the dead letters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be verified. `now` is a moment in seconds since 1970, by the clock of the stack."""

    account: str | None
    now: int
    grace_s: int = GRACE_S
    catch_up_s_max: float = CATCH_UP_S_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """What is read."""

    log: LogReader
    commands: LogReader
    engine: AsyncEngine
    topics: Topics
    dead: Dead


@dataclass(slots=True)
class Verification:
    """One run. It holds the streams of one partition at a time."""

    settings: Settings
    options: Options
    progress: Callable[[int, int], None] = lambda done, total: None
    """Told how many partitions are done, of how many."""
    report: Report = field(default_factory=Report)
    paid: list[Paid] = field(default_factory=list)
    returned: set[str] = field(default_factory=set)
    """The provider's names of the refunds that were paid out."""
    awaited: set[str] = field(default_factory=set)
    """The provider's names of the refunds that it works on, as far as the log knows."""
    asked: set[str] = field(default_factory=set)
    """The payments of which the log waits to hear the end: a provider was asked, or will be."""
    cash: Counter[str] = field(default_factory=Counter)
    """What the books say that providers hold, by ledger account and currency."""
    keys: set[str] = field(default_factory=set)
    """The accounts and the entries of the catalogue that the log knows."""
    on_their_way: int = 0
    """Charges that are too young to have reached the log, or that it waits to hear of."""

    async def run(self) -> Report:
        """Verify. Raises LogReadError where the log itself cannot be read."""
        topics = topics_of(self.settings)
        before = await self._provider_books()
        async with AsyncExitStack() as stack:
            log = await stack.enter_async_context(open_log(self.settings.kafka_bootstrap, topics.events))
            commands = await stack.enter_async_context(open_log(self.settings.kafka_bootstrap, topics.commands))
            engine = create_engine(
                self.settings.database_url,
                application_name="billing-audit",
                pool_size=1,
                statement_timeout_ms=_STATEMENT_TIMEOUT_MS,
            )
            stack.push_async_callback(engine.dispose)
            dead = await self._dead_commands(topics)
            await self._verify_partitions(_Sources(log=log, commands=commands, engine=engine, topics=topics, dead=dead))
        after = await self._provider_books()
        if before is not None and after is not None:
            self._compare_money(before, after)
        return self.report

    def _compare_money(self, before: ProviderBooks, after: ProviderBooks) -> None:
        """What the log knows must be in the books afterwards, what was in the books before must be in the log."""
        settled_before = self.options.now - self.options.grace_s
        compare_payments(self.report, self.paid, after.charges)
        on_their_way = compare_charges(
            self.report, self.paid, before.charges, frozenset(self.asked), settled_before=settled_before
        )
        self.on_their_way = len(on_their_way)
        held_by_provider = f"{provider_cash(PROVIDER)} "
        held = {
            name.removeprefix(held_by_provider): amount
            for name, amount in self.cash.items()
            if name.startswith(held_by_provider)
        }
        known = frozenset({payment.event.reference for payment in self.paid} | self.returned)
        awaited = on_their_way | self.awaited
        compare_cash(self.report, held, after, known, awaited, settled_before=settled_before)

    async def _verify_partitions(self, sources: _Sources) -> None:
        log, account = sources.log, self.options.account
        chosen = log.partitions
        if account is not None:
            chosen = (partition_of(account.encode(), len(log.partitions)),)
        for done, partition in enumerate(chosen):
            self.progress(done, len(chosen))
            audit = LogAudit(self.report, partitions=len(log.partitions))
            end = (await log.end_offsets([partition]))[partition]
            decided = await self._read(log, audit, partition, 0, end)
            await self._compare_read_models(sources, audit, partition, end)
            audit.finish()
            await self._check_commands(sources, audit, partition, decided)
            self._keep(audit)
        if account is None:
            await self._find_strangers(sources)
        self.progress(len(chosen), len(chosen))

    async def _read(self, log: LogReader, audit: LogAudit, partition: int, start: int, end: int) -> int:
        """Check the events between two offsets; the highest offset of a command among them, else -1."""
        decided = -1
        key = None if self.options.account is None else self.options.account.encode()
        if start >= end:
            return decided
        async for record in log.read(partitions=[partition], start=start, ends={partition: end}):
            if key is not None and record.key != key:
                continue
            event = audit.see(record)
            if event is not None:
                decided = max(decided, event.command_offset)
        return decided

    async def _compare_read_models(self, sources: _Sources, audit: LogAudit, partition: int, end: int) -> None:
        log, engine, topics = sources.log, sources.engine, sources.topics
        await self._wait_for_projector(engine, topics.events, partition, end)
        async with engine.connect() as plain:
            connection = await plain.execution_options(isolation_level="REPEATABLE READ")
            reached = (await next_offsets(connection, topics.events)).get(partition, 0)
            if reached < end:
                detail = f"partition {partition} is projected up to offset {reached}, the log goes to {end}"
                self.report.fault(Check.READ_MODELS, key="", position=f"{partition}:{reached}", detail=detail)
                return
            log_end = (await log.end_offsets([partition]))[partition]
            if reached > log_end:
                detail = f"partition {partition} is projected up to offset {reached}, but the log ends at {log_end}"
                self.report.fault(Check.READ_MODELS, key="", position=f"{partition}:{log_end}", detail=detail)
                return
            await self._read(log, audit, partition, end, reached)
            await self._compare(connection, audit)

    async def _compare(self, connection: AsyncConnection, audit: LogAudit) -> None:
        states = {
            key: stream.state
            for key, stream in audit.streams.items()
            if isinstance(stream.state, Account) and stream.is_foldable
        }
        if self.options.account is not None:
            states.setdefault(self.options.account, INITIAL)
        for account, differences in (await compare_many(connection, states)).items():
            self.report.count(Check.READ_MODELS)
            for difference in differences:
                self.report.fault(Check.READ_MODELS, key=account, detail=difference)
        if self.options.account is None:
            await self._compare_catalogue(connection, audit)
        folds = {
            account: audit.streams[account].ledger if account in audit.streams else LedgerFold() for account in states
        }
        for account, differences in (await compare_ledgers(connection, folds, self.cash)).items():
            self.report.count(Check.LEDGER)
            for difference in differences:
                self.report.fault(Check.LEDGER, key=account, detail=difference)

    async def _compare_catalogue(self, connection: AsyncConnection, audit: LogAudit) -> None:
        entries = {
            key: stream.state
            for key, stream in audit.streams.items()
            if stream.state is not None and not isinstance(stream.state, Account) and stream.is_foldable
        }
        for entry, differences in (await compare_catalogue(connection, entries)).items():
            self.report.count(Check.READ_MODELS)
            for difference in differences:
                self.report.fault(Check.READ_MODELS, key=entry, detail=difference)

    async def _wait_for_projector(self, engine: AsyncEngine, topic: str, partition: int, end: int) -> None:
        deadline = monotonic() + self.options.catch_up_s_max
        while monotonic() < deadline:
            async with engine.connect() as connection:
                if (await next_offsets(connection, topic)).get(partition, 0) >= end:
                    return
            await asyncio.sleep(_POLL_S)

    async def _check_commands(self, sources: _Sources, audit: LogAudit, partition: int, decided: int) -> None:
        """Every command up to the newest one that has an outcome must have one too, or lie among the dead letters."""
        if decided < 0:
            return
        commands = sources.commands
        end = min(decided + 1, (await commands.end_offsets([partition]))[partition])
        key = None if self.options.account is None else self.options.account.encode()
        async for record in commands.read(partitions=[partition], ends={partition: end}):
            if key is not None and record.key != key:
                continue
            self.report.count(Check.COMMANDS)
            if (record.partition, record.offset) in sources.dead:
                continue
            where = f"the record {record.position} of the commands"
            try:
                command = read_command(record.key, record.value, record.headers)
            except WireError as error:
                name = (record.key or b"").decode("utf-8", "replace")
                detail = f"{where} is unreadable ({error}) and lies not among the dead letters"
                self.report.fault(Check.COMMANDS, key=name, detail=detail)
                continue
            stream = audit.streams.get(command.key)
            if stream is None or command.id not in stream.outcomes:
                detail = f"{where}, the command {command.id} ({command.type}), was passed and has no outcome"
                self.report.fault(Check.COMMANDS, key=command.key, detail=detail)

    async def _dead_commands(self, topics: Topics) -> Dead:
        async with open_log(self.settings.kafka_bootstrap, topics.dead_letters) as letters:
            found = set()
            async for record in letters.read():
                headers = dict(record.headers)
                if headers.get("dead_letter_topic") == topics.commands.encode():
                    found.add((int(headers["dead_letter_partition"]), int(headers["dead_letter_offset"])))
            return frozenset(found)

    async def _find_strangers(self, sources: _Sources) -> None:
        """Rows of accounts and of entries of the catalogue of which the log knows nothing at all."""
        # Commands are asked for before anything happens, so theirs may be of an account that the log does not know yet.
        tables = [table for table in metadata.tables.values() if "account" in table.c and table is not commands]
        async with sources.engine.connect() as connection:
            rows = await connection.execute(union(*(select(table.c.account) for table in tables)))
            shown = {row.account for row in rows} | await entries_shown(connection)
        strangers = shown - self.keys
        for key in sorted(strangers):
            if not [record async for record in sources.log.read(key=key.encode())]:  # it may have come meanwhile
                detail = "the read models have rows of which the log knows nothing"
                self.report.fault(Check.READ_MODELS, key=key, detail=detail)

    def _keep(self, audit: LogAudit) -> None:
        """What is needed of a partition after it is done: its payments, and the names of its accounts."""
        for key, stream in audit.streams.items():
            self.keys.add(key)
            self.paid += [Paid(account=key, position=position, event=event) for event, position in stream.succeeded]
            self.returned |= {event.reference for event in stream.returned}
            if isinstance(stream.state, Account):
                self.returned |= {dispute.reference for dispute in stream.state.disputes.values()}
                submitted = (
                    refund for refund in stream.state.refunds.values() if refund.status is RefundStatus.SUBMITTED
                )
                self.awaited |= {refund.reference for refund in submitted if refund.reference is not None}
                self.asked |= {payment.id for payment in stream.state.payments.values() if _is_asked(payment)}

    async def _provider_books(self) -> ProviderBooks | None:
        """What is in the provider's books, of the account alone where one is given; None where there are none."""
        settings = self.settings
        if not settings.sandbox_url:
            for check in (Check.CHARGED, Check.CHARGES, Check.CASH):
                self.report.skip(check, "no sandbox provider is configured here")
            return None
        try:
            books = await read_books(settings.sandbox_url, secret_key=settings.stripe_secret_key.get_secret_value())
        except BooksUnreadableError as error:
            self.report.fault(Check.CHARGED, key="", detail=str(error))
            return None
        account = self.options.account
        if account is None:
            return books
        return ProviderBooks(
            charges=[charge for charge in books.charges if charge.account == account],
            returned=[returned for returned in books.returned if returned.account == account],
        )


def _is_asked(payment: Payment) -> bool:
    is_waited_for = payment.call is not None or payment.sweep_at is not None
    return is_waited_for and not isinstance(payment.phase, Succeeded)


__all__ = ["LogReadError", "Options", "Verification"]
