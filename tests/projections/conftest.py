"""A migrated database, a writer into it and a connection for queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from infra.postgres.engine import create_engine
from projections.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection


@pytest.fixture
async def writer(migrated_url: str) -> AsyncIterator[Writer]:
    """A writer into it."""
    opened = await Writer.open(migrated_url)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection for queries, which sees each commit at once."""
    engine = create_engine(migrated_url, pool_size=1)
    async with engine.connect() as opened:
        yield await opened.execution_options(isolation_level="AUTOCOMMIT")
    await engine.dispose()
