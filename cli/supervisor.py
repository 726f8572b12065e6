"""Keeps the processes of a development stack alive: starts them, starts again what dies, stops all."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from infra.embedded.process import ChildProcess
from infra.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

log = get_logger(__name__)

_RESTART_DELAY_S_MIN = 0.2
_RESTART_DELAY_S_MAX = 10.0
_HEALTHY_AFTER_S = 30.0
"""A process that lived this long has recovered: its next death is the first one again."""


class Server(Protocol):
    """A broker or a database that we run: started in one call, ready when that returns."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def is_running(self) -> bool:
        """Whether its process exists."""

    def start(self) -> None:
        """Start it and wait until it answers."""

    def stop(self, *, grace_s: float = ...) -> None:
        """Stop it cleanly."""


@dataclass(slots=True)
class Role:
    """One of our own processes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    child: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.child is not None, "the role has not been started"
        return self.child.pid

    def is_running(self) -> bool:
        """Whether its process exists."""
        return self.child is not None and self.child.is_running()

    def start(self) -> None:
        """Start it; readiness is another question."""
        self.child = ChildProcess(self.command, log_path=self.log_path, environment=self.environment)

    def ask_to_stop(self) -> None:
        """SIGTERM, without waiting."""
        if self.child is not None:
            self.child.send(signal.SIGTERM)

    def stop(self, *, grace_s: float = 10.0) -> None:
        """SIGTERM, then SIGKILL."""
        if self.child is not None:
            self.child.stop(grace_s=grace_s)

    def log_tail(self) -> str:
        """The end of what it has written."""
        return self.child.log_tail() if self.child is not None else ""


@dataclass(slots=True)
class _Watched:
    name: str
    server: Server
    started_at: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """Watches servers and roles in the order in which they were started; stops them in the opposite order."""

    on_change: Callable[[], None] = lambda: None
    """Called after every start, so that the process ids that others read stay true."""
    _watched: list[_Watched] = field(default_factory=list)

    def start(self, name: str, server: Server) -> None:
        """Start it and keep it running from now on."""
        # Watched first: an interrupted start has left a process that must be stopped.
        self.watch(name, server)
        server.start()

    def watch(self, name: str, server: Server) -> None:
        """Keep running what somebody else starts."""
        self._watched.append(_Watched(name, server, time.monotonic()))

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that run."""
        return {watched.name: watched.server.pid for watched in self._watched if watched.server.is_running()}

    def hopeless(self, deaths_min: int) -> list[str]:
        """The names of those that have died that often in a row."""
        return [watched.name for watched in self._watched if watched.deaths >= deaths_min]

    def poll(self) -> None:
        """Look after everything once: note who died, start again whose delay is over."""
        for watched in self._watched:
            if watched.server.is_running():
                continue
            now = time.monotonic()
            if watched.restart_at is None:
                watched.deaths = 1 if now - watched.started_at > _HEALTHY_AFTER_S else watched.deaths + 1
                delay_s = min(_RESTART_DELAY_S_MIN * 2 ** (watched.deaths - 1), _RESTART_DELAY_S_MAX)
                watched.restart_at = now + delay_s
                log.warning("supervisor.process.died", name=watched.name, deaths=watched.deaths, restart_in_s=delay_s)
            elif now >= watched.restart_at:
                self._restart(watched)

    def stop_all(self) -> None:
        """Stop everything: the roles all at once, then, the last started first, what they stand on."""
        for watched in self._watched:
            if isinstance(watched.server, Role):
                watched.server.ask_to_stop()
        for watched in reversed(self._watched):
            began = time.monotonic()
            watched.server.stop()
            log.debug("supervisor.process.stopped", name=watched.name, seconds=round(time.monotonic() - began, 2))
        self._watched.clear()

    def _restart(self, watched: _Watched) -> None:
        watched.restart_at = None
        watched.started_at = time.monotonic()
        try:
            watched.server.start()
        except Exception:
            # Whatever kept it from starting may pass; it stays dead, and the next poll counts that as a death.
            log.exception("supervisor.process.not_started", name=watched.name)
            return
        log.warning("supervisor.process.restarted", name=watched.name, pid=watched.server.pid)
        self.on_change()
