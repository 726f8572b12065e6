"""The two clocks: the system's, and one for development that a file moves.

Every process of a development stack reads the same file, so `billing clock advance 30d` moves all of them at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from infra.embedded.stack_file import write_private

if TYPE_CHECKING:
    from pathlib import Path

    from domain.ports import Clock
    from infra.settings import Settings


AHEAD_MAX = timedelta(days=36_525)
"""A hundred years: dates that are reckoned from there on still lie in the calendar."""


class SystemClock:
    """The time of the machine."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class DevelopmentClock:
    """The time of the machine plus the offset, in whole seconds, that stands in a file.

    The offset is read again only when the file's stat has changed: a read of the clock costs one `stat` call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._offset = timedelta(0)

    def now(self) -> datetime:
        """The moved present, aware, in UTC."""
        return datetime.now(UTC) + self.offset()

    def offset(self) -> timedelta:
        """How far the clock is ahead of the machine's.

        Raises ValueError where the file holds anything but an integer.
        """
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._seen, self._offset = None, timedelta(0)
            return self._offset
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._offset = timedelta(seconds=int(self._path.read_text("ascii")))
            self._seen = seen
        return self._offset

    def advance(self, duration: timedelta) -> timedelta:
        """Move the clock ahead; returns the new offset.

        Time never runs backwards in a log that is kept for ever, so a negative duration is refused with ValueError, and
        so is one that leads out of the calendar.
        """
        if duration < timedelta(0):
            raise ValueError("the clock only moves forward; `reset` returns to the time of the machine")
        offset = self.offset() + duration
        if offset > AHEAD_MAX:
            raise ValueError(f"the clock goes at most {AHEAD_MAX.days} days ahead of the machine's")
        write_private(self._path, f"{offset // timedelta(seconds=1)}\n".encode("ascii"))
        return offset

    def reset(self) -> None:
        """Return to the time of the machine."""
        self._path.unlink(missing_ok=True)


def clock_of(settings: Settings) -> Clock:
    """The clock that a process with these settings goes by; in production no file can move it."""
    if settings.environment == "production":
        return SystemClock()
    return DevelopmentClock(settings.clock_path)
