"""How queries read a row by its id, and pages of lists.

An opaque cursor names the last row of a page, so that rows never repeat or vanish.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy import tuple_

from projections.model import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Column, ColumnElement, Select
    from sqlalchemy.ext.asyncio import AsyncConnection

Item = TypeVar("Item")
PAGE_MAX = 100
CURSOR_MAX = 1000


class CursorInvalidError(ValueError):
    """The cursor is not one that we gave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some items, and the cursor of the page after them where there are more."""

    items: tuple[Item, ...]
    next_cursor: str | None


def encode_cursor(values: tuple[Any, ...]) -> str:
    """Return the cursor after the row with these sort values."""
    return base64.urlsafe_b64encode(msgspec.json.encode(values)).decode("ascii").rstrip("=")


def decode_cursor(cursor: str, shape: Any) -> tuple[Any, ...]:
    """Return the sort values of a cursor; `shape` is their tuple type. Raises CursorInvalidError."""
    if len(cursor) > CURSOR_MAX:
        raise CursorInvalidError("the cursor is too long")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values: tuple[Any, ...] = msgspec.json.decode(text, type=shape)
    except (ValueError, binascii.Error) as error:
        raise CursorInvalidError("the cursor is not one of ours") from error
    if not storable(*(value for value in values if isinstance(value, str))):
        raise CursorInvalidError("the cursor is not one of ours")
    return values


def newest_first(statement: Select[Any], sort: Sequence[Column[Any]], after: tuple[Any, ...] | None) -> Select[Any]:
    """Order a statement by the columns, newest first, beginning after the given sort values."""
    if after is not None:
        statement = statement.where(_tuple(sort) < tuple_(*after))
    return statement.order_by(*(column.desc() for column in sort))


def lowest_first(
    statement: Select[Any], sort: Sequence[ColumnElement[Any]], after: tuple[Any, ...] | None
) -> Select[Any]:
    """Order a statement by the expressions, lowest first, beginning after the given sort values."""
    if after is not None:
        statement = statement.where(_tuple(sort) > tuple_(*after))
    return statement.order_by(*sort)


async def read_one(
    connection: AsyncConnection, statement: Select[Any], where: Mapping[Column[Any], str], view: Callable[[Any], Item]
) -> Item | None:
    """Return the one row whose columns have these values, as a view; None where there is none.

    What cannot be stored names nothing.
    """
    if not storable(*where.values()):
        return None
    row = (await connection.execute(_narrowed(statement, where))).one_or_none()
    return None if row is None else view(row)


async def read_page(
    connection: AsyncConnection,
    statement: Select[Any],
    where: Mapping[Column[Any], str | None],
    sort: Sequence[Column[Any]],
    view: Callable[[Any], Item],
    *,
    limit: int,
    cursor: str | None,
) -> Page[Item]:
    """Return a page of rows, newest first by the columns `sort`. Raises CursorInvalidError.

    `where` names the values that columns must have; None is any value, and what cannot be stored has no rows.
    """
    wanted = {column: value for column, value in where.items() if value is not None}
    if not storable(*wanted.values()):
        return Page(items=(), next_cursor=None)
    shape = GenericAlias(tuple, tuple(column.type.python_type for column in sort))
    after = None if cursor is None else decode_cursor(cursor, shape)
    ordered = newest_first(_narrowed(statement, wanted), sort, after).limit(checked_limit(limit) + 1)
    rows = (await connection.execute(ordered)).all()
    return page_of(rows, limit, view, lambda row: tuple(getattr(row, column.name) for column in sort))


def page_of(
    rows: Sequence[Any], limit: int, view: Callable[[Any], Item], sort_values: Callable[[Any], tuple[Any, ...]]
) -> Page[Item]:
    """Return a page of `limit` items from rows of which one more than that was asked for."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(
        items=tuple(view(row) for row in shown), next_cursor=encode_cursor(sort_values(shown[-1])) if more else None
    )


def checked_limit(limit: int) -> int:
    """Return the limit; a caller's mistake is a bug here, as the API checks what clients ask."""
    assert 0 < limit <= PAGE_MAX, f"a page has 1 to {PAGE_MAX} items, not {limit}"
    return limit


def _narrowed(statement: Select[Any], where: Mapping[Column[Any], str]) -> Select[Any]:
    return statement.where(*(column == value for column, value in where.items()))


def _tuple(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return tuple_(*columns)
