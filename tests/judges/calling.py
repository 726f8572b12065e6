"""Whether the judges were called, and what is said of one that does not come."""

from __future__ import annotations

import os

import pytest

REQUIRED = "BILLING_JUDGES_REQUIRED"
"""Set by `make judges`: a judge that does not come is then a failure, unless what it needs is not on this machine."""


def leave_out(judge: str, why: str, *, could_come: bool = True) -> None:
    """Says what was left out; fails instead where the judge was called and could have come."""
    if os.environ.get(REQUIRED) and could_come:
        pytest.fail(f"{judge}: {why}")
    pytest.skip(f"left out: the judgement by {judge}. {why}")


def wanted(judge: str) -> None:
    """The judges run scenarios once more, so they come only when they are called."""
    if not os.environ.get(REQUIRED):
        leave_out(judge, "`make judges` runs it.")
