"""The garbage collector of a worker: states and rows live long and refer to nothing in circles."""

from __future__ import annotations

import gc

YOUNG_MAX = 100_000
"""Python's default of 700 new objects makes a worker look for circles thousands of times in one fold of the log."""


def collect_rarely() -> None:
    """Look for circles rarely, and never again in what is there now: it cost up to half of a worker's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, 50, 100)
