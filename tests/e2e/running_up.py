"""`billing up` as a process of its own, as a stranger would start it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import psutil

from tests.e2e.console import TIMEOUT_S, Console
from tests.stack import scratch_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

READY_TIMEOUT_S = 150.0
STOP_TIMEOUT_S = 60.0


def environment() -> dict[str, str]:
    """Ours without any configuration of the product, but for the cache of jars."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BILLING_") or name == "BILLING_CACHE_DIR"
    }


@cache
def _console() -> Console:
    return Console()


_tried: set[tuple[str, ...]] = set()


def billing(*arguments: str | Path, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """One command of the console script: the first time as a stranger runs it, later in the quick way."""
    words = [str(argument) for argument in arguments]
    told = {**environment(), "BILLING_DATA_DIR": str(data_dir)}
    command = tuple(words[:2])
    if command in _tried:
        return _console().run(words, told)
    _tried.add(command)
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        env=told,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


class RunningUp:
    """A `billing up`; `start()` returns when it says that it is ready."""

    def __init__(self, data_dir: Path, *options: str, settings: dict[str, str] | None = None) -> None:
        """`settings` are variables of the product."""
        self.data_dir = data_dir
        self._settings = settings or {}
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> None:
        """Start it; the address is taken from the last line that it prints."""
        with (self.data_dir / "up.stderr").open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", "--data-dir", self.data_dir, "--port", "0", *self._options],
                env={**environment(), **self._settings},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        line = self._read_line()
        if not line.startswith("ready http://"):
            self.stop()
            raise AssertionError(f"{line!r}\n{self.said()}")
        self.url = line.split()[1]

    def _read_line(self) -> str:
        """The next line that it prints; empty where it ended or was silent for too long."""
        assert self._process is not None
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return self._process.stdout.readline() if selector.select(READY_TIMEOUT_S) else ""

    def said(self) -> str:
        """What it wrote for people."""
        return (self.data_dir / "up.stderr").read_text("utf-8")[-4_000:]

    def doctor(self) -> dict[str, Any]:
        """`billing doctor --json`."""
        document: dict[str, Any] = json.loads(billing("doctor", "--json", data_dir=self.data_dir).stdout)
        return document

    def advance(self, duration: str) -> None:
        """`billing clock advance`."""
        moved = billing("clock", "advance", duration, data_dir=self.data_dir)
        assert moved.returncode == 0, moved.stderr

    def advance_to(self, moment: datetime) -> None:
        """The same, to the second."""
        shown = json.loads(billing("clock", "show", "--json", data_dir=self.data_dir).stdout)
        self.advance(f"{int((moment - datetime.fromisoformat(shown['now'])).total_seconds())}s")

    def token(self, account: str, role: str = "user") -> str:
        """`billing token`."""
        return billing("token", "--account", account, "--role", role, data_dir=self.data_dir).stdout.strip()

    def pids(self) -> dict[str, int]:
        """Process ids by role, as the stack file has them."""
        pids: dict[str, int] = json.loads((self.data_dir / "stack.json").read_bytes())["pids"]
        return pids

    def children(self) -> list[psutil.Process]:
        """What the supervisor has started, as the system sees it."""
        assert self._process is not None
        children: list[psutil.Process] = psutil.Process(self._process.pid).children()
        return children

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the supervisor and wait for its end; returns its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def stop(self) -> None:
        """End it, however it is; for the end of a test."""
        if self._process is not None:
            self.signal(signal.SIGTERM)


@contextmanager
def running_up(*options: str, settings: dict[str, str] | None = None) -> Iterator[RunningUp]:
    """One that is ready, in a data directory of its own, and is stopped in the end."""
    with scratch_dir() as data_dir:
        running = RunningUp(data_dir, *options, settings=settings)
        running.start()
        try:
            yield running
        finally:
            running.stop()


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = 120.0) -> None:
    """Poll for something that other processes bring about."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    """Whether a process has ended (a zombie that nobody has waited for is gone)."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
