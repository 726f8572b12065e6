"""One `billing up` for all tests of a file, since its start is the most expensive part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.running_up import RunningUp
from tests.stack import scratch_dir

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def up() -> Iterator[RunningUp]:
    """The product with two engine workers and the demo catalogue."""
    with scratch_dir() as data_dir:
        running = RunningUp(data_dir, "--workers", "2")
        running.start()
        try:
            yield running
        finally:
            running.stop()
