"""Exceptions that reach the edge of a route, as problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.edge import request_id_of
from api.problems import CONTENT_TYPE, Problem, pointer
from infra.logging import get_logger
from projections.paging import CursorInvalidError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

log = get_logger("api.http")

_CODES = {404: "not_found", 405: "method_not_allowed"}
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
}
_DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, TimeoutError, psycopg.OperationalError)


def install(app: FastAPI) -> None:
    """Have every exception that is expected answered with its problem."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(CursorInvalidError, _answer_cursor)
    app.add_exception_handler(ProgrammingError, _answer_database)
    for kind in _DATABASE_AWAY:
        app.add_exception_handler(kind, _answer_database)


def _response(request: Request, problem: Problem) -> Response:
    return Response(
        problem.encoded(request_id_of(request.scope)),
        problem.status,
        headers=problem.headers,
        media_type=CONTENT_TYPE,
    )


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _response(request, error)


async def _answer_http(request: Request, error: Exception) -> Response:
    """What the router itself finds: no such address, no such method there."""
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code)
    if code is None:
        raise error
    return _response(request, Problem(code, _SENTENCES[error.status_code], headers=dict(error.headers or {})))


async def _answer_validation(request: Request, error: Exception) -> Response:
    """A parameter in the address that is not as it must be; an id that cannot be one names nothing."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(entry["loc"][0] == "path" for entry in found):
        return _response(request, Problem("not_found", _SENTENCES[404]))
    listed = [{"parameter": pointer(entry["loc"][1:])[1:], "detail": f"{entry['msg']}."} for entry in found]
    if any(entry["parameter"] == "cursor" for entry in listed):
        return await _answer_cursor(request, error)
    return _response(
        request, Problem("query_invalid", "The address has parameters that cannot be.", extra={"errors": listed})
    )


async def _answer_cursor(request: Request, _error: Exception) -> Response:
    return _response(request, Problem("cursor_invalid", "The cursor is none that we gave out; begin without one."))


async def _answer_database(request: Request, error: Exception) -> Response:
    """The read models are away, or not made yet. Whatever else is wrong with a statement is a bug of ours."""
    if isinstance(error, ProgrammingError) and not _lacks_tables(error):
        raise error
    log.warning("http.database.unavailable", request_id=request_id_of(request.scope), error=type(error).__name__)
    return _response(
        request,
        Problem("database_unavailable", "The read models cannot be asked; try again.", headers={"Retry-After": "1"}),
    )


def _lacks_tables(error: DBAPIError) -> bool:
    return isinstance(error.orig, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
