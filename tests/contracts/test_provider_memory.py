"""The provider in memory keeps the port's promises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus
from domain.money import Money
from infra.memory.provider import MemoryProvider
from tests.contracts.provider_suite import ProviderContract

if TYPE_CHECKING:
    from domain.effects import ProviderAnswer


class MemoryWorld:
    """Everything is one object."""

    def __init__(self) -> None:
        self.provider = MemoryProvider(refused_currencies=frozenset({"XXX"}))

    def now(self) -> datetime:
        return datetime(2030, 1, 31, tzinfo=UTC)

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

    def charges(self, payment_id: str) -> list[Money]:
        return [
            page.amount
            for page in self.provider.pages.values()
            if page.payment_id == payment_id and page.status is AnswerStatus.SUCCEEDED
        ]


class TestMemoryProvider(ProviderContract):
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
