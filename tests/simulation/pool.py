"""Many seeds on all cores, each history in a process that runs nothing else."""

from __future__ import annotations

import gc
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING

from tests.simulation.history import Result, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from tests.simulation.evidence import Evidence
    from tests.simulation.world import Roles, Settings

SEEDS_AT_ONCE = 25


class Pool:
    """Processes that run seeds; started anew, so that nothing of this one is in them."""

    def __init__(self, workers: int | None = None) -> None:
        """`workers`: as many as there are cores where nothing else is said."""
        self._executor = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_be_lean
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def run(self, seeds: Sequence[int], settings: Settings, roles: Roles | None = None) -> Iterator[Result]:
        """Yield results as they come."""
        chunks = [seeds[first : first + SEEDS_AT_ONCE] for first in range(0, len(seeds), SEEDS_AT_ONCE)]
        for done in as_completed([self._executor.submit(run_some, chunk, settings, roles) for chunk in chunks]):
            yield from done.result()

    def evidence(self, seed: int, settings: Settings) -> Evidence:
        """Return what the history of a seed leaves to be judged."""
        return self._executor.submit(gather_evidence, seed, settings).result()

    def first_fault(self, seeds: Sequence[int], settings: Settings, roles: Roles) -> Result | None:
        """Return the result of the first seed that finds something."""
        return self._executor.submit(find_fault, seeds, settings, roles).result()


def _be_lean() -> None:
    """What is imported stays: looking through it for garbage took a tenth of the time."""
    gc.freeze()


def run_some(seeds: Sequence[int], settings: Settings, roles: Roles | None) -> list[Result]:
    """Run some seeds in this process."""
    gc.disable()  # histories are short, and each is thrown away as a whole
    results = [run(seed, settings, roles) for seed in seeds]
    gc.collect()
    return results


def gather_evidence(seed: int, settings: Settings) -> Evidence:
    """Return what a history leaves."""
    found: list[Evidence] = []
    run(seed, settings, keep=found.append)
    return found[0]


def find_fault(seeds: Sequence[int], settings: Settings, roles: Roles) -> Result | None:
    """Run seeds until one finds something."""
    return next((result for seed in seeds if not (result := run(seed, settings, roles)).is_good), None)
