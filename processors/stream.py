"""One account or product as the engine keeps it, and the bytes that it is stored as."""

from __future__ import annotations

from dataclasses import is_dataclass
from datetime import timedelta

import msgspec
from cattrs.preconf.msgspec import make_converter

from domain.account.state import Account
from domain.catalog.entries import EntryState
from domain.catalog.state import NoProduct, Product
from domain.pricing.state import MonthsDiscounts
from domain.promo.state import NoPromoCode, PromoCodeUses
from domain.records import dataclass

State = Account | EntryState
_KINDS: dict[str, type] = {
    "account": Account,
    "product": Product,
    "none": NoProduct,
    "months": MonthsDiscounts,
    "promo": PromoCodeUses,
    "no-promo": NoPromoCode,
}
_KIND_OF: dict[type, str] = {cls: kind for kind, cls in _KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One account or product: where its chain of events stands, its state, and where the indexes name it."""

    sequence: int
    chain_hash: str
    state: State
    places: tuple[bytes, ...] = ()
    """Its keys in the indexes of the store as it was stored last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the fold stands in the partition's log."""

    next_offset: int = 0
    """The offset of `billing.events` from which to go on folding."""
    last_offset: int = -1
    last_event_id: str = ""
    """The newest event that was folded, to tell whether the store belongs to this log."""
    command_offset: int = -1
    """The offset in `billing.commands` of the newest command that has an outcome in the log."""


def _is_plain(kind: type) -> bool:
    """Tell whether msgspec can make a value and all of its parts, in a fraction of the time.

    It can where no part may be one of several dataclasses, as the phase of a payment may.
    """
    try:
        msgspec.msgpack.Decoder(kind)
    except TypeError:
        return False
    return is_dataclass(kind)


_encoder = msgspec.msgpack.Encoder()
_converter = make_converter()
_converter.register_structure_hook(timedelta, msgspec.convert)
_converter.register_structure_hook_func(_is_plain, msgspec.convert)
_position_decoder = msgspec.msgpack.Decoder(Position)


def encode_stream(stream: Stream) -> bytes:
    """Return the bytes of a stream."""
    state = stream.state
    return _encoder.encode((stream.sequence, stream.chain_hash, stream.places, _KIND_OF[type(state)], state))


def decode_stream(content: bytes) -> Stream:
    """Return the stream of stored bytes. Raises ValueError for whatever is not one."""
    try:
        sequence, chain_hash, places, kind, state = msgspec.msgpack.decode(content)
        return Stream(
            sequence=sequence,
            chain_hash=chain_hash,
            state=_converter.structure(state, _KINDS[kind]),
            places=tuple(places),
        )
    except Exception as error:  # whatever damaged bytes lead to
        raise ValueError(f"a stored stream cannot be read: {type(error).__name__}") from error


def encode_position(position: Position) -> bytes:
    """Return the bytes of a position."""
    return _encoder.encode(position)


def decode_position(content: bytes) -> Position:
    """Return the position of stored bytes. Raises ValueError."""
    try:
        return _position_decoder.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError("a stored position cannot be read") from error
