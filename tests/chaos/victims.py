"""The whole product as `billing up` runs it, and what is done to it: SIGKILL and SIGSTOP, by a schedule from a seed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from infra.embedded.process import ChildProcess
from infra.embedded.stack_file import StackFile, read_stack_file

if TYPE_CHECKING:
    import random
    from pathlib import Path

START_DEADLINE_S = 180.0
BACK_DEADLINE_S = 90.0
FREEZE_S = 15.0
"""Longer than every session timeout (10 s): when the victim wakes, others have taken its place."""
PAUSE_S_MIN, PAUSE_S_MAX = 4.0, 8.0

ROLES = ("engine-0", "engine-1", "gateway-0", "api-0", "projector-0", "sandbox-0")
SERVERS = ("kafka", "postgres")


class StackDiedError(Exception):
    """The supervisor itself ended, or did not bring a victim back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is done."""

    victim: str
    kind: str
    """`kill` or `freeze`."""


@dataclass(slots=True)
class Done:
    """A fault that was done, and how long it took until the victim ran again."""

    fault: Fault
    at_s: float
    back_s: float


class Stack:
    """A running `billing up` in a data directory of its own."""

    def __init__(self, data_dir: Path, *, workers: int) -> None:
        self.data_dir = data_dir
        self._workers = workers
        self._child: ChildProcess | None = None

    async def start(self) -> StackFile:
        """Start it; its addresses."""
        arguments = [
            "up",
            "--data-dir",
            str(self.data_dir),
            "--port",
            "0",
            "--workers",
            str(self._workers),
            "--no-demo",
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
        self._child = ChildProcess(
            [sys.executable, "-m", "cli.main", *arguments],
            log_path=self.data_dir.with_suffix(".log"),
            environment=environment,
            orphan_signal=signal.SIGTERM,
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while "\nready http" not in self._child.log_since_start():
            if not self._child.is_running() or time.monotonic() > deadline:
                raise StackDiedError(f"the stack did not start:\n{self._child.log_tail()}")
            await asyncio.sleep(0.2)
        return self.addresses()

    def addresses(self) -> StackFile:
        """What the stack says about itself now."""
        found = read_stack_file(self.data_dir / "stack.json")
        if found is None:
            raise StackDiedError(f"{self.data_dir} has no stack file")
        return found

    def require_alive(self) -> None:
        """StackDiedError where the supervisor has ended."""
        assert self._child is not None
        if not self._child.is_running():
            raise StackDiedError(f"the supervisor ended with code {self._child.exit_code()}:\n{self._child.log_tail()}")

    async def stop(self) -> int | None:
        """SIGTERM; the supervisor's exit code."""
        if self._child is None:
            return None
        await asyncio.to_thread(self._child.stop, grace_s=60.0)
        return self._child.exit_code()

    async def inflict(self, fault: Fault) -> None:
        """Do it, and wait until the victim runs again."""
        process = await self._running(fault.victim)
        family = [process, *process.children(recursive=True)] if fault.victim == "postgres" else [process]
        if fault.kind == "freeze":
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.suspend()
            await asyncio.sleep(FREEZE_S)
            for member in family:
                with suppress(psutil.NoSuchProcess):
                    member.resume()
            return
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        await self._until_back(fault.victim, process.pid)

    async def _running(self, name: str) -> psutil.Process:
        """The victim's process; one that ended by itself is waited for."""
        deadline = time.monotonic() + BACK_DEADLINE_S
        while time.monotonic() < deadline:
            self.require_alive()
            with suppress(psutil.NoSuchProcess, KeyError):
                return psutil.Process(self.addresses().pids[name])
            await asyncio.sleep(0.1)
        raise StackDiedError(f"{name} did not run within {BACK_DEADLINE_S:.0f} s")

    def deaths(self) -> Counter[str]:
        """How often the supervisor found each victim dead, by our hand or by its own."""
        assert self._child is not None
        lines = [line for line in self._child.log_since_start().splitlines() if "supervisor.process.died" in line]
        return Counter(found[1] for line in lines if (found := re.search(r"\bname=(\S+)", line)))

    async def _until_back(self, name: str, old: int) -> None:
        deadline = time.monotonic() + BACK_DEADLINE_S
        while time.monotonic() < deadline:
            self.require_alive()
            pid = self.addresses().pids.get(name, old)
            if pid != old and psutil.pid_exists(pid):
                return
            await asyncio.sleep(0.1)
        raise StackDiedError(f"{name} was not started again within {BACK_DEADLINE_S:.0f} s")


def schedule(dice: random.Random, *, rounds: int) -> list[Fault]:
    """Every role is killed and frozen in every round, broker and database are killed once a round, in random order."""
    faults: list[Fault] = []
    for _ in range(rounds):
        some = [Fault(victim=victim, kind=kind) for victim in ROLES for kind in ("kill", "freeze")]
        some += [Fault(victim=victim, kind="kill") for victim in SERVERS]
        dice.shuffle(some)
        faults += some
    return faults


@dataclass(slots=True)
class Torturer:
    """Works a schedule off; frozen victims thaw while others are already being hit."""

    stack: Stack
    dice: random.Random
    done: list[Done] = field(default_factory=list)
    _begin: float = field(default_factory=time.monotonic)
    _under_way: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def work(self, faults: list[Fault]) -> None:
        """Inflict all of them."""
        for fault in faults:
            await asyncio.sleep(self.dice.uniform(PAUSE_S_MIN, PAUSE_S_MAX))
            before = self._under_way.get(fault.victim)
            if before is not None:  # a victim is hit once at a time
                await before
            task = asyncio.create_task(self._inflict(fault), name=f"{fault.kind} {fault.victim}")
            self._under_way[fault.victim] = task
        await asyncio.gather(*self._under_way.values())

    async def _inflict(self, fault: Fault) -> None:
        begin = time.monotonic()
        await self.stack.inflict(fault)
        self.done.append(Done(fault=fault, at_s=begin - self._begin, back_s=time.monotonic() - begin))
