"""From exceptions to problems: the one place that knows what each of them means to a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from api.problems import Problem, pointer
from projections.paging import CursorInvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError, psycopg.OperationalError)
EXPECTED: tuple[type[Exception], ...] = (
    Problem,
    HTTPException,
    RequestValidationError,
    CursorInvalidError,
    ProgrammingError,
    *_DATABASE_AWAY,
)
"""What may come out of a route. Anything else is a bug of ours."""

_NOTHING_HERE = "There is nothing at this address."


def problem_of(error: Exception) -> Problem | None:
    """What a client is told about an exception; None where it is a bug of ours."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return _of_router(error.status_code, error.headers)
        case RequestValidationError():
            return _of_parameters(error)
        case CursorInvalidError():
            return Problem("cursor_invalid", "The cursor is none that we gave out; begin without one.")
        case _ if isinstance(error, _DATABASE_AWAY) or (isinstance(error, DBAPIError) and _lacks_tables(error)):
            return Problem(
                "database_unavailable", "The read models cannot be asked; try again.", headers={"Retry-After": "1"}
            )
        case _:
            return None


def _of_router(status: int, headers: Mapping[str, str] | None) -> Problem | None:
    """What the router itself finds: no such address, no such method there."""
    match status:
        case 404:
            return Problem("not_found", _NOTHING_HERE)
        case 405:
            return Problem("method_not_allowed", "This address does not take this method.", headers=headers)
        case _:
            return None


def _of_parameters(error: RequestValidationError) -> Problem:
    """A parameter in the address that is not as it must be; an id that cannot be one names nothing."""
    found = error.errors()
    if any(entry["loc"][0] == "path" for entry in found):
        return Problem("not_found", _NOTHING_HERE)
    listed = [{"parameter": pointer(entry["loc"][1:])[1:], "detail": f"{entry['msg']}."} for entry in found]
    return Problem("query_invalid", "The address has parameters that cannot be.", extra={"errors": listed})


def _lacks_tables(error: DBAPIError) -> bool:
    """The projector has not made them yet."""
    return isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
