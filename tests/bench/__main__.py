"""`make bench`: measure everything in one run, and write the table of docs/benchmarks.md between its markers.

With names (`python -m tests.bench engine api`), only those are measured and nothing is written, but for `renewals`: it
takes minutes, so it runs by its name only, and has a part of the page of its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.table import bound, rows
from tests.stack import Stack, shared_stack

SECTIONS = ("eventsourcing", "producer", "engine", "fold", "api", "projector", "whole")
BY_NAME_ONLY = ("renewals",)
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = SECTIONS + BY_NAME_ONLY
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of: {', '.join(names)}")
    parser.add_argument("--renewals", type=int, default=100_000, help="how many the section `renewals` has")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(names):
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    return options


def measure(stack: Stack, section: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one section, by the function that runs it alone, too."""
    module = import_module(f"tests.bench.bench_{section}")
    if section == "eventsourcing":
        with stack.fresh_database() as database_url:
            figures: dict[str, Any] = module.measure(database_url)
    elif section == "renewals":
        figures = module.run(stack, options.renewals)
    else:
        figures = module.run(stack)
    return figures


def machine() -> str:
    """What it was measured on."""
    cores = os.cpu_count()
    model = next(
        (line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    load = os.getloadavg()[0]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiokafka", "faust-streaming", "psycopg", "rocksdict"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cores} cores ({model}), {memory_gib} GiB · "
        f"Python {platform.python_version()} · {libraries} · load before the run {load:.1f}"
    )


def _cpu_lines() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return []


def write_page(part: str, line: str, text: str, figures: dict[str, dict[str, Any]]) -> None:
    """Put what was measured between the marks of its part; what people wrote around it stays."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    page = PAGE.read_text("utf-8")
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{PAGE.name} has no place for {part}")
    details = f"<details><summary>All figures</summary>\n\n```json\n{json.dumps(figures, indent=1)}\n```\n</details>"
    PAGE.write_text(f"{before}{begin}\n\n{line}\n\n{text}\n\n{details}\n\n{end}{after}", "utf-8")


def markdown(table: list[tuple[str, ...]]) -> str:
    """A table as documents have it."""
    head = ("what", "measured", "required", "beside it", "")
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *table)]
    return "\n".join(lines)


def main() -> int:
    """Measure; 1 where a requirement is not met."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # new topics have no leader for a moment, which is no news
    options = arguments()
    line = machine()
    figures: dict[str, dict[str, Any]] = {}
    with shared_stack() as stack:
        for section in options.sections or SECTIONS:
            begin = time.perf_counter()
            figures[section] = measure(stack, section, options)
            sys.stderr.write(f"{section}: {time.perf_counter() - begin:.0f} s {figures[section]}\n")
    table = rows(figures)
    text = markdown(table)
    sys.stdout.write(f"{line}\n\n{text}\n")
    if not options.sections:
        write_page("measured", line, text, figures)
    for section in set(figures) & set(BY_NAME_ONLY):
        only = {section: figures[section]}
        write_page(section, line, f"{markdown(rows(only))}\n\n{bound(only[section])}", only)
    return 1 if any(row[-1].startswith("below") for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
