"""The supervisor of `billing up`: what dies comes back, what is stopped is gone, in the right order."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from cli.supervisor import Role, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.stop_all()


def role(data_dir: Path, name: str, script: str) -> Role:
    return Role(
        name=name, command=["sh", "-c", script], environment=dict(os.environ), log_path=data_dir / f"{name}.log"
    )


def poll_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        supervisor.poll()
        time.sleep(0.02)


def test_killed_role_comes_back(supervisor: Supervisor, data_dir: Path) -> None:
    changes: list[dict[str, int]] = []
    supervisor.on_change = lambda: changes.append(supervisor.pids())
    steady, victim = role(data_dir, "steady", "exec sleep 60"), role(data_dir, "victim", "exec sleep 60")
    supervisor.start("steady", steady)
    supervisor.start("victim", victim)
    before = supervisor.pids()

    assert victim.child is not None
    victim.child.kill()
    assert supervisor.pids() == {"steady": before["steady"]}
    poll_until(supervisor, lambda: bool(changes))

    assert changes[-1]["steady"] == before["steady"]
    assert changes[-1]["victim"] != before["victim"]


def test_role_that_always_dies_is_hopeless_and_others_live(supervisor: Supervisor, data_dir: Path) -> None:
    supervisor.start("steady", role(data_dir, "steady", "exec sleep 60"))
    supervisor.start("broken", role(data_dir, "broken", "echo cannot; exit 1"))
    poll_until(supervisor, lambda: supervisor.hopeless(3) == ["broken"])
    assert list(supervisor.pids()) == ["steady"]
    assert (data_dir / "broken.log").read_text().splitlines() == ["cannot"] * 3


def test_stop_is_in_opposite_order(supervisor: Supervisor, data_dir: Path) -> None:
    for name in ("first", "second"):
        trap = f"trap 'echo {name} >> {data_dir}/stopped; exit 0' TERM"
        script = f"{trap}; touch {data_dir}/{name}; while :; do sleep 0.01; done"
        supervisor.start(name, role(data_dir, name, script))
    poll_until(supervisor, lambda: (data_dir / "first").exists() and (data_dir / "second").exists())
    supervisor.stop_all()
    assert (data_dir / "stopped").read_text().split() == ["second", "first"]
    assert supervisor.pids() == {}
