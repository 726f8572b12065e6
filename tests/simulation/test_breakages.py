"""Every fault that is built in on purpose is found, and its seed shows it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulation.breakages import BROKEN

if TYPE_CHECKING:
    from tests.simulation.pool import Pool

SEEDS = range(80)


@pytest.mark.parametrize("what", BROKEN)
def test_the_fault_is_found_and_its_seed_shows_it_again(pool: Pool, what: str) -> None:
    roles, settings = BROKEN[what]
    found = pool.first_fault(SEEDS, settings, roles)
    assert found is not None, f"{len(SEEDS)} seeds found nothing wrong with {what}"
    again = pool.first_fault([found.seed], settings, roles)
    assert again is not None
    assert (again.faults, again.digest, again.steps) == (found.faults, found.digest, found.steps)
    assert found.report().startswith(f"seed {found.seed}: ")
    assert found.faults[0] in found.report()
    assert found.last_events
