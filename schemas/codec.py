"""Bodies on the wire: JSON of the domain's dataclasses, decoded strictly by type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from schemas.messages import COMMANDS, MESSAGES, TYPE_OF

if TYPE_CHECKING:
    from collections.abc import Mapping

BODY_BYTES_MAX = 900_000
"""What fits with its headers into a record of our topics. Nothing larger is written, or read at any door."""
_ZERO = b"\\u0000"
"""The zero character as JSON writes it; whoever writes it in front of a backslash is refused with the others."""

_encoder = msgspec.json.Encoder()
_store_encoder = msgspec.msgpack.Encoder()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(cls) for name, cls in MESSAGES.items()}


class WireError(Exception):
    """A record that is not one of our messages. It says which rule it breaks and never holds the body."""


def type_of(message: object) -> str:
    """Return the wire type of a message, such as `billing.order.placed`."""
    return TYPE_OF[type(message)]


def encode(message: object) -> bytes:
    """Return the one canonical body of a message: fields in the order of their definition, no spaces.

    Raises WireError where no record could hold it.
    """
    body = _encoder.encode(message)
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"a {type_of(message)} would have {len(body)} bytes, more than {BODY_BYTES_MAX}")
    return body


def decode(wire_type: str, body: bytes | None, known: Mapping[str, type]) -> Any:
    """Return the message of a body. `known` are the types that may come here. Raises WireError."""
    if wire_type not in known:
        raise WireError(f"the type {wire_type!r} does not belong on this topic")
    if body is None:
        raise WireError(f"a {wire_type} has no body")
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"a {wire_type} has {len(body)} bytes, more than {BODY_BYTES_MAX}")
    try:
        return _decoders[wire_type].decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"the body is no {wire_type}: {error}") from error


def decode_command(wire_type: str, body: bytes | None) -> Any:
    """Return the command of a body: `decode`, and nothing in it that neither store nor database could hold.

    JSON knows integers of any length, moments that UTC has no day for, and the zero character. Once such a value stood
    in an event, the account could never be folded again, or no row could hold it. Raises WireError.
    """
    command = decode(wire_type, body, COMMANDS)
    if body is not None and _ZERO in body:
        raise WireError(f"the {wire_type} holds a zero character")
    try:
        _store_encoder.encode(command)
    except OverflowError as error:
        raise WireError(f"the {wire_type} holds a number or a moment that cannot be stored: {error}") from error
    return command
