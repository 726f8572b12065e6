"""What handlers share: the request, the answer, expansion, pages of lists, and changes of metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from infra.sandbox.errors import InvalidParameterError
from infra.sandbox.store import ID_PREFIXES, Transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.sandbox.faults import Fault, Kind
    from infra.sandbox.forms import Params
    from infra.sandbox.settings import SandboxSettings

Json = dict[str, Any]

EXPANDABLE = frozenset(
    {
        "balance_transaction",
        "charge",
        "customer",
        "latest_charge",
        "payment_intent",
        "payment_method",
        "setup_intent",
        "source",
    }
)
EXPANSION_DEPTH_MAX = 4
PAGE_LENGTH_DEFAULT = 10
PAGE_LENGTH_MAX = 100


@dataclass(slots=True, kw_only=True)
class Request:
    """One call of the API, decoded. `names` are the ids in its path, `hits` the faults that its handler plays."""

    method: str
    path: str
    params: Params
    settings: SandboxSettings
    names: dict[str, str] = field(default_factory=dict)
    hits: Mapping[Kind, Fault] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status other than 200 whose changes are kept: a declined charge is written into the books."""

    status: int
    body: Json


Handler = Callable[[Transaction, Request], Json | Answer]


def expanded(tx: Transaction, body: Json, paths: list[str] | None) -> Json:
    """The body with ids replaced by their objects, as `expand[]` asks; raises on what cannot be expanded."""
    for path in paths or []:
        parts = path.split(".")
        if len(parts) > EXPANSION_DEPTH_MAX:
            raise InvalidParameterError(f"You cannot expand more than {EXPANSION_DEPTH_MAX} levels.", param="expand")
        if parts[0] == "data" and body.get("object") in {"list", "search_result"}:
            for item in body["data"]:
                _expand(tx, item, parts[1:], path)
        else:
            _expand(tx, body, parts, path)
    return body


def _expand(tx: Transaction, body: Json, parts: list[str], path: str) -> None:
    if not parts:
        return
    name = parts[0]
    if name not in body or name not in EXPANDABLE | {"line_items"}:
        raise InvalidParameterError(f"This property cannot be expanded ({path}).", param="expand")
    value = body[name]
    if isinstance(value, str):
        kind = ID_PREFIXES.get(value.partition("_")[0])
        found = tx.find(kind, value) if kind else None
        if found is None:
            return
        body[name] = value = found
    if isinstance(value, dict) and len(parts) > 1:
        _expand(tx, value, parts[1:], path)


def page(
    tx: Transaction,
    request: Request,
    kind: str,
    *,
    filters: tuple[str, ...] = (),
    fixed: dict[str, str] | None = None,
) -> Json:
    """A list answer, newest first, with Stripe's cursors and the filters that are columns."""
    params = request.params
    limit = _limit(params)
    conditions, values = ["kind = ?"], [kind]
    for name, value in (fixed or {}).items():
        conditions.append(f"{name} = ?")
        values.append(value)
    for name in filters:
        wanted = params.text(name)
        if wanted is not None:
            conditions.append(f"{name} = ?")
            values.append(wanted)
    _created_filter(params, conditions, values)
    backwards = _cursor(tx, params, "objects", conditions, values)
    expand = params.texts("expand")
    params.finish()
    rows = tx.rows(
        f"SELECT body FROM objects WHERE {' AND '.join(conditions)} "  # noqa: S608 - conditions are ours, values are bound
        f"ORDER BY seq {'ASC' if backwards else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    )
    data = [orjson.loads(row[0]) for row in rows[:limit]]
    if backwards:
        data.reverse()
    return expanded(tx, listing(request.path, data, has_more=len(rows) > limit), expand)


def listing(url: str, data: list[Json], *, has_more: bool = False) -> Json:
    """Stripe's `list` object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def _limit(params: Params) -> int:
    limit = params.integer("limit")
    if limit is None:
        return PAGE_LENGTH_DEFAULT
    if not 1 <= limit <= PAGE_LENGTH_MAX:
        raise InvalidParameterError(f"limit must be between 1 and {PAGE_LENGTH_MAX}", param="limit")
    return limit


def _created_filter(params: Params, conditions: list[str], values: list[Any]) -> None:
    child = params.child("created") if "created" in params else None
    if child is None:
        return
    for name, operator in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
        bound = child.integer(name)
        if bound is not None:
            conditions.append(f"created {operator} ?")
            values.append(bound)


def _cursor(tx: Transaction, params: Params, table: str, conditions: list[str], values: list[Any]) -> bool:
    after, before = params.text("starting_after"), params.text("ending_before")
    if after is not None and before is not None:
        raise InvalidParameterError("You may only specify one of starting_after and ending_before.")
    cursor = after or before
    if cursor is not None:
        rows = tx.rows(f"SELECT seq FROM {table} WHERE id = ?", (cursor,))  # noqa: S608 - the table's name is ours
        if not rows:
            name = "starting_after" if after else "ending_before"
            raise InvalidParameterError(f"No such object: '{cursor[:100]}'", code="resource_missing", param=name)
        conditions.append("seq < ?" if after else "seq > ?")
        values.append(rows[0][0])
    return before is not None


def event_page(tx: Transaction, params: Params) -> tuple[list[bytes], bool]:
    """The stored bodies of a page of events, and whether there are more."""
    limit = _limit(params)
    conditions, values = ["1 = 1"], []
    types = params.texts("types") or ([single] if (single := params.text("type")) else [])
    if types:
        conditions.append(f"type IN ({', '.join('?' * len(types))})")
        values.extend(types)
    _created_filter(params, conditions, values)
    backwards = _cursor(tx, params, "events", conditions, values)
    params.finish()
    rows = tx.rows(
        f"SELECT body FROM events WHERE {' AND '.join(conditions)} "  # noqa: S608 - conditions are ours, values are bound
        f"ORDER BY seq {'ASC' if backwards else 'DESC'} LIMIT ?",
        (*values, limit + 1),
    )
    data = [row[0] for row in rows[:limit]]
    return (data[::-1] if backwards else data), len(rows) > limit


def merged_metadata(old: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """Stripe merges metadata by key; an empty value removes its key."""
    if change is None:
        return old
    merged = {**old, **change}
    return {key: value for key, value in merged.items() if value != ""}
