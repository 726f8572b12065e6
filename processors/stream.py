"""One account or product as the engine keeps it, and the bytes that it is stored as.

What an account has more and more of — orders, payments and what belongs to them — is stored piece by piece, and only
the pieces that changed are written: a command of a customer of many years costs what it costs for a new one.
"""

from __future__ import annotations

import struct
from dataclasses import is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from cattrs.preconf.msgspec import make_converter

from domain.account.state import INITIAL, Account
from domain.catalog.entries import EntryState
from domain.catalog.state import NoProduct, Product
from domain.pricing.state import MonthsDiscounts
from domain.promo.state import NoPromoCode, PromoCodeUses
from domain.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

State = Account | EntryState
_ACCOUNT = "account"
_KINDS: dict[str, type] = {
    _ACCOUNT: Account,
    "product": Product,
    "none": NoProduct,
    "months": MonthsDiscounts,
    "promo": PromoCodeUses,
    "no-promo": NoPromoCode,
}
_KIND_OF: dict[type, str] = {cls: kind for kind, cls in _KINDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One account or product: where its chain of events stands, its state, and what the store has of it."""

    sequence: int
    chain_hash: str
    state: State
    places: tuple[bytes, ...] = ()
    """Its keys in the indexes of the store as it was stored last."""
    stored: State = INITIAL
    """Its state as it was stored last."""


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


_PIECEMEAL = ("orders", "payments", "subscriptions", "refunds", "disputes", "promo_uses")
"""The fields of an account whose entries are stored one by one."""
_piece_name = struct.Struct(">BI").pack
_WITHOUT_PIECES: dict[str, Any] = {name: {} for name in _PIECEMEAL}


def encode_stream(stream: Stream) -> bytes:
    """Return the bytes of a stream, without the pieces of an account but with their numbers."""
    state = stream.state
    counts: tuple[int, ...] = ()
    if isinstance(state, Account):
        counts = tuple([len(getattr(state, name)) for name in _PIECEMEAL])
        state = replace(state, **_WITHOUT_PIECES)
    return _encoder.encode((stream.sequence, stream.chain_hash, stream.places, _KIND_OF[type(state)], counts, state))


def changed_pieces(before: State, after: State) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the pieces of an account that are not as they were: the name of each, and its bytes; None: it is gone.

    A piece is named by its field and its number there, so that all are read back in the order in which they came.
    """
    if not isinstance(after, Account):
        return
    for index, name in enumerate(_PIECEMEAL):
        entries = getattr(after, name)
        known = getattr(before, name) if isinstance(before, Account) else {}
        if entries is known:
            continue
        held = list(known.values())
        for number, (entry_id, entry) in enumerate(entries.items()):
            if number >= len(held) or held[number] is not entry:
                yield _piece_name(index, number), _encoder.encode((entry_id, entry))
        for number in range(len(entries), len(held)):
            yield _piece_name(index, number), None


def decode_stream(content: bytes, pieces: Iterable[tuple[bytes, bytes]]) -> Stream:
    """Return the stream of stored bytes; `pieces` are read for an account alone. Raises ValueError where one is not."""
    try:
        sequence, chain_hash, places, kind, counts, state = msgspec.msgpack.decode(content)
        if kind == _ACCOUNT:
            for name, value in pieces:
                entry_id, entry = msgspec.msgpack.decode(value)
                state[_PIECEMEAL[name[0]]][entry_id] = entry
            if counts != [len(state[name]) for name in _PIECEMEAL]:
                raise ValueError("pieces of the account are missing")
        whole: State = _converter.structure(state, _KINDS[kind])
        return Stream(sequence=sequence, chain_hash=chain_hash, state=whole, places=tuple(places), stored=whole)
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
