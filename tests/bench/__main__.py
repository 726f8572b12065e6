"""`make bench`: measure everything in one run, and write the table of docs/benchmarks.md between its markers.

With names (`python -m tests.bench engine api`), only those are measured and nothing is written.
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

from tests.bench.table import rows
from tests.stack import Stack, shared_stack

SECTIONS = ("eventsourcing", "producer", "engine", "fold", "api", "projector", "whole")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of: {', '.join(SECTIONS)}")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(sorted(unknown))}")
    return options


def measure(stack: Stack, section: str) -> dict[str, Any]:
    """The figures of one section, by the function that runs it alone, too."""
    module = import_module(f"tests.bench.bench_{section}")
    if section == "eventsourcing":
        with stack.fresh_database() as database_url:
            figures: dict[str, Any] = module.measure(database_url)
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


def write_page(line: str, table: str, figures: dict[str, dict[str, Any]]) -> None:
    """Put the table in its place; what people wrote around it stays."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    details = f"<details><summary>All figures</summary>\n\n```json\n{json.dumps(figures, indent=1)}\n```\n</details>"
    PAGE.write_text(f"{before}{BEGIN}\n\n{line}\n\n{table}\n\n{details}\n\n{END}{after}", "utf-8")


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
            figures[section] = measure(stack, section)
            sys.stderr.write(f"{section}: {time.perf_counter() - begin:.0f} s {figures[section]}\n")
    table = rows(figures)
    text = markdown(table)
    sys.stdout.write(f"{line}\n\n{text}\n")
    if not options.sections:
        write_page(line, text, figures)
    return 1 if any(row[-1].startswith("below") for row in table) else 0


if __name__ == "__main__":
    sys.exit(main())
