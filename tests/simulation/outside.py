"""What happens outside of the product: banks that decide about money, and webhooks on their way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.refunds.commands import AnswerRefund

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from domain.reports import ProviderReport
    from tests.simulation.world import World

BOUNCES = 0.25
"""How often a bank does not take a refund."""
INQUIRED = 0.25
"""How often a bank only asks about a payment."""
DISPUTED, PAID_MEANWHILE, SLOWLY = 0.1, 0.4, 0.2
HELD_COME = 0.6
"""How often a webhook that was held comes at all."""
UNDER_WAY_S_MAX = 60.0
DISPUTE_S_MAX = 10 * 86_400.0


class Webhooks(Enum):
    """What becomes of webhooks."""

    COME = "come"
    """Most of them, some of them twice, and not in their order."""
    ARE_LOST = "are lost"
    ARE_HELD = "are held"
    """Until the provider's bad day is over: then a part of them comes, in any order."""


class Outside:
    """Everybody but us and our customers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.random
        self._webhooks = Webhooks.COME
        self._held: list[ProviderReport] = []
        self._under_way: list[Coroutine[Any, Any, object]] = []

    def hear(self, report: ProviderReport) -> None:
        """The provider tells something: late, often, or to nobody."""
        random, command = self._random, report.command
        if isinstance(command, AnswerRefund):
            if command.answer.status is RefundAnswerStatus.PENDING:
                self._world.later(self._settle_refund, command.answer.reference)
            elif command.answer.status is RefundAnswerStatus.SUCCEEDED and random.random() < BOUNCES:
                self._world.later(self._bounce_refund, command.answer.reference)
        if self._webhooks is Webhooks.ARE_LOST:
            return
        if self._webhooks is Webhooks.ARE_HELD:
            self._held.append(report)
            return
        chance = random.random()
        copies = 1 if chance < 0.6 else 0 if chance < 0.8 else random.choice((2, 3))
        for _ in range(copies):
            self._world.later(self._deliver, report)

    def let_webhooks(self, webhooks: Webhooks) -> None:
        """From now on they come, are lost, or are held. Of those that were held a part comes now, in any order."""
        self._webhooks = webhooks
        held, self._held = self._held, []
        for report in held:
            if self._random.random() < HELD_COME:
                self._world.later(self._deliver, report)

    def carry(self, call: Coroutine[Any, Any, object]) -> None:
        """Let a call arrive that nobody waits for any more."""
        self._under_way.append(call)
        self._world.later(self._arrive, call)

    def arrive(self) -> None:
        """Let all of them arrive: they take less than a minute, and so no leap of time passes over them."""
        arriving, self._under_way = self._under_way, []
        for call in arriving:
            with suppress(StopIteration):
                call.send(None)

    async def _arrive(self, call: Coroutine[Any, Any, object]) -> None:
        await asyncio.sleep(self._random.uniform(1, UNDER_WAY_S_MAX))
        if call in self._under_way:
            self._under_way.remove(call)
            await call

    def pay_pages(self) -> None:
        """Customers pay, at once or by something slow, wherever they are asked to."""
        world, random = self._world, self._random
        for row in world.tables.rows.get("payments", {}).values():
            if row["status"] == "action_required" and random.random() < PAID_MEANWHILE:
                if random.random() < SLOWLY:
                    world.provider.process(row["reference"])
                    world.later(self.collect, row["reference"])
                else:
                    world.provider.pay(row["reference"], world.clock.now())

    def take_back(self, disputed: float = DISPUTED) -> None:
        """Banks do not take refunds that had succeeded, and dispute what was paid, whether we heard of it or not."""
        provider, now, random = self._world.provider, self._world.clock.now(), self._random
        for reference in [*provider.refunds]:
            if random.random() < BOUNCES:
                provider.bounce_refund(reference, now)
        paid = [
            collected.reference
            for collected in (*provider.pages.values(), *provider.charges.values())
            if collected.status is AnswerStatus.SUCCEEDED
        ]
        if paid and random.random() < disputed:
            self.dispute(random.choice(paid))

    def dispute(self, reference: str) -> None:
        """A customer's bank takes the money of a payment back, or asks about it; it decides at some later time."""
        is_inquiry = self._random.random() < INQUIRED
        report = self._world.provider.dispute(reference, self._world.clock.now(), is_inquiry=is_inquiry)
        if report is not None:
            self._world.later(self._decide, report.reference)

    async def collect(self, reference: str) -> None:
        """A means of payment that takes its time brings its money."""
        await asyncio.sleep(self._random.expovariate(1 / 60))
        self._world.provider.pay(reference, self._world.clock.now())

    async def _decide(self, reference: str) -> None:
        """The customer's bank looks at a dispute, or not, and decides it."""
        random, world = self._random, self._world
        delay_s = min(world.settings.pause_s, DISPUTE_S_MAX)
        if random.random() < 0.5:
            await asyncio.sleep(random.expovariate(1 / delay_s))
            world.provider.decide_dispute(reference, world.clock.now(), DisputeStatus.UNDER_REVIEW)
        await asyncio.sleep(random.expovariate(1 / delay_s))
        verdict = random.choice((DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED))
        world.provider.decide_dispute(reference, world.clock.now(), verdict)

    async def _settle_refund(self, reference: str) -> None:
        await asyncio.sleep(self._random.expovariate(1 / 60))
        self._world.provider.settle_refund(reference, succeeds=self._random.random() < 0.8)

    async def _bounce_refund(self, reference: str) -> None:
        """The customer's bank does not take a refund that had succeeded."""
        await asyncio.sleep(self._random.expovariate(1 / 60))
        self._world.provider.bounce_refund(reference, self._world.clock.now())

    async def _deliver(self, report: ProviderReport) -> None:
        """What `api.routes.webhooks` makes of a verified webhook."""
        await asyncio.sleep(self._random.expovariate(1 / 5))
        provider = self._world.provider.name
        await self._world.send(
            report.account,
            report.command,
            report.command_id(provider),
            actor=f"provider:{provider}",
            source=f"billing/webhooks/{provider}",
        )
