"""The schema beside the served one, into which read models are rebuilt: made, and swapped with the served one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from infra.kafka.log_reader import partition_of
from infra.postgres.engine import connection_options, sqlalchemy_url
from infra.postgres.migrations import LOCK_KEY, head
from projections.commands import PENDING, commands
from projections.fold import READ_MODELS
from projections.model import SCHEMA, metadata
from projections.positions import positions
from projections.statements import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import LiteralString

REBUILT = f"{SCHEMA}_rebuild"
"""What a rebuild is working on; what a killed one leaves is dropped by the next."""
REPLACED = f"{SCHEMA}_replaced"
"""What was served before the swap, until it is dropped."""
KEPT = f"{SCHEMA}_kept"
"""What was served before a swap that was asked to keep it."""

TABLES = tuple(sorted(table.name for table in metadata.tables.values()))
"""Everything that is folded from the log, with the positions. Other tables of the schema belong to somebody else."""
assert {positions.name, *(model.table.name for model in READ_MODELS)} <= set(TABLES), "not all tables are loaded"


_UNDECIDED_MAX = 10_000
"""Commands without an outcome that are looked at; where there are more, the rest is told as a difference."""


class RebuildError(Exception):
    """The rebuild cannot go on; the text says why. What is served is as it was."""


async def create(database_url: str) -> None:
    """Make the schema with all tables, empty, as the code defines them. Raises sqlalchemy.exc.DBAPIError."""
    engine: AsyncEngine = create_async_engine(
        sqlalchemy_url(database_url),
        pool_size=1,
        connect_args=connection_options(application_name="billing-rebuild"),
    )
    try:
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"CREATE SCHEMA {quoted(REBUILT)}")
            renamed = await connection.execution_options(schema_translate_map={SCHEMA: REBUILT})
            await renamed.run_sync(metadata.create_all)
    finally:
        await engine.dispose()


async def drop(connection: psycopg.AsyncConnection[Any], schema: str) -> None:
    """Drop the schema and our tables in it, where it is there. Raises psycopg.Error.

    With those that were served nothing else is dropped: where a view of somebody else stands on them, PostgreSQL
    refuses.
    """
    if schema == REBUILT:
        await execute(connection, f"DROP SCHEMA IF EXISTS {REBUILT} CASCADE")
        return
    if not await exists(connection, schema):
        return
    async with connection.transaction():
        tables = ", ".join(f"{quoted(schema)}.{quoted(name)}" for name in TABLES)
        await execute(connection, f"DROP TABLE IF EXISTS {tables}")
        await execute(connection, f"DROP SCHEMA {quoted(schema)}")


async def exists(connection: psycopg.AsyncConnection[Any], schema: str) -> bool:
    """Tell whether there is such a schema."""
    return bool(await execute(connection, "SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]))


async def require_revision(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raise RebuildError where the served tables are not those that this version of the code works with."""
    try:
        found = await execute(connection, f"SELECT version_num FROM {SCHEMA}.migrations")  # noqa: S608  a name of ours
    except psycopg.errors.UndefinedTable:
        raise RebuildError("the database has no read models yet; a projector makes them when it starts") from None
    wanted = head()
    if found != [(wanted,)]:
        raise RebuildError(
            f"the tables are of revision {found[0][0] if found else 'none'}, this version works with {wanted}; "
            "start the roles of this version first: they migrate, and fold everything anew"
        )


async def carry_over(connection: psycopg.AsyncConnection[Any], beginnings: Mapping[int, int]) -> None:
    """Keep what the topic of commands had, and has no longer: it begins at `beginnings`, by partition.

    That is when commands were received whose outcomes the log has for ever, and the few that never had an outcome. For
    commands that are still there the rebuilt table says the same, or will as soon as it gets there.
    """
    await execute(
        connection,
        f"UPDATE {REBUILT}.commands AS rebuilt "  # noqa: S608  names of our own tables
        "SET received_at = served.received_at, received_offset = served.received_offset "
        f"FROM {SCHEMA}.commands AS served "
        "WHERE served.id = rebuilt.id AND rebuilt.received_at IS NULL AND served.received_at IS NOT NULL",
    )
    undecided = await execute(
        connection,
        f"SELECT id, account, received_offset, status FROM {SCHEMA}.commands "  # noqa: S608
        "WHERE position_offset IS NULL AND received_offset IS NOT NULL "
        f"AND id NOT IN (SELECT id FROM {REBUILT}.commands WHERE position_offset IS NULL) LIMIT {_UNDECIDED_MAX}",
    )
    # A command that is not pending stands in no partition that its key tells.
    anywhere = max(beginnings.values())
    gone = [
        command_id
        for command_id, account, offset, status in undecided
        if offset < (beginnings[partition_of(account.encode(), len(beginnings))] if status == PENDING else anywhere)
    ]
    names = ", ".join(quoted(column.name) for column in commands.columns)
    await execute(
        connection,
        f"INSERT INTO {REBUILT}.commands ({names}) SELECT {names} FROM {SCHEMA}.commands "  # noqa: S608
        "WHERE id = ANY(%s) AND position_offset IS NULL ON CONFLICT DO NOTHING",
        [gone],
    )


async def swap(connection: psycopg.AsyncConnection[Any], *, old: str) -> None:
    """Serve the rebuilt tables; the old ones are in the schema `old` from then on. Inside the caller's transaction.

    What is in the served schema and no read model of ours stays in it, and so does who may read what.
    """
    (is_alone,) = (await execute(connection, "SELECT pg_try_advisory_xact_lock(%s)", [LOCK_KEY]))[0]
    if not is_alone:
        raise RebuildError("a migration is under way; rebuild when it is done")
    await require_revision(connection)
    for (grant,) in await execute(connection, _GRANTS, {"served": SCHEMA, "rebuilt": REBUILT, "tables": list(TABLES)}):
        await execute(connection, grant)
    others = await execute(
        connection,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') "
        "AND relname <> ALL(%s)",
        [SCHEMA, list(TABLES)],
    )
    await execute(connection, f"ALTER SCHEMA {SCHEMA} RENAME TO {old}")
    await execute(connection, f"ALTER SCHEMA {REBUILT} RENAME TO {SCHEMA}")
    for (name,) in others:
        identifier = sql.Identifier(old, name).as_string(connection)
        await execute(connection, f"ALTER TABLE {identifier} SET SCHEMA {SCHEMA}")


async def execute(
    connection: psycopg.AsyncConnection[Any], statement: str, parameters: Sequence[Any] | dict[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """Execute a statement that is made of our own names, and return its rows."""
    cursor = await connection.execute(_ours(statement), parameters)
    return [] if cursor.description is None else await cursor.fetchall()


def _ours(statement: str) -> LiteralString:
    """Vouch for a statement: it is made of our own names, or of what PostgreSQL quoted; values are parameters."""
    return statement


_GRANTS = """
WITH given AS (
    SELECT format('TABLE %%I.%%I', %(rebuilt)s::text, relname) AS target, relowner AS owner, relacl AS privileges
    FROM pg_class
    WHERE relnamespace = %(served)s::text::regnamespace AND relkind = 'r' AND relname = ANY(%(tables)s)
    UNION ALL
    SELECT format('SCHEMA %%I', %(rebuilt)s::text), nspowner, nspacl FROM pg_namespace WHERE nspname = %(served)s::text
)
SELECT format(
    'GRANT %%s ON %%s TO %%s%%s',
    privilege_type,
    target,
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
    CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
)
FROM given, aclexplode(privileges)
WHERE grantee <> owner
"""
"""Statements that give everybody the rights on the rebuilt tables that they have on the served ones."""
