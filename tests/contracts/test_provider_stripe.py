"""The Stripe adapter, at the sandbox, keeps the port's promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.money_suite import ChargeContract, RefundContract
from tests.contracts.provider_suite import ProviderContract
from tests.contracts.report_suite import ReportContract
from tests.contracts.stripe_kit import StripeWorld

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contracts.sandbox_kit import SandboxUnderTest


class TestStripeProvider(ProviderContract, ChargeContract, RefundContract, ReportContract):
    @pytest.fixture
    async def world(self, sandbox: SandboxUnderTest) -> AsyncIterator[StripeWorld]:
        world = StripeWorld(sandbox)
        yield world
        await world.provider.close()
