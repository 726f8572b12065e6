"""The Stripe adapter, at the sandbox, keeps the port's promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from domain.money import Money
from tests.contracts.provider_suite import ProviderContract
from tests.contracts.stripe_kit import provider_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from domain.effects import ProviderAnswer
    from infra.stripe.adapter import StripeProvider
    from tests.contracts.sandbox_kit import SandboxUnderTest

DECLINED_CARD = "4000000000009995"


class StripeWorld:
    """The sandbox speaks Stripe's API; its hosted page is played like a browser would."""

    def __init__(self, sandbox: SandboxUnderTest) -> None:
        self._sandbox = sandbox
        self.provider: StripeProvider = provider_of(sandbox)

    def now(self) -> datetime:
        return self._sandbox.clock.now()

    def pay(self, page: ProviderAnswer) -> None:
        self._sandbox.pay(str(page.confirmation_url))

    def decline(self, page: ProviderAnswer) -> None:
        self._sandbox.pay(str(page.confirmation_url), DECLINED_CARD)

    def lapse(self, page: ProviderAnswer) -> None:
        self._sandbox.act(str(page.confirmation_url), "abandon")

    def lose_next_answer(self) -> None:
        self._sandbox.fault("reset_after", count=1)

    def drop_next_call(self) -> None:
        self._sandbox.fault("reset", count=1)

    def refused(self) -> Money:
        return Money(amount=100, currency="XXX")

    def charges(self, payment_id: str) -> list[Money]:
        return [
            Money(amount=charge["amount"], currency=charge["currency"].upper())
            for charge in self._sandbox.charges()
            if charge["metadata"]["payment_id"] == payment_id
        ]


class TestStripeProvider(ProviderContract):
    @pytest.fixture
    async def world(self, sandbox: SandboxUnderTest) -> AsyncIterator[StripeWorld]:
        world = StripeWorld(sandbox)
        yield world
        await world.provider.close()
