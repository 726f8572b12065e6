"""Histories full of accidents in which nothing may go wrong, and the proof that the seed alone decides them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.simulation.settings import Settings

if TYPE_CHECKING:
    from tests.simulation.pool import Pool

SEEDS = range(200)


def test_nothing_goes_wrong(pool: Pool) -> None:
    results = list(pool.run(SEEDS, Settings()))
    assert not [result.report() for result in results if not result.is_good]
    assert len(results) == len(SEEDS)
    assert sum(result.events for result in results) > 50 * len(SEEDS), "the histories are empty"
    assert len({result.digest for result in results}) == len(SEEDS), "two seeds have the same history"


def test_the_seed_alone_decides_what_happens() -> None:
    """Not the order of a set, nor anything else that differs between two processes."""
    told = [
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "11"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    ]
    assert "digest" in told[0]
    assert told[0] == told[1]
