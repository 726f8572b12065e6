"""How a role's process ends: it is asked to, and then it does for sure."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def stop_when_asked(stop: Callable[[], None]) -> None:
    """Let SIGTERM and SIGINT call `stop` in the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def end_process_after(seconds: float) -> None:
    """End the process for sure: a library that ignores cancellation could keep the loop from closing for ever."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
