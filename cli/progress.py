"""What a person sees while something takes long: on stderr, so that stdout stays for results."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_console = Console(stderr=True, highlight=False)
_LINES_MAX = 5


def say(text: str) -> None:
    """One line for the person at the terminal."""
    _console.print(text, markup=False, soft_wrap=True)


class JarProgress:
    """The broker's jars as they arrive: a bar on a terminal, a few lines elsewhere, nothing where all are there."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._line_after = 0

    def show(self, done: int, total: int) -> None:
        """`done` of `total` have arrived."""
        if not _console.is_terminal:
            if done >= self._line_after:
                self._line_after = done + max(1, total // _LINES_MAX)
                say(f"fetching the broker: {done} of {total} jars")
            return
        if self._progress is None:
            columns = (TextColumn("fetching the broker"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=_console)
            self._task = self._progress.add_task("jars", total=total)
            self._progress.start()
        self._progress.update(self._task, completed=done)

    def __enter__(self) -> JarProgress:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was, whatever happened."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class ProgressBar:
    """A bar for work whose amount is known, on a terminal; nothing elsewhere."""

    def __init__(self, description: str) -> None:
        self._bar = Progress(console=_console, transient=True, disable=not _console.is_terminal)
        self._task = self._bar.add_task(description)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, done: int, total: int, description: str | None = None) -> None:
        """So much is done, of so much."""
        self._bar.update(self._task, completed=done, total=total, description=description)
