"""The product's own processes, started one by one as a deployment would, to be killed and frozen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.embedded.process import ChildProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from infra.settings import Settings


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """What a role of a test is told."""
    told = {
        "DATA_DIR": str(settings.data_dir),
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "DATABASE_URL": settings.database_url,
        "TOPIC_PREFIX": settings.topic_prefix,
        "PARTITIONS": str(settings.partitions),
        **more,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BILLING_")}
    return inherited | {f"BILLING_{name}": value for name, value in told.items()}


@contextmanager
def role(settings: Settings, *arguments: str, name: str, **more: str) -> Iterator[ChildProcess]:
    """A role such as `worker engine`; killed in the end."""
    child = ChildProcess(
        [sys.executable, "-m", "cli.main", *arguments],
        log_path=settings.data_dir / "logs" / f"{name}.log",
        environment=environment(settings, INSTANCE_ID=name, **more),
    )
    try:
        yield child
    finally:
        child.send(signal.SIGCONT)
        child.kill()


async def eventually(condition: Callable[[], Awaitable[bool]], *, what: str, deadline_s: float = 60.0) -> None:
    """Poll until it holds; say what did not come where it does not."""
    try:
        async with asyncio.timeout(deadline_s):
            while not await condition():  # noqa: ASYNC110  the condition lives in another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {deadline_s:.0f} s") from None
