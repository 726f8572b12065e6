"""Asks the providers for what they tell by webhook alone: a lost webhook of a dispute, or of a refund that the bank
did not take, would else never be known.

What was told becomes the command that the webhook became, or would have become, with the same id: the engine decides
it once. So nothing has to be remembered for good. A process asks first for all that a provider still knows, and then
for what was told since it asked last; what it sent already it does not send again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from prometheus_client import Counter

from infra.logging import get_logger
from infra.oidc import is_account
from processors.bounded_call import NoAnswerError, bounded
from processors.gateway_call import is_readable
from processors.gateway_writer import AnswerNotSentError
from schemas.envelope import new_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from domain.ids import CommandId
    from domain.ports import Clock, PaymentProvider
    from domain.reports import ProviderReport, ReportPage
    from schemas.envelope import CommandRecord

log = get_logger(__name__)

SOURCE = "billing/gateway"
OVERLAP = timedelta(hours=1)
"""Clocks differ, and a provider may list something later than it happened."""
PAGES_MAX = 50
"""Of one round; the next one goes on behind them."""
SENT_MAX = 10_000

SWEPT = Counter("billing_gateway_swept_reports_total", "Reports that the sweep sent", ["provider"])
SWEEPS_INCOMPLETE = Counter("billing_gateway_sweeps_incomplete_total", "Sweeps that missed something", ["provider"])


@dataclass(slots=True)
class _Standing:
    """How far one provider was asked."""

    since: datetime | None = None
    """All that was told before is known."""
    begun_at: datetime | None = None
    cursor: str | None = None
    is_whole: bool = True
    sent: dict[CommandId, None] = field(default_factory=dict)


class Sweep:
    """One gateway of the group sweeps: the one that has the first partition. Where two do so, it does no harm."""

    def __init__(
        self,
        providers: Iterable[PaymentProvider],
        clock: Clock,
        send: Callable[[CommandRecord], Awaitable[None]],
        *,
        interval_s: float,
        call_timeout_s: float,
    ) -> None:
        """`send` returns when the broker has the command, or raises AnswerNotSentError. `interval_s` 0: never."""
        self._standings = {provider.name: (provider, _Standing()) for provider in providers}
        self._clock = clock
        self._send = send
        self._interval_s = interval_s
        self._call_timeout_s = call_timeout_s
        self._is_ours = asyncio.Event()
        self._is_due = asyncio.Event()
        self._due_at: datetime | None = None

    def assign(self, *, is_ours: bool) -> None:
        """Begin to sweep, or leave it to another gateway."""
        if is_ours:
            self._is_ours.set()
        else:
            self._is_ours.clear()

    def look(self) -> None:
        """Begin the next round where the clock says that it is time.

        A clock for development may be moved ahead by days, and providers forget what they told.
        """
        if self._due_at is not None and self._clock.now() >= self._due_at:
            self._is_due.set()

    async def run(self) -> None:
        """Sweep until cancelled: in each interval once, by the clock or by the machine's time, whichever is sooner."""
        while self._interval_s:
            await self._is_ours.wait()
            self._is_due.clear()
            self._due_at = self._clock.now() + timedelta(seconds=self._interval_s)
            for provider, standing in self._standings.values():
                await self._round(provider, standing)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._is_due.wait()

    async def _round(self, provider: PaymentProvider, standing: _Standing) -> None:
        """Ask for some pages. A page that does not come is asked for again, with all before it, in the next round."""
        if standing.cursor is None:
            standing.begun_at, standing.is_whole = self._clock.now(), True
        for _ in range(PAGES_MAX):
            trouble = await self._page(provider, standing)
            if trouble is not None:
                standing.is_whole = False
                log.warning("gateway.sweep.incomplete", provider=provider.name, reason=trouble)
            if standing.cursor is None:
                break
        else:
            return
        if standing.is_whole and standing.begun_at is not None:
            standing.since = standing.begun_at - OVERLAP
        else:
            SWEEPS_INCOMPLETE.labels(provider.name).inc()

    async def _page(self, provider: PaymentProvider, standing: _Standing) -> str | None:
        """Send what is on a page, and return why something of it may be missing."""
        try:
            asked = provider.reports(standing.since, cursor=standing.cursor)
            page: ReportPage = await bounded(asked, self._call_timeout_s)
            standing.cursor = page.next_cursor
            for report in page.reports:
                await self._report(provider.name, report, standing)
        except (NoAnswerError, AnswerNotSentError) as error:
            standing.cursor = None
            return str(error)
        except Exception as error:  # whatever an adapter returned: it must not end the sweep, nor hold others back
            standing.cursor = None
            return type(error).__name__
        return page.trouble

    async def _report(self, provider: str, report: ProviderReport, standing: _Standing) -> None:
        command_id = report.command_id(provider)
        if command_id in standing.sent:
            return
        if not is_account(report.account) or not is_readable(report.command):
            log.warning("gateway.sweep.unreadable", provider=provider, report_id=report.report_id)
            return
        await self._send(
            new_command(
                command_id=command_id,
                key=report.account,
                time=self._clock.now(),
                source=SOURCE,
                actor=f"provider:{provider}",
                data=report.command,
                causation_id=report.report_id,
            )
        )
        SWEPT.labels(provider).inc()
        standing.sent[command_id] = None
        if len(standing.sent) > SENT_MAX:
            standing.sent.pop(next(iter(standing.sent)))
