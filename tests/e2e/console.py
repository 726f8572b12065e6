"""The console script in processes that need not import the product anew: one that has done so forks for each command.

Importing is all that most commands do, half a second to one and a half of it, and these tests run hundreds of them.
Run as a program this is the process that forks: a request is a line of JSON on stdin, the exit code its answer.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TIMEOUT_S = 240.0
IMPORTED = (
    "aiokafka",
    "api.app",
    "cli.diagnosis",
    "joserfc.jwt",
    "projections.audit.explanation",
    "projections.audit.verification",
    "sqlalchemy.ext.asyncio",
)
"""What commands import when they are called. What is missing here costs time and nothing else."""


class Console:
    """Runs commands one after the other."""

    def __init__(self) -> None:
        """Begin to import; it ends with this process."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.console"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._one_at_a_time = threading.Lock()
        atexit.register(self._process.kill)

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        assert self._process.stdin is not None
        with self._one_at_a_time, tempfile.TemporaryDirectory() as folder:
            request = {"arguments": arguments, "environment": dict(environment), "folder": folder}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._answer())
            said, complained = ((Path(folder) / name).read_text("utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(["billing", *arguments], code, said, complained)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(TIMEOUT_S), f"the command did not end within {TIMEOUT_S} s"
        return self._process.stdout.readline()


def _become(request: dict[str, Any]) -> None:
    """Be the process that the request describes."""
    folder = Path(request["folder"])
    for number, path, flags in (
        (0, Path(os.devnull), os.O_RDONLY),
        (1, folder / "stdout", os.O_WRONLY | os.O_CREAT),
        (2, folder / "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["billing", *request["arguments"]]


def _serve() -> None:
    from cli.main import main

    for name in IMPORTED:
        import_module(name)
    assert threading.active_count() == 1, "what forks must be alone"
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
            _end_with(main)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _end_with(main: Callable[[], None]) -> NoReturn:
    """Run it and end as the interpreter does, but for taking everything apart that was imported."""
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
