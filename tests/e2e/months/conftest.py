"""One product whose clock is moved by months; each test works with accounts of its own, and leaves no fault behind.

What earlier tests left renews and ends meanwhile, as it does anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.running_up import running_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.running_up import RunningUp


@pytest.fixture(scope="package")
def up() -> Iterator[RunningUp]:
    """A product of their own."""
    with running_up() as running:
        yield running
