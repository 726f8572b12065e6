"""Policies that make no sense are refused before anything is decided by them, and no fold ever asks a policy."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

import domain
from domain.policies.settings import Policies, PoliciesInvalidError, in_words, require_sound

DAY = timedelta(days=1)
FOLDS = [path for path in Path(str(domain.__file__)).parent.rglob("*.py") if "def evolve(" in path.read_text("utf-8")]


def test_the_defaults_are_sound() -> None:
    require_sound(Policies())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grace": -DAY}, "grace must be 0 to"),
        ({"refund_window": timedelta(seconds=-1)}, "refund_window must be 0 to"),
        ({"refund_window": timedelta(days=40_000)}, "refund_window must be 0 to 36525 days, not 40000 days"),
        ({"payment_expiry": timedelta(minutes=29)}, "payment_expiry must be 30 minutes to 24 hours, not 29 minutes"),
        ({"payment_expiry": timedelta(hours=25)}, "payment_expiry must be 30 minutes to 24 hours, not 25 hours"),
        ({"call_repeat_delays": ()}, "call_repeat_delays must have 1 to 50 delays, not 0"),
        ({"sweep_delays": (timedelta(0),)}, "sweep_delays must all be longer than nothing"),
        ({"sweep_delays": (DAY, -DAY)}, "sweep_delays must all be longer than nothing, not -1 days"),
        ({"renewal_offsets": ()}, "renewal_offsets must have 1 to 50 times, not 0"),
        ({"renewal_offsets": (-DAY, -3 * DAY)}, "renewal_offsets must be in order"),
        ({"renewal_offsets": (-DAY, -DAY)}, "renewal_offsets must be in order"),
        ({"renewal_offsets": (-29 * DAY,)}, "renewal_offsets begin 29 days before the end: longer than the shortest"),
        ({"renewal_offsets": (-DAY, 3 * DAY)}, "when the grace of 2 days is over"),
        ({"plan_change_expiry": timedelta(minutes=29)}, "plan_change_expiry must be 30 minutes to 24 hours"),
        ({"pauses_per_period_max": -1}, "pauses_per_period_max must be 0 to 1000, not -1"),
        ({"pause_max": timedelta(0)}, "pause_max must be longer than nothing"),
        ({"migration_ahead_max": DAY}, "migration_ahead_max must not be shorter than migration_notice"),
        (
            {"grace": timedelta(0), "renewal_offsets": (-DAY,), "end_lead_without_grace": timedelta(0)},
            "end_lead_without_grace must be longer than nothing",
        ),
        ({"items_max": 0}, "items_max must be 1 to 100, not 0"),
        ({"open_orders_max": 1001}, "open_orders_max must be 1 to 1000, not 1001"),
        ({"months_max": -1}, "months_max must be"),
        ({"extension_days_max": 10**9}, "extension_days_max must be"),
    ],
)
def test_what_makes_no_sense_is_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(PoliciesInvalidError) as caught:
        require_sound(replace(Policies(), **changes))  # type: ignore[arg-type]
    assert said in str(caught.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(PoliciesInvalidError) as caught:
        require_sound(replace(Policies(), items_max=0, months_max=0))
    assert len(caught.value.problems) == 2


def test_lengths_in_words() -> None:
    lengths = [timedelta(days=2), timedelta(hours=36), timedelta(minutes=90), timedelta(seconds=61)]
    assert [in_words(length) for length in lengths] == ["2 days", "36 hours", "90 minutes", "61 seconds"]


def test_there_are_folds_to_be_looked_at() -> None:
    assert len(FOLDS) >= 8


@pytest.mark.parametrize("path", FOLDS, ids=lambda path: "/".join(path.parts[-2:]))
def test_a_replay_decides_nothing_anew(path: Path) -> None:
    """A fold that asked a policy would give another state years later, when the policy is another."""
    tree = ast.parse(path.read_text("utf-8"))
    folds = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "evolve"]
    for fold in folds:
        arguments = {argument.arg for argument in (*fold.args.args, *fold.args.kwonlyargs)}
        assert not arguments & {"policies", "command", "at", "now"}, f"{path}: a fold has the state and the event"
        assert "polic" not in ast.unparse(fold)
    if path.name == "evolve.py":
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not any("policies" in (node.module or "") for node in imported)
