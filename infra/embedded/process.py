"""Child processes that never outlive us, and the loopback ports they listen on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from infra.embedded.errors import PortTakenError, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOPBACK = "127.0.0.1"
_GUARD = str(Path(__file__).with_name("guard.py"))
_POLL_INTERVAL_S = 0.02
_LOG_TAIL_BYTES = 4_000


class ChildProcess:
    """One program, started in a session of its own (so that Ctrl-C reaches only us), its output appended to a file."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_path: Path,
        environment: Mapping[str, str] | None = None,
        user: str = "",
        orphan_signal: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start the program.

        `user` is the system user to become (only root can); `orphan_signal` is what the kernel sends it when we die.
        """
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self.log_path = log_path
        self.log_start = log_path.stat().st_size if log_path.exists() else 0
        guarded = [sys.executable, "-I", _GUARD, str(os.getpid()), str(int(orphan_signal)), user, *command]
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours
                guarded,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id; it stays the same when the guard becomes the program."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative numbers are signals."""
        return self._process.poll()

    def is_running(self) -> bool:
        """Whether it has not ended yet (a frozen process runs)."""
        return self.exit_code() is None

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal; one that has ended already is no error."""
        if self.is_running():
            self._process.send_signal(signal_number)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM, *, grace_s: float = 15.0) -> None:
        """Ask it to end, wait, and kill it where it does not."""
        self.send(signal_number)
        self.join(grace_s)

    def join(self, grace_s: float) -> None:
        """Wait for it to end by itself; kill it after that."""
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def log_since_start(self) -> str:
        """What it has written since this start."""
        with self.log_path.open("rb") as log:
            log.seek(self.log_start)
            return log.read().decode("utf-8", "replace")

    def log_tail(self) -> str:
        """The end of what it has written, for an error message."""
        return self.log_since_start()[-_LOG_TAIL_BYTES:].strip()

    def wait_until(self, ready: Callable[[], bool], *, what: str, timeout_s: float) -> None:
        """Poll until `ready()`; StartError with the end of the log where it ends or stays unready."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.is_running():
                raise StartError(f"{what} ended with code {self.exit_code()}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise StartError(f"{what} was not ready within {timeout_s:.0f} s:\n{self.log_tail()}")
            time.sleep(_POLL_INTERVAL_S)


def is_listening(port: int, host: str = LOOPBACK) -> bool:
    """Whether something accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def can_bind(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that is free at this moment; the kernel does not hand it out again soon."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def claim_port(port: int, *, what: str, advice: str, host: str = LOOPBACK) -> None:
    """PortTakenError where a server could not listen there."""
    if not can_bind(port, host):
        raise PortTakenError(f"{what} cannot listen on {host}:{port}, another program does. {advice}")
