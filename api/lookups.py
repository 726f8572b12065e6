"""Look-ups of commands, of all requests at once: one query answers everybody who waits."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.reading import answering
from projections import commands

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from projections.commands import CommandView
    from projections.positions import PositionWatcher

_BATCH_MAX = 500
_DEADLINE_S = 5.0


class CommandLookups:
    """Reads commands by id. While one query runs, the ids that are asked for meanwhile collect for the next.

    So the cost of a query is shared by as many requests as there are, and one connection is enough.
    """

    def __init__(self, engine: AsyncEngine, watcher: PositionWatcher) -> None:
        self._engine = engine
        self._watcher = watcher
        self._wanted: dict[str, asyncio.Future[CommandView | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._connection: AsyncConnection | None = None

    async def get(self, command_id: str) -> CommandView | None:
        """Return the command as the read model has it now. Raises SQLAlchemyError, TimeoutError."""
        future = self._wanted.get(command_id)
        if future is None:
            future = self._wanted[command_id] = asyncio.get_running_loop().create_future()
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all(), name="command-lookups")
        return await asyncio.shield(future)

    async def wait_until_decided(self, command_id: str, deadline: float, partition: int | None) -> CommandView | None:
        """Return the command as soon as it is decided; None when `deadline` (time.monotonic) passes first.

        It is looked for again when something of its partition was projected; where that is not known, when anything
        was.
        """
        while True:
            generation = self._watcher.generation
            offset = 0 if partition is None else self._watcher.next_offset(partition)
            view = await self.get(command_id)
            if view is not None and view.status != commands.PENDING:
                return view
            if partition is None:
                is_news = await self._watcher.wait_for_change(generation, deadline)
            else:
                is_news = await self._watcher.wait_for_position(partition, offset, deadline)
            if not is_news:
                return None

    async def close(self) -> None:
        """Release the connection."""
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._disconnect()

    async def _read_all(self) -> None:
        """Read batch after batch until nobody waits."""
        try:
            while self._wanted:
                ids = list(self._wanted)[:_BATCH_MAX]
                futures = {command_id: self._wanted.pop(command_id) for command_id in ids}
                try:
                    found = await self._read(ids)
                except Exception as error:  # whatever it is, it is the answer of those who wait
                    for future in futures.values():
                        if not future.done():
                            future.set_exception(error)
                            future.exception()  # whoever asked may have gone: nobody has to take it
                except BaseException:  # it is being closed
                    for future in futures.values():
                        future.cancel()
                    raise
                else:
                    for command_id, future in futures.items():
                        if not future.done():
                            future.set_result(found.get(command_id))
        finally:
            self._reading = None
            for future in self._wanted.values():  # left where it is being closed: nobody reads them any more
                future.cancel()
            self._wanted.clear()

    async def _read(self, ids: list[str]) -> dict[str, CommandView]:
        """One query; once more where the connection was lost while nobody used it."""
        try:
            return await self._query(ids)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return await self._query(ids)

    async def _query(self, ids: list[str]) -> dict[str, CommandView]:
        if self._connection is None:
            self._connection = await self._engine.connect()
        try:
            async with answering(self._connection, _DEADLINE_S):
                return await commands.get_many(self._connection, ids)
        except BaseException:
            await self._disconnect()
            raise

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, OSError):
                await connection.invalidate()
                await connection.close()
