"""One product for all that is bought here; each test works with accounts, codes and files of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.running_up import running_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.running_up import RunningUp


@pytest.fixture(scope="package")
def up() -> Iterator[RunningUp]:
    """A product with four engine workers, whose clock is not moved."""
    with running_up("--workers", "4") as running:
        yield running
