"""`<data-dir>/stack.json`: what a running `billing up` tells the other commands about itself.

The file holds the sandbox's keys, so it is readable by its owner alone.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import psutil


def own_command() -> tuple[str, ...]:
    """The words by which this process was started."""
    return tuple(psutil.Process().cmdline())


class StackFile(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and process ids of one running stack."""

    supervisor_pid: int
    supervisor_command: tuple[str, ...]
    """The words by which it was started: after its death, or a start of the machine, others may have its number."""
    kafka_bootstrap: str
    database_url: str
    api_url: str = ""
    sandbox_url: str = ""
    topic_prefix: str = "billing"
    partitions: int = 8
    stripe_secret_key: str = ""
    stripe_webhook_secrets: tuple[str, ...] = ()
    pids: dict[str, int] = {}
    """Process id by role, the broker and the database among them."""

    def is_alive(self) -> bool:
        """Whether the supervisor still runs: one that was killed could not remove its file."""
        try:
            return tuple(psutil.Process(self.supervisor_pid).cmdline()) == self.supervisor_command
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:  # another user's: its number is all that can be known
            return True


def read_stack_file(path: Path) -> StackFile | None:
    """What the file says, or None where there is none.

    A file that cannot be understood is treated as absent: it is written atomically, so it comes from another version.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=StackFile)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, readable by its owner alone: no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_stack_file(path: Path, stack: StackFile) -> None:
    """Write the file of a running stack, with mode 0600."""
    write_private(path, msgspec.json.format(msgspec.json.encode(stack), indent=2) + b"\n")
