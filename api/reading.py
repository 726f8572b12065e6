"""Connections to the read models, each for a bounded time, whatever the server does."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from infra.postgres.deadline import within

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DEADLINE_S = 6.0
"""A little more than a statement may take: past it, the server does not even say so."""


@asynccontextmanager
async def reading(engine: AsyncEngine, *, deadline_s: float = DEADLINE_S) -> AsyncIterator[AsyncConnection]:
    """A connection for some queries. Raises SQLAlchemyError, also where the server is frozen."""
    connection = await engine.connect()
    try:
        async with answering(connection, deadline_s):
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def answering(connection: AsyncConnection, deadline_s: float = DEADLINE_S) -> AsyncIterator[None]:
    """A deadline on what is asked of a connection, which is lost where it passes."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    async with within(raw, deadline_s):
        yield
