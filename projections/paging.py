"""Pages of lists, newest first: an opaque cursor names the last row of a page, so that rows never repeat or vanish."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from sqlalchemy import tuple_

from projections.model import storable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, ColumnElement, Select

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


def _tuple(columns: Sequence[ColumnElement[Any]]) -> ColumnElement[Any]:
    return tuple_(*columns)
