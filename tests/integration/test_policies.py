"""Policies from the environment: read strictly, checked together, and said so that whoever runs it can mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from domain.policies.settings import Policies, PoliciesInvalidError, RepeatedOrder
from infra.policies import PREFIX, load_policies, parse_duration
from infra.settings import Settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests is not to matter."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)


def documented() -> dict[str, str]:
    """Policies as the example has them."""
    lines = (line.partition("=") for line in EXAMPLE.read_text("utf-8").splitlines() if line.startswith(PREFIX))
    return {name: value for name, _, value in lines}


def test_every_policy_is_explained_with_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert documented().keys() == {f"{PREFIX}{policy.name.upper()}" for policy in fields(Policies)}
    for name, value in documented().items():
        monkeypatch.setenv(name, value)
    assert load_policies() == Policies()


def test_nothing_set_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(_env_file=None).policies == Policies()
    monkeypatch.setenv(f"{PREFIX}GRACE", "")
    assert load_policies() == Policies()


def test_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("GRACE", "5"),
        ("RENEWAL_OFFSETS", "-P5D, -36h,0, 2d"),
        ("REFUND_UNUSED", "false"),
        ("REPEATED_ORDER", "reject"),
        ("MONTHS_MAX", "12"),
    ):
        monkeypatch.setenv(f"{PREFIX}{name}", value)
    policies = Settings(_env_file=None).policies
    assert policies.grace == timedelta(days=5)
    assert policies.renewal_offsets == (
        timedelta(days=-5),
        timedelta(hours=-36),
        timedelta(0),
        timedelta(days=2),
    )
    assert (policies.refund_unused, policies.repeated_order, policies.months_max) == (False, RepeatedOrder.REJECT, 12)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("P2D", timedelta(days=2)),
        ("PT1H", timedelta(hours=1)),
        ("-P3D", timedelta(days=-3)),
        ("P1DT12H", timedelta(hours=36)),
        ("2d", timedelta(days=2)),
        ("-3d", timedelta(days=-3)),
        ("90m", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("2", timedelta(days=2)),
    ],
)
def test_durations(written: str, length: timedelta) -> None:
    assert parse_duration(written) == length


@pytest.mark.parametrize("written", ["", "two days", "1.5", "P", "2 d", "1e3", "P1", "--1d", "٣d", "99999999d"])
def test_what_is_no_duration(written: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GRACE", "-1d", "BILLING_POLICY_GRACE must be 0 to"),
        ("GRACE", "soon", "BILLING_POLICY_GRACE: Value error, 'soon' is no duration"),
        ("RENEWAL_OFFSETS", "0,-1d", "BILLING_POLICY_RENEWAL_OFFSETS must be in order"),
        ("RENEWAL_OFFSETS", "-30d", "longer than the shortest month"),
        ("REPEATED_ORDER", "perhaps", "BILLING_POLICY_REPEATED_ORDER: Input should be 'first' or 'reject'"),
        ("ITEMS_MAX", "many", "BILLING_POLICY_ITEMS_MAX: Input should be a valid integer"),
        ("REFUND_UNUSED", "perhaps", "BILLING_POLICY_REFUND_UNUSED: Input should be a valid boolean"),
    ],
)
def test_what_makes_no_sense_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(PoliciesInvalidError) as caught:
        Settings(_env_file=None)
    assert said in str(caught.value)


@pytest.mark.parametrize("arguments", [("worker", "engine"), ("api",), ("up",)])
def test_a_process_says_so_in_one_sentence(data_dir: Path, arguments: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--data-dir", data_dir],
        env={**os.environ, f"{PREFIX}GRACE": "-1d"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("billing: BILLING_POLICY_GRACE must be 0 to")
    assert "Traceback" not in ended.stderr
