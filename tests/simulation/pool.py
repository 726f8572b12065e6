"""Many seeds on all cores, each history in a process that runs nothing else."""

from __future__ import annotations

import gc
import multiprocessing
import os
from typing import TYPE_CHECKING

from tests.simulation.history import Result, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from tests.simulation.evidence import Evidence
    from tests.simulation.settings import Settings
    from tests.simulation.world import Roles

SEEDS_AT_ONCE = 25
TASKS_OF_A_PROCESS = 8
"""After so many tasks a process ends, and all that its histories left goes with it: looking for what of it is garbage,
and taking that apart piece by piece, was an eighth of the time."""
RESULTS_S = 300.0
"""A process that was killed from outside, such as for want of memory, gives no result."""


class Pool:
    """Processes that run seeds: forked from one that has imported the product and done nothing else."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: as many as there are cores where nothing else is said."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.simulation.history"])
        self._pool = context.Pool(workers or os.cpu_count(), _be_lean, maxtasksperchild=TASKS_OF_A_PROCESS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.terminate()
        self._pool.join()

    def run(self, seeds: Sequence[int], settings: Settings, roles: Roles | None = None) -> Iterator[Result]:
        """Yield results as they come."""
        chunks = [
            (seeds[first : first + SEEDS_AT_ONCE], settings, roles) for first in range(0, len(seeds), SEEDS_AT_ONCE)
        ]
        done = self._pool.imap_unordered(run_some, chunks)
        for _ in chunks:
            yield from done.next(RESULTS_S)

    def evidence(self, seed: int, settings: Settings) -> Evidence:
        """Return what the history of a seed leaves to be judged."""
        return self._pool.apply_async(gather_evidence, (seed, settings)).get(RESULTS_S)

    def first_fault(self, seeds: Sequence[int], settings: Settings, roles: Roles) -> Result | None:
        """Return the result of the first seed that finds something."""
        return self._pool.apply_async(find_fault, (seeds, settings, roles)).get(RESULTS_S)


def _be_lean() -> None:
    """Nothing is looked through for garbage: neither what is imported nor what a short-lived process leaves."""
    gc.disable()
    gc.freeze()


def run_some(what: tuple[Sequence[int], Settings, Roles | None]) -> list[Result]:
    """Run some seeds in this process."""
    seeds, settings, roles = what
    return [run(seed, settings, roles) for seed in seeds]


def gather_evidence(seed: int, settings: Settings) -> Evidence:
    """Return what a history leaves."""
    found: list[Evidence] = []
    run(seed, settings, keep=found.append)
    return found[0]


def find_fault(seeds: Sequence[int], settings: Settings, roles: Roles) -> Result | None:
    """Run seeds until one finds something."""
    return next((result for seed in seeds if not (result := run(seed, settings, roles)).is_good), None)
