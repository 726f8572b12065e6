"""Connections to PostgreSQL in which every wait has an end."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy import event, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

if TYPE_CHECKING:
    from sqlalchemy import URL

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 10_000
IDLE_TRANSACTION_TIMEOUT_MS = 30_000
POOL_TIMEOUT_S = 5.0

_KEEPALIVES: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # A server that vanished without a word is noticed within half a minute.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def sqlalchemy_url(database_url: str) -> URL:
    """Return a `postgresql://` address as SQLAlchemy wants it: by psycopg 3."""
    return make_url(database_url).set(drivername="postgresql+psycopg")


def connection_options(
    *,
    application_name: str,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    idle_transaction_timeout_ms: int = IDLE_TRANSACTION_TIMEOUT_MS,
) -> dict[str, Any]:
    """Return what every connection is opened with: deadlines, UTC, and a name by which people find it.

    A client that is frozen in a transaction holds its locks no longer than the idle timeout.
    """
    settings = (
        f"-c statement_timeout={statement_timeout_ms} "
        f"-c idle_in_transaction_session_timeout={idle_transaction_timeout_ms} "
        "-c timezone=UTC"
    )
    return {**_KEEPALIVES, "application_name": application_name, "options": settings}


def create_engine(
    database_url: str,
    *,
    application_name: str = "billing",
    pool_size: int = 10,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
) -> AsyncEngine:
    """Return a pool of connections for queries.

    It connects at its first use. A connection that the server has closed is found before it is used, by a look at its
    socket: a question (`pre_ping`) would cost a round trip, and wait without end for a server that is frozen. Who waits
    longer than POOL_TIMEOUT_S for a connection gets an error instead of a place in an endless queue.
    """
    engine = create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_S,
        connect_args=connection_options(application_name=application_name, statement_timeout_ms=statement_timeout_ms),
    )
    event.listen(engine.sync_engine.pool, "checkout", _require_open)
    return engine


def _require_open(connection: Any, _record: Any, _proxy: Any) -> None:
    """Raise DisconnectionError, on which the pool takes another connection, where the server has something to say.

    To an idle connection it says nothing but that it closes.
    """
    watched = select.poll()
    watched.register(connection.driver_connection.pgconn.socket, select.POLLIN)
    if watched.poll(0):
        raise DisconnectionError("the server has closed the connection")


async def connect(
    database_url: str,
    *,
    application_name: str,
    idle_transaction_timeout_ms: int = IDLE_TRANSACTION_TIMEOUT_MS,
) -> psycopg.AsyncConnection[Any]:
    """Open one connection with autocommit. Raises psycopg.OperationalError within CONNECT_TIMEOUT_S."""
    options = connection_options(
        application_name=application_name, idle_transaction_timeout_ms=idle_transaction_timeout_ms
    )
    return await psycopg.AsyncConnection.connect(database_url, autocommit=True, **options)
