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


class Ground:
    """A server on which roles stand; it notes when it was stopped."""

    def __init__(self, name: str, stopped: Path) -> None:
        self._name = name
        self._stopped = stopped
        self.pid = os.getpid()

    def is_running(self) -> bool:
        return True

    def start(self) -> None:
        self._stopped.touch()

    def stop(self, *, grace_s: float = 0.0) -> None:
        with self._stopped.open("a") as stopped:
            stopped.write(f"{self._name} {grace_s}\n")


def test_roles_are_stopped_together_before_what_they_stand_on(supervisor: Supervisor, data_dir: Path) -> None:
    stopped = data_dir / "stopped"
    for name in ("database", "broker"):
        supervisor.start(name, Ground(name, stopped))
    for name in ("first", "second"):
        trap = f"trap 'echo {name} >> {stopped}; exit 0' TERM"
        script = f"{trap}; touch {data_dir}/{name}; while :; do sleep 0.01; done"
        supervisor.start(name, role(data_dir, name, script))
    poll_until(supervisor, lambda: (data_dir / "first").exists() and (data_dir / "second").exists())
    supervisor.stop_all()
    names = [line.split()[0] for line in stopped.read_text().splitlines()]
    assert set(names[:2]) == {"first", "second"}
    assert names[2:] == ["broker", "database"]
    assert supervisor.pids() == {}
