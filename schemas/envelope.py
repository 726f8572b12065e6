"""Records on Kafka: CloudEvents 1.0 binary headers, the ids that tie a record to its cause, and the chain of hashes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from domain.ids import CommandId
from schemas.codec import WireError, decode, decode_command, encode, type_of
from schemas.messages import EFFECTS, EVENTS, MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable

Headers = list[tuple[str, bytes]]

CHAIN_START = "0" * 64
"""The `chain_hash` before the first event of an account."""
KEY_BYTES_MAX = 255
HEADERS_MAX = 64
ID_BYTES_MAX = 512

_NEXT = b"\n"
_ZERO = "\0"
_COMMAND_TEXTS = ("ce_type", "ce_time", "command_id", "ce_source", "actor", "correlation_id", "causation_id")
_EVENT_TEXTS = (
    "ce_type",
    "ce_id",
    "ce_time",
    "actor",
    "command_id",
    "correlation_id",
    "causation_id",
    "sequence",
    "chain_hash",
    "command_offset",
)
_COMMON: Headers = [("ce_specversion", b"1.0"), ("content-type", b"application/json")]
_BY_TYPE: dict[str, Headers] = {
    name: [*_COMMON, ("ce_type", name.encode()), ("ce_dataschema", f"urn:billing:schema:{name}".encode())]
    for name in MESSAGES
}


class CommandRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it travels. `body_hash` is set by the API, to tell a repeat from another body with the same key."""

    id: CommandId
    type: str
    key: str
    time: datetime
    source: str
    actor: str
    correlation_id: str
    causation_id: str
    data: Any
    body_hash: str | None = None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it is kept. `command_offset` is the offset of its command in the same partition number."""

    id: str
    type: str
    key: str
    time: datetime
    actor: str
    command_id: CommandId
    correlation_id: str
    causation_id: str
    sequence: int
    chain_hash: str
    command_offset: int
    data: Any
    body: str
    """The JSON text that `data` was read from, as it stands in the log; what is no UTF-8 in it is replaced."""


class EventStep(msgspec.Struct, frozen=True):
    """What a fold needs of an event, and nothing else: a recovery reads millions of them."""

    id: bytes
    key: str
    command_id: CommandId
    sequence: int
    chain_hash: str
    command_offset: int
    data: Any


class EffectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A call to a provider as it travels to the gateway."""

    id: str
    type: str
    key: str
    time: datetime
    command_id: CommandId
    correlation_id: str
    data: Any


def timestamp(moment: datetime) -> bytes:
    """Return an RFC 3339 time in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()


def chain(previous: str, event_id: bytes, wire_type: bytes, time: bytes, body: bytes) -> str:
    """Return the hash that ties an event to all events of its account before it.

    SHA-256 over the previous hash, id, type, time and canonical body, each ended by a zero byte: none of them can be
    changed, and no event left out, without changing every later hash.
    """
    return hashlib.sha256(b"\0".join((previous.encode(), event_id, wire_type, time, body))).hexdigest()


def command_headers(command: CommandRecord) -> Headers:
    """Return the headers of a command."""
    headers = [
        *_BY_TYPE[command.type],
        ("ce_id", command.id.encode()),
        ("ce_source", command.source.encode()),
        ("ce_subject", command.key.encode()),
        ("ce_time", timestamp(command.time)),
        ("command_id", command.id.encode()),
        ("correlation_id", command.correlation_id.encode()),
        ("causation_id", command.causation_id.encode()),
        ("actor", command.actor.encode()),
    ]
    if command.body_hash is not None:
        headers.append(("body_hash", command.body_hash.encode()))
    return headers


def command_body(command: CommandRecord) -> bytes:
    """Return the body of a command."""
    return encode(command.data)


def new_command(
    *,
    command_id: CommandId,
    key: str,
    time: datetime,
    source: str,
    actor: str,
    data: Any,
    correlation_id: str | None = None,
    causation_id: str | None = None,
    body_hash: str | None = None,
) -> CommandRecord:
    """Return a command ready to be sent; what nothing caused is its own cause."""
    return CommandRecord(
        id=command_id,
        type=type_of(data),
        key=key,
        time=time,
        source=source,
        actor=actor,
        correlation_id=correlation_id or command_id,
        causation_id=causation_id or command_id,
        data=data,
        body_hash=body_hash,
    )


def headers_of_type(wire_type: str) -> Headers:
    """Return the headers that every record of the type has; the list is shared and must not be changed."""
    return _BY_TYPE[wire_type]


def read_command(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> CommandRecord:
    """Return the command of a record. Raises WireError for whatever is not one of our commands."""
    fields = _fields(headers)
    wire_type, time, command_id, source, actor, correlation_id, causation_id = _texts(fields, _COMMAND_TEXTS)
    body_hash = fields.get("body_hash")
    return CommandRecord(
        id=CommandId(command_id),
        type=wire_type,
        key=_key(key),
        time=_time(time),
        source=source,
        actor=actor,
        correlation_id=correlation_id,
        causation_id=causation_id,
        data=decode_command(wire_type, value),
        body_hash=None if body_hash is None else _utf8(body_hash),
    )


def read_event(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> EventRecord:
    """Return the event of a record. Raises WireError."""
    fields = _fields(headers)
    wire_type, event_id, time, actor, command_id, correlation_id, causation_id, sequence, chain_hash, offset = _texts(
        fields, _EVENT_TEXTS
    )
    return EventRecord(
        id=event_id,
        type=wire_type,
        key=_key(key),
        time=_time(time),
        actor=actor,
        command_id=CommandId(command_id),
        correlation_id=correlation_id,
        causation_id=causation_id,
        sequence=_number("sequence", sequence),
        chain_hash=chain_hash,
        command_offset=_number("command_offset", offset),
        data=decode(wire_type, value, EVENTS),
        body=(value or b"").decode(errors="replace"),
    )


def read_step(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> EventStep:
    """Return what a fold needs of an event; the rest of its headers is not looked at. Raises WireError."""
    fields = dict(headers)
    try:
        return EventStep(
            fields["ce_id"],
            _key(key),
            CommandId(fields["command_id"].decode()),
            int(fields["sequence"]),
            fields["chain_hash"].decode(),
            int(fields["command_offset"]),
            decode(fields["ce_type"].decode(), value, EVENTS),
        )
    except (KeyError, ValueError) as error:
        raise WireError(f"a header of an event is missing or damaged: {error}") from error


def read_effect(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> EffectRecord:
    """Return the effect of a record. Raises WireError."""
    fields = _fields(headers)
    wire_type = _text(fields, "ce_type")
    return EffectRecord(
        id=_text(fields, "ce_id"),
        type=wire_type,
        key=_key(key),
        time=_time(_text(fields, "ce_time")),
        command_id=CommandId(_text(fields, "command_id")),
        correlation_id=_text(fields, "correlation_id"),
        data=decode(wire_type, value, EFFECTS),
    )


def _fields(headers: Iterable[tuple[str, bytes]]) -> dict[str, bytes]:
    fields = dict(headers)
    if len(fields) > HEADERS_MAX:
        raise WireError(f"{len(fields)} headers are more than {HEADERS_MAX}")
    return fields


def _key(key: bytes | None) -> str:
    if not key:
        raise WireError("the record has no key")
    if len(key) > KEY_BYTES_MAX:
        raise WireError(f"the key has {len(key)} bytes, more than {KEY_BYTES_MAX}")
    return _decoded(key)


def _text(fields: dict[str, bytes], name: str) -> str:
    value = fields.get(name)
    if not value:
        raise WireError(f"the header {name} is missing")
    return _utf8(value)


def _texts(fields: dict[str, bytes], names: tuple[str, ...]) -> list[str]:
    """Return several texts: the engine reads seven of every command, the projector ten of every event.

    They are decoded as one text, which is half of the work. Where that fails, each is looked at by itself, to say what
    is wrong with which.
    """
    try:
        together = _NEXT.join([fields[name] for name in names]).decode()
    except (KeyError, UnicodeDecodeError):
        return [_text(fields, name) for name in names]
    texts = together.split(_NEXT.decode())
    if len(texts) != len(names) or not all(texts) or len(together) > ID_BYTES_MAX or _ZERO in together:
        return [_text(fields, name) for name in names]
    return texts


def _utf8(value: bytes) -> str:
    if len(value) > ID_BYTES_MAX:
        raise WireError(f"a header has {len(value)} bytes, more than {ID_BYTES_MAX}")
    return _decoded(value)


def _decoded(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise WireError("a header or key is not UTF-8") from error
    if _ZERO in text:
        raise WireError("a header or key holds a zero character, which no database can store")
    return text


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise WireError(f"the header {name} is no number")
    return int(text)


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WireError("the header ce_time is no RFC 3339 time") from error
    if moment.tzinfo is None:
        raise WireError("the header ce_time has no time zone")
    return moment
