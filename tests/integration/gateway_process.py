"""A gateway as a process of its own, for tests that kill it: `python -m tests.integration.gateway_process SETTINGS`.

Its provider says `called` on stdout for each call, and answers it when a line comes in on stdin.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from infra.logging import configure_logging
from infra.memory.provider import MemoryProvider
from infra.settings import Settings
from processors import gateway, gateway_writer

if TYPE_CHECKING:
    from domain.effects import CreateCheckout, ProviderAnswer


class ByHand(MemoryProvider):
    """A provider whose answers wait for the test."""

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        answer = await super().create_checkout(effect, account=account)
        sys.stdout.write("called\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        return answer


if __name__ == "__main__":
    configure_logging(role="gateway")
    gateway_writer.ATTEMPTS_MAX = 1
    gateway.DRAIN_TIMEOUT_S = 2.0
    gateway.run(Settings.model_validate_json(sys.argv[1]), {"memory": ByHand()})
