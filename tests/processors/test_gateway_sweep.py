"""The sweep: what webhooks did not bring is sent once, whatever a provider or the broker does."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus
from domain.ids import AccountId
from domain.money import Money
from domain.records import replace
from domain.reports import ReportPage
from infra.memory.books import Collection
from infra.memory.provider import MemoryProvider
from processors.gateway_sweep import Sweep
from processors.gateway_writer import AnswerNotSentError
from tests.processors.kit import StillClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from domain.reports import ProviderReport
    from schemas.envelope import CommandRecord

WAIT_S = 60.0


@dataclass
class Sink:
    """The way into the log, which may be closed for a while."""

    refusals: int = 0
    commands: list[CommandRecord] = field(default_factory=list)

    async def send(self, command: CommandRecord) -> None:
        """Take a command, or not."""
        if self.refusals:
            self.refusals -= 1
            raise AnswerNotSentError("no acknowledgement")
        self.commands.append(command)

    @property
    def ids(self) -> list[str]:
        """Ids of what was taken."""
        return [command.id for command in self.commands]


@dataclass(kw_only=True)
class Listening(MemoryProvider):
    """A provider that remembers what it told and what it was asked; `spoil` changes its answers."""

    told: list[ProviderReport] = field(default_factory=list)
    asked: list[datetime | None] = field(default_factory=list)
    spoil: Callable[[ReportPage], Any] | None = None

    def __post_init__(self) -> None:
        self.tell = self.told.append

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        self.asked.append(since)
        page = await super().reports(since, cursor=cursor)
        return page if self.spoil is None else self.spoil(page)

    def dispute_one(self, clock: StillClock) -> None:
        """A payment that was made, disputed and lost."""
        reference = f"page-{len(self.pages)}"
        self.pages[reference] = Collection(
            reference=reference,
            payment_id=f"payment {reference}",
            account="ann",
            amount=Money(amount=999, currency="USD"),
            status=AnswerStatus.SUCCEEDED,
        )
        report = self.dispute(reference, clock.now())
        assert report is not None
        self.decide_dispute(report.reference, clock.now(), DisputeStatus.LOST)

    def ids(self) -> list[str]:
        """The ids of the commands that its webhooks became, or would have become."""
        return [report.command_id(self.name) for report in self.told]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@asynccontextmanager
async def sweeping(
    clock: StillClock, sink: Sink, *providers: Any, is_ours: bool = True, interval_s: float = 0.005
) -> AsyncIterator[Sweep]:
    """A sweep at work."""
    sweep = Sweep(providers, clock, sink.send, interval_s=interval_s, call_timeout_s=0.5)
    sweep.assign(is_ours=is_ours)
    task = asyncio.create_task(sweep.run())
    try:
        yield sweep
        assert not task.done(), "the sweep ended"
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the sweep brings about."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.002)


async def rounds(provider: Listening, count: int = 3) -> None:
    """Wait until the provider was asked some more."""
    wanted = len(provider.asked) + count
    await until(lambda: len(provider.asked) >= wanted)


async def test_what_webhooks_did_not_bring_is_sent_once_and_as_they_would_have(clock: StillClock) -> None:
    provider, sink = Listening(reports_a_page=2), Sink()
    for _ in range(5):
        provider.dispute_one(clock)
    async with sweeping(clock, sink, provider):
        await until(lambda: len(sink.commands) >= 10)
        provider.dispute_one(clock)
        await until(lambda: len(sink.commands) >= 12)
        await rounds(provider)
    assert sorted(sink.ids) == sorted(provider.ids())
    command = sink.commands[-1]
    told = next(report for report in provider.told if report.command_id(provider.name) == command.id)
    assert (command.key, command.data, command.actor) == ("ann", told.command, "provider:memory")
    assert command.causation_id == told.report_id


async def test_it_asks_for_everything_and_then_for_what_is_new(clock: StillClock) -> None:
    provider, sink = Listening(), Sink()
    begun = clock.now()
    async with sweeping(clock, sink, provider):
        await rounds(provider)
        clock.advance(timedelta(days=3))
        await rounds(provider)
    assert provider.asked[0] is None
    assert provider.asked[1] == begun - timedelta(hours=1)
    assert provider.asked[-1] == begun + timedelta(days=3) - timedelta(hours=1)


async def test_a_clock_that_is_moved_ahead_brings_the_next_round(clock: StillClock) -> None:
    provider, sink = Listening(), Sink()
    async with sweeping(clock, sink, provider, interval_s=600.0) as sweep:
        await until(lambda: len(provider.asked) == 1)
        for expected in (2, 3):
            provider.dispute_one(clock)
            sweep.look()
            await asyncio.sleep(0)
            assert len(provider.asked) < expected, "nothing is due before the clock says so"
            clock.advance(timedelta(days=29))
            sweep.look()
            await until(lambda wanted=expected: len(provider.asked) == wanted)  # type: ignore[misc]  # bound at once
    assert sorted(sink.ids) == sorted(provider.ids())


async def test_what_is_missing_is_asked_for_again(clock: StillClock) -> None:
    provider, sink = Listening(), Sink()
    provider.dispute_one(clock)
    provider.spoil = lambda page: replace(page, reports=page.reports[1:], trouble="one was not told")
    async with sweeping(clock, sink, provider):
        await rounds(provider)
        assert set(provider.asked) == {None}, "the whole is asked for until it was told"
        provider.spoil = None
        await until(lambda: len(sink.commands) >= 2)
        await rounds(provider)
    assert sorted(sink.ids) == sorted(provider.ids())
    assert provider.asked[-1] is not None


async def _hang(page: ReportPage) -> ReportPage:
    await asyncio.Event().wait()
    return page


def _raise(page: ReportPage) -> ReportPage:
    raise RuntimeError(str(page))


@pytest.mark.parametrize("spoil", [_raise, lambda _: None, lambda _: 17, lambda page: replace(page, reports=(None,))])
async def test_a_bad_provider_holds_no_other_back(clock: StillClock, spoil: Callable[[ReportPage], Any]) -> None:
    bad, good, sink = Listening(name="bad", spoil=spoil), Listening(name="good"), Sink()
    good.dispute_one(clock)
    bad.dispute_one(clock)
    async with sweeping(clock, sink, bad, good):
        await until(lambda: len(sink.commands) >= 2)
        assert sorted(sink.ids) == sorted(good.ids())
        bad.spoil = None
        await until(lambda: len(sink.commands) >= 4)
    assert sorted(sink.ids) == sorted([*good.ids(), *bad.ids()])


async def test_a_provider_that_hangs_holds_no_other_back(clock: StillClock) -> None:
    class Hanging(Listening):
        async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
            return await _hang(ReportPage())

    good, sink = Listening(name="good"), Sink()
    good.dispute_one(clock)
    async with sweeping(clock, sink, Hanging(name="bad"), good):
        await until(lambda: len(sink.commands) >= 2)


async def test_a_report_that_is_none_of_ours_holds_no_other_back(clock: StillClock) -> None:
    provider, sink = Listening(), Sink()
    provider.dispute_one(clock)

    def spoil(page: ReportPage) -> ReportPage:
        strange = [replace(page.reports[0], account=AccountId(name)) for name in ("", "catalog/x", "a b", "ä")]
        return replace(page, reports=(*strange, *page.reports))

    provider.spoil = spoil
    async with sweeping(clock, sink, provider):
        await until(lambda: len(sink.commands) >= 2)
        await rounds(provider)
    assert sorted(sink.ids) == sorted(provider.ids())


async def test_what_the_log_did_not_take_is_sent_again(clock: StillClock) -> None:
    provider, sink = Listening(), Sink(refusals=3)
    provider.dispute_one(clock)
    async with sweeping(clock, sink, provider):
        await until(lambda: len(sink.commands) >= 2)
        await rounds(provider)
    assert sorted(sink.ids) == sorted(provider.ids())


async def test_only_the_gateway_that_has_the_first_partition_sweeps(clock: StillClock) -> None:
    provider, sink = Listening(), Sink()
    async with sweeping(clock, sink, provider, is_ours=False) as sweep:
        await asyncio.sleep(0)
        assert provider.asked == []
        sweep.assign(is_ours=True)
        await rounds(provider)
