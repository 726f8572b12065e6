"""The tables of the read side, built step by step by whichever process starts first."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from infra.logging import get_logger
from infra.postgres.engine import connection_options, sqlalchemy_url

if TYPE_CHECKING:
    from collections.abc import Callable

LOCK_KEY = 0x62696C6C696E67
"""The advisory lock under which migrations run: the letters `billing`."""
LOCK_TIMEOUT_S = 60
CONNECT_PATIENCE_S = 30.0
_RETRY_DELAY_S = 0.5
_STATEMENT_TIMEOUT_MS = 600_000

log = get_logger(__name__)


def upgrade(database_url: str, *, revision: str = "head", patience_s: float = CONNECT_PATIENCE_S) -> None:
    """Bring the database to the revision; nothing happens where it is there already.

    Any number of processes may call it at once: an advisory lock lets one work and the others find it done. A
    database that does not answer yet is tried again for `patience_s`. Raises sqlalchemy.exc.OperationalError.
    """
    engine = create_engine(
        sqlalchemy_url(database_url),
        connect_args=connection_options(
            application_name="billing-migrations", statement_timeout_ms=_STATEMENT_TIMEOUT_MS
        ),
    )
    try:
        with _connected(engine.connect, patience_s) as connection:
            _upgrade(connection, revision)
    finally:
        engine.dispose()


def head() -> str:
    """Return the revision of the tables that this version of the code works with."""
    found = ScriptDirectory(str(Path(__file__).parent)).get_current_head()
    assert found is not None, "there are migrations"
    return found


def configuration(connection: Connection) -> Config:
    """Return alembic's configuration for a connection; there is no ini file to find or to keep in step."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    """Migrate under the lock, which belongs to the session: it ends with it, even by a kill."""
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
    connection.commit()
    try:
        command.upgrade(configuration(connection), revision)
        connection.commit()
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
        connection.commit()


def _connected(connect: Callable[[], Connection], patience_s: float) -> Connection:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return connect()
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise
            log.info("database.migrations.waiting", error=str(error.orig))
            time.sleep(_RETRY_DELAY_S)
