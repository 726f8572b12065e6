"""How pytest-xdist shares the tests out: files, the longest first; folders whose tests share what is dear to start."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer

SHARING = ("tests/e2e/months", "tests/e2e/buying", "tests/api", "tests/simulation")
"""Each of these starts one product (or pool of processes) for all of its files: one process runs the whole folder."""

LONGEST_FIRST = (*SHARING, "tests/e2e", "tests/integration", "tests/chaos", "tests/contracts", "tests/projections")
"""The others follow; their files take seconds, and fill the gaps in the end."""


def unit_of(nodeid: str) -> str:
    """What a test belongs to that must stay together: its folder or its file."""
    file = PurePosixPath(nodeid.split("::", 1)[0])
    return str(file.parent if str(file.parent) in SHARING else file)


def rank(nodeid: str) -> int:
    """The place of a test's folder in the order."""
    unit = PurePosixPath(unit_of(nodeid))
    folder = str(unit if str(unit) in SHARING else unit.parent)
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)


class Units(LoadFileScheduling):  # type: ignore[misc]  # xdist ships no types
    """Work in units, in the order of collection."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
