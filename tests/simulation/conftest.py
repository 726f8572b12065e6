"""One pool for all: its processes import the product once, and configure its logging for themselves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    """Processes that run histories."""
    with Pool() as running:
        yield running
