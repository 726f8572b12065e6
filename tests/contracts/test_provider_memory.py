"""The provider in memory keeps the port's promises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.money import Money
from infra.memory.provider import MemoryProvider
from tests.contracts.money_suite import ChargeContract, RefundContract
from tests.contracts.provider_suite import ProviderContract
from tests.contracts.report_suite import ReportContract

if TYPE_CHECKING:
    from domain.effects import ProviderAnswer
    from infra.memory.books import Collection


class MemoryWorld:
    """Everything is one object."""

    def __init__(self) -> None:
        self.provider = MemoryProvider(now=self.now, refused_currencies=frozenset({"XXX"}), reports_a_page=2)
        self._now = datetime(2030, 1, 31, tzinfo=UTC)
        self._refunds_fail = False

    def now(self) -> datetime:
        return self._now

    def advance(self, **parts: int) -> None:
        self._now += timedelta(**parts)

    def pay(self, page: ProviderAnswer) -> None:
        self.provider.pay(str(page.reference), self.now())

    def decline(self, page: ProviderAnswer) -> None:
        self.provider.decline(str(page.reference), "insufficient_funds")

    def lapse(self, page: ProviderAnswer) -> None:
        self.provider.pages[str(page.reference)].status = AnswerStatus.CLOSED

    def lose_next_answer(self) -> None:
        self.provider.lose_answers = 1

    def drop_next_call(self) -> None:
        self.provider.drop_calls = 1

    def refused(self) -> Money:
        return Money(amount=100, currency="XXX")

    def refuse(self, asked: ProviderAnswer) -> None:
        self.provider.decline(str(asked.reference), "authentication_failed")

    def spoil(self, method: str, *, declines: str | None = None, authenticates: bool = False) -> None:
        found = self.provider.methods[method]
        found.declines, found.hard, found.authenticates = declines, declines == "lost_card", authenticates

    def slow_refunds(self, *, fail: bool) -> None:
        self.provider.refunds_become, self._refunds_fail = RefundAnswerStatus.PENDING, fail

    def settle(self, refund_reference: str) -> None:
        self.provider.settle_refund(refund_reference, succeeds=not self._refunds_fail)
        self.provider.refunds_become = RefundAnswerStatus.SUCCEEDED

    def bank_disputes(self, payment_reference: str) -> str:
        report = self.provider.dispute(payment_reference, self.now())
        assert report is not None
        return report.reference

    def bank_decides(self, dispute_reference: str, *, won: bool) -> None:
        self.provider.decide_dispute(dispute_reference, self.now(), DisputeStatus.WON if won else DisputeStatus.LOST)

    def pay_with_a_card_that_takes_nothing_back(self, asked: ProviderAnswer) -> None:
        self.pay(asked)

    def bounce(self, refund_reference: str) -> None:
        self.provider.bounce_refund(refund_reference, self.now())

    def fail_next_question(self) -> None:
        self.drop_next_call()

    def charges(self, payment_id: str) -> list[Money]:
        entries = self._entries(payment_id)
        return [entry.amount for entry in entries if entry.status is AnswerStatus.SUCCEEDED]

    def returned(self, payment_id: str) -> int:
        return sum(entry.returned for entry in self._entries(payment_id))

    def _entries(self, payment_id: str) -> list[Collection]:
        entries = (*self.provider.pages.values(), *self.provider.charges.values())
        return [entry for entry in entries if entry.payment_id == payment_id]


class TestMemoryProvider(ProviderContract, ChargeContract, RefundContract, ReportContract):
    @pytest.fixture
    def world(self) -> MemoryWorld:
        return MemoryWorld()


async def test_money_that_takes_its_time_is_processing_and_cannot_be_closed() -> None:
    world = MemoryWorld()
    contract = ProviderContract()
    effect = contract.effect(world)
    page = await contract.open_page(world, effect)
    told = world.provider.process(str(page.reference))
    assert told.status is AnswerStatus.PROCESSING
    world.pay(page)
    assert world.charges(effect.payment_id) == [effect.amount]
    assert world.provider.decline(str(page.reference), "late").status is AnswerStatus.SUCCEEDED
