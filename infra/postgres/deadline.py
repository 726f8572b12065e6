"""A deadline on whatever is done on a connection, kept even by a server that is frozen."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import psycopg


@asynccontextmanager
async def within(connection: psycopg.AsyncConnection[Any], seconds: float) -> AsyncGenerator[None, None]:
    """Shut the connection's socket when the body is not done in time; what waits on it then raises OperationalError.

    A server's own timeouts need a server that runs, and cancelling a query waits for its answer. After the deadline
    the connection is unusable, and what became of its transaction is not known.
    """
    timer = asyncio.get_running_loop().call_later(seconds, _shut, connection)
    try:
        yield
    finally:
        timer.cancel()


def _shut(connection: psycopg.AsyncConnection[Any]) -> None:
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.pgconn.socket)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
