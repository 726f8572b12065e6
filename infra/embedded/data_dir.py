"""The directory in which one embedded stack lives: its owner, its room, its ports."""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import IO, TYPE_CHECKING, TypeVar

import msgspec

from infra.embedded.errors import BrokenDataDirError, DataDirInUseError, NoSpaceError
from infra.embedded.process import can_bind, free_port
from infra.embedded.stack_file import write_private
from infra.logging import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
log = get_logger(__name__)

FREE_BYTES_MIN = 512 * 1024 * 1024
"""Below this much room the broker and the database are not started: both end badly on a full disk."""

_TRAVERSE_BY_OTHERS = 0o001


class DataDirLock:
    """Held as long as a stack runs; the kernel lets go of it whatever way the process ends."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "lock"
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """DataDirInUseError where another process holds it."""
        file = self._path.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "?"
            file.close()
            raise DataDirInUseError(
                f"{self._path.parent} is in use by another running stack (process {owner}). "
                "Stop that one, or choose another --data-dir."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Let the next one have it."""
        if self._file is not None:
            self._file.close()
            self._file = None


def prepare_data_dir(data_dir: Path, *, free_bytes_min: int = FREE_BYTES_MIN) -> Path:
    """Make the directory where it is missing and see that there is room; returns its absolute path."""
    try:
        # PostgreSQL, which cannot run as root, has to pass through.
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700 if os.geteuid() else 0o711)
    except (FileExistsError, NotADirectoryError) as error:
        raise BrokenDataDirError(f"{data_dir} cannot be a data directory: a file is in the way") from error
    except PermissionError as error:
        raise BrokenDataDirError(f"{data_dir} cannot be made: {error.strerror}") from error
    if not os.access(data_dir, os.W_OK | os.X_OK):
        raise BrokenDataDirError(f"{data_dir} is not writable by this user")
    free_bytes = shutil.disk_usage(data_dir).free
    if free_bytes < free_bytes_min:
        raise NoSpaceError(
            f"only {free_bytes // 2**20} MiB are free on the disk of {data_dir}, "
            f"{free_bytes_min // 2**20} MiB are needed. Make room, or choose another --data-dir."
        )
    return data_dir.resolve()


def read_intact(path: Path, understand: Callable[[bytes], T]) -> T:
    """Return what is understood of a file of ours. Raises BrokenDataDirError where it is damaged."""
    try:
        return understand(path.read_bytes())
    except Exception as error:  # whatever damaged bytes lead to
        raise BrokenDataDirError(
            f"{path} is damaged and cannot be read. Remove it to have a new one made, or choose another --data-dir."
        ) from error


def let_others_traverse(path: Path) -> None:
    """Let a user without privileges pass through (not list) the folders above `path`; only root ever needs this."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & _TRAVERSE_BY_OTHERS:
            folder.chmod(mode | _TRAVERSE_BY_OTHERS)
            log.info("embedded.folder.opened", folder=str(folder), reason="PostgreSQL cannot run as root")


def remembered_ports(data_dir: Path, names: tuple[str, ...]) -> dict[str, int]:
    """The ports of the last start where they are still free, so that addresses survive a restart; else new ones."""
    path = data_dir / "ports.json"
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, int])
    except (FileNotFoundError, msgspec.DecodeError):
        before = {}
    ports = {}
    for name in names:
        port = before.get(name)
        ports[name] = port if port is not None and can_bind(port) else free_port()
    write_private(path, msgspec.json.encode(before | ports))
    return ports
