"""Fixtures of the tests that break things on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.journal_harness import Bench
from tests.conftest import PARTITIONS

if TYPE_CHECKING:
    from pathlib import Path

    from infra.kafka.topics import Topics
    from tests.stack import Stack


@pytest.fixture
def bench(stack: Stack, topics: Topics, data_dir: Path) -> Bench:
    """One partition on the shared broker, with topics and a store of its own."""
    return Bench(
        bootstrap=stack.kafka_bootstrap, topics=topics, store_path=data_dir / "store" / "0", partitions=PARTITIONS
    )
