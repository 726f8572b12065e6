"""Request headers that mean something here, read from the raw list in one pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Scope

WAIT_S_MAX = 30
_KEY_LENGTH_MAX = 255
_POSITION = re.compile(r"(\d{1,9}):(\d{1,18})", re.ASCII)
_COMMAND_POSITION = re.compile(r"command:([0-9a-f-]{36})", re.ASCII)
_SINGLE = frozenset({b"authorization", b"idempotency-key", b"content-type", b"content-length", b"billing-position"})


def single_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers of a request by name. Raises Problem where one that may come once comes twice."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found:
            if name in _SINGLE:
                raise Problem("header_repeated", f"The header {name.decode('latin-1')} may be given once.")
            found[name] += b", " + value
        else:
            found[name] = value
    return found


def idempotency_key(headers: dict[bytes, bytes]) -> str:
    """The key by which a repeat of a command is recognised. Raises Problem."""
    value = headers.get(b"idempotency-key", b"").strip()
    if not value:
        raise Problem(
            "idempotency_key_missing",
            "A command needs an Idempotency-Key header: a text of your own, the same for each repeat of this request.",
        )
    if len(value) > _KEY_LENGTH_MAX or not all(0x20 <= byte <= 0x7E for byte in value):  # noqa: PLR2004  printable
        raise Problem(
            "idempotency_key_invalid", f"An Idempotency-Key has 1 to {_KEY_LENGTH_MAX} printable ASCII characters."
        )
    return value.decode("ascii")


def wait_s(headers: dict[bytes, bytes]) -> int:
    """How long the client prefers to wait (`Prefer: wait=10`); 0 where it does not. As RFC 7240 has it, a preference
    that is not understood is passed over.
    """
    for preference in headers.get(b"prefer", b"").split(b","):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"wait":
            number = value.strip().strip(b'"')
            return min(int(number[:9]), WAIT_S_MAX) if number.isdigit() else 0
    return 0


@dataclass(frozen=True, slots=True)
class EventPosition:
    """The place of an outcome in the log."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class CommandPosition:
    """The place that the outcome of a command has once it is decided."""

    command_id: str


def billing_position(headers: dict[bytes, bytes]) -> EventPosition | CommandPosition | None:
    """From where on the read models are to answer. Raises Problem."""
    value = headers.get(b"billing-position")
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if match := _POSITION.fullmatch(text):
        return EventPosition(int(match[1]), int(match[2]))
    if match := _COMMAND_POSITION.fullmatch(text):
        return CommandPosition(match[1])
    raise Problem("position_invalid", "A Billing-Position is given back as an answer had it, such as 3:1042.")
