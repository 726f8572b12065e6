"""`make simulate`: thousands of short histories full of accidents, or one that lasts for years."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from tests.simulation.history import run
from tests.simulation.pool import Pool
from tests.simulation.settings import Settings
from tests.simulation.years import live_for_years

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.history import Result

SHOWN_EVERY_S = 2.0
FAILURES_MAX = 5


def main() -> int:
    """Run what the arguments ask for; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", default="2000", help="how many, or a range such as 5000-6000")
    parser.add_argument("--seed", type=int, help="one alone, to see it again")
    parser.add_argument("--workers", type=int, help="processes; as many as cores where nothing is said")
    parser.add_argument("--years", type=float, help="one long run instead of many short ones")
    parser.add_argument("--customers", type=int, default=1000)
    options = parser.parse_args()
    if options.years is not None:
        return live_for_years(options.years, options.customers, options.seed or 0)
    if options.seed is not None:
        return _show(run(options.seed, Settings()))
    return _run_many(_range(options.seeds), options.workers)


def _range(text: str) -> Sequence[int]:
    first, dash, last = text.partition("-")
    return range(int(first), int(last)) if dash else range(int(first))


def _show(result: Result) -> int:
    print(f"seed {result.seed}: {result.commands} commands, {result.events} events, digest {result.digest}")  # noqa: T201
    if result.is_good:
        return 0
    print(result.report())  # noqa: T201
    return 1


def _run_many(seeds: Sequence[int], workers: int | None) -> int:
    begin = shown = time.monotonic()
    done = commands = events = 0
    failures: list[Result] = []
    with Pool(workers) as pool:
        for result in pool.run(seeds, Settings()):
            done, commands, events = done + 1, commands + result.commands, events + result.events
            if not result.is_good:
                failures.append(result)
                print(f"{result.report()}\n  again: make simulate SEED={result.seed}", flush=True)  # noqa: T201
                if len(failures) >= FAILURES_MAX:
                    break
            if time.monotonic() - shown > SHOWN_EVERY_S:
                shown = time.monotonic()
                rate = done / (shown - begin) * 60
                print(f"{done} of {len(seeds)} seeds, {rate:,.0f} a minute", file=sys.stderr, flush=True)  # noqa: T201
    seconds = time.monotonic() - begin
    print(  # noqa: T201
        f"{done} seeds in {seconds:.1f} s, {done / seconds * 60:,.0f} a minute: {commands:,} commands, "
        f"{events:,} events, {len(failures)} seed(s) found something"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
