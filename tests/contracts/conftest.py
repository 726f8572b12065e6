"""Fixtures of the contracts with payment providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.sandbox_kit import Receiver, SandboxUnderTest, receiving, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where webhooks arrive."""
    with receiving() as found:
        yield found


@pytest.fixture
def sandbox(tmp_path: Path, receiver: Receiver) -> Iterator[SandboxUnderTest]:
    """A sandbox of one's own, whose webhooks go to the receiver."""
    with served(tmp_path, receiver) as found:
        yield found
