"""The catalogue of problems: each code is a rule's or ours, is documented, and is provoked by some test."""

from __future__ import annotations

import re
from pathlib import Path

from api.problems import STATUS_BY_CODE, Problem
from domain import errors
from domain.errors import DomainError

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"\| `(\w+)` \| (\d{3}) \| (\S.*\.) \| (\S.*\.) \|")
UNPROVOKED = ["decision_failed"]
"""A bug of ours in a decision; tests/chaos/test_deciders_that_raise.py plays one."""


def test_every_rule_of_the_domain_has_a_status() -> None:
    codes = {
        found.code
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, DomainError) and found is not DomainError
    }
    assert codes <= STATUS_BY_CODE.keys()


def test_every_problem_is_documented() -> None:
    lines = (ROOT / "docs/problems.md").read_text("utf-8").splitlines()
    rows = [ROW.fullmatch(line) for line in lines if line.startswith("| `")]
    documented = [(row[1], int(row[2])) for row in rows if row is not None]
    assert len(documented) == len(rows) == len(dict(documented))
    assert dict(documented) == STATUS_BY_CODE


def test_every_problem_is_provoked() -> None:
    """A test that expects a code names it; whether it comes is that test's to say."""
    tests = [*(ROOT / "tests/api").glob("test_*.py"), *(ROOT / "tests/e2e").rglob("test_*.py")]
    text = "\n".join(path.read_text("utf-8") for path in tests if path != Path(__file__))
    assert [code for code in STATUS_BY_CODE if f'"{code}"' not in text] == UNPROVOKED


def test_problem_can_say_what_no_json_can() -> None:
    body = Problem("order_unknown", "There is no order '\ud800'.", extra={"errors": ["\udfff"]}).encoded("r")
    assert b"order_unknown" in body
