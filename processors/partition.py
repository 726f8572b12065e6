"""The state of one partition: the fold of its part of the log, cached in a store that may be thrown away at any time.

Nothing here waits, sends, or knows Kafka.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import domain
from domain.account.evolve import evolve as evolve_account
from domain.account.state import INITIAL as NO_ACCOUNT
from domain.account.state import Account
from domain.catalog import entries
from domain.ids import CATALOG_PREFIX
from domain.policies.reactions import asked_at, pending
from domain.records import replace
from processors.stream import (
    Position,
    State,
    Stream,
    changed_pieces,
    decode_position,
    decode_stream,
    encode_position,
    encode_stream,
)
from schemas.envelope import CHAIN_START
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.ids import CommandId
    from schemas.envelope import EventStep

CACHE_MAX = 5_000
"""How many decoded streams are kept in memory. One is 6 KiB and more, and a worker may own every partition."""
FOLD_MAX = 10_000
"""How many decided commands are folded before the store is written."""

_OUTCOMES = (CommandAccepted, CommandRejected)
_META = b"m"
_STREAM = b"s"
_PIECE = b"p"
_OUTCOME = b"o"
_DUE = b"t"
_RENEWALS = b"r"
_ASKED = b"c"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MICROS_MAX = b"\xff" * 8
_PIECES_END = b"\xff"
"""Greater than the name of any piece."""


class Store(Protocol):
    """Ordered bytes, written all or nothing: RocksDB, or memory."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order, from `first` to before `last`."""

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Write all or nothing."""

    def close(self) -> None:
        """Release what it holds."""

    def destroy(self) -> None:
        """Throw everything away."""


class LogMismatchError(Exception):
    """The log does not continue what was folded: the store is of another log, or the log was changed."""


@dataclass(slots=True, kw_only=True)
class Changes:
    """What a batch changes; it enters the store as a whole, together with its position."""

    position: Position
    streams: dict[str, Stream] = field(default_factory=dict)
    outcomes: dict[CommandId, str] = field(default_factory=dict)
    """The hash of the body of each decided command; empty where it had none."""


class PartitionState:
    """Streams, outcomes and due times of one partition."""

    def __init__(self, store: Store) -> None:
        """Take a store as it is; `usable` tells whether its content can be gone on with."""
        self._store = store
        self._cache: OrderedDict[str, Stream] = OrderedDict()
        self.position = Position()
        self._folded: Changes | None = None
        meta = store.get(_META)
        self.is_usable = True
        if meta is not None:
            version, _, content = meta.partition(b"\n")
            self.is_usable = version == _version()
            if self.is_usable:
                self.position = decode_position(content)

    def stream(self, key: str) -> Stream:
        """Return an account or product; one without history where there is none. Unreadable bytes raise ValueError."""
        cached = self._cache.get(key)
        if cached is not None:
            self._cache.move_to_end(key)
            return cached
        name = key.encode()
        stored = self._store.get(_STREAM + name)
        if stored is None:
            state: State = entries.initial(key) if key.startswith(CATALOG_PREFIX) else NO_ACCOUNT
            return Stream(sequence=0, chain_hash=CHAIN_START, state=state)
        prefix = _pieces_of(name)
        pieces = self._store.scan(prefix, prefix + _PIECES_END)
        stream = decode_stream(stored, ((piece[len(prefix) :], value) for piece, value in pieces))
        self._remember(key, stream)
        return stream

    def outcome(self, command_id: CommandId) -> str | None:
        """Return the body hash of a decided command (empty where it had none), or None if it was never decided."""
        stored = self._store.get(_OUTCOME + command_id.encode())
        return None if stored is None else stored.decode()

    def due(self, now: datetime, limit: int) -> list[str]:
        """Return the keys that have something else than a renewal due by now, the longest due first."""
        return self._keys(_DUE, now, limit)

    def renewals_due(self, now: datetime, limit: int) -> list[str]:
        """Return the keys that have a renewal due by now, the longest due first."""
        return self._keys(_RENEWALS, now, limit)

    def unanswered(self, since: datetime, limit: int) -> int:
        """Return how many keys wait for a provider that was first asked after a moment; a limit is counted to."""
        end = _ASKED + _MICROS_MAX
        return sum(1 for _ in islice(self._store.scan(_ASKED + _micros(since), end), limit))

    def _keys(self, index: bytes, now: datetime, limit: int) -> list[str]:
        entries = self._store.scan(index, index + _micros(now + _MICROSECOND))
        return [entry[len(index) + len(_MICROS_MAX) :].decode() for entry, _ in islice(entries, limit)]

    def apply(self, changes: Changes) -> None:
        """Let a committed batch enter the store, with its position, all or nothing."""
        puts: dict[bytes, bytes] = {}
        deletes: list[bytes] = []
        for key, changed in changes.streams.items():
            name, before, places = key.encode(), changed.places, _places(key, changed.state)
            stream = replace(changed, places=places, stored=changed.state)
            if before != places:
                deletes += [place for place in before if place not in places]
                for place in places:
                    puts[place] = b""
            puts[_STREAM + name] = encode_stream(stream)
            prefix = _pieces_of(name)
            for piece, content in changed_pieces(changed.stored, changed.state):
                if content is None:
                    deletes.append(prefix + piece)
                else:
                    puts[prefix + piece] = content
            self._remember(key, stream)
        for command_id, body_hash in changes.outcomes.items():
            puts[_OUTCOME + command_id.encode()] = body_hash.encode()
        puts[_META] = _version() + b"\n" + encode_position(changes.position)
        self._store.write(puts, deletes)
        self.position = changes.position
        self._folded = None

    def fold(self, records: Iterable[tuple[int, EventStep]], next_offset: int) -> None:
        """Fold events of the log, with their offsets, and stand at `next_offset`. Raises LogMismatchError.

        What is folded enters the store from time to time: an account that many events change is written once.
        `save` ends it.
        """
        changes = self._folded or Changes(position=self.position)
        position = changes.position
        command_offset, last_offset, last_id = position.command_offset, position.last_offset, position.last_event_id
        streams, outcomes = changes.streams, changes.outcomes
        for offset, event in records:
            stream = streams.get(event.key) or self.stream(event.key)
            if event.sequence != stream.sequence + 1:
                raise LogMismatchError(
                    f"{event.key} at offset {offset}: sequence {event.sequence} after {stream.sequence}"
                )
            data = event.data
            if isinstance(data, _OUTCOMES):
                outcomes[event.command_id] = data.body_hash or ""
                state = stream.state
            else:
                state = evolve(stream.state, data)
            streams[event.key] = Stream(
                sequence=event.sequence,
                chain_hash=event.chain_hash,
                state=state,
                places=stream.places,
                stored=stream.stored,
            )
            command_offset = event.command_offset
            last_offset, last_id = offset, event.id.decode()
        changes.position = Position(
            next_offset=next_offset, last_offset=last_offset, last_event_id=last_id, command_offset=command_offset
        )
        self._folded = changes
        if len(outcomes) >= FOLD_MAX:
            self.save()

    def save(self) -> None:
        """Let all that was folded enter the store."""
        if self._folded is not None:
            self.apply(self._folded)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def destroy(self) -> None:
        """Throw the store away."""
        self._cache.clear()
        self._store.destroy()

    def _remember(self, key: str, stream: Stream) -> None:
        self._cache[key] = stream
        self._cache.move_to_end(key)
        if len(self._cache) > CACHE_MAX:
            self._cache.popitem(last=False)


def evolve(state: State, event: Any) -> State:
    """Return the state of an account or product after one of its events."""
    return evolve_account(state, event) if isinstance(state, Account) else entries.evolve(state, event)


def _pieces_of(name: bytes) -> bytes:
    """Return what the keys of an account's pieces begin with; its length keeps other accounts' apart."""
    return _PIECE + len(name).to_bytes(2, "big") + name


def _places(key: str, state: State) -> tuple[bytes, ...]:
    """Return where a stream stands in the indexes: by its next renewal, by what else is due, by whom it has asked."""
    if not isinstance(state, Account):
        return ()
    due: datetime | None = None
    renewal: datetime | None = None
    for timer in pending(state):
        if timer.is_renewal:
            renewal = timer.due_at if renewal is None or timer.due_at < renewal else renewal
        elif due is None or timer.due_at < due:
            due = timer.due_at
    name = key.encode()
    found = ((_RENEWALS, renewal), (_DUE, due), (_ASKED, asked_at(state)))
    return tuple([index + _micros(moment) + name for index, moment in found if moment is not None])


def _micros(moment: datetime) -> bytes:
    since = moment - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return (micros if micros > 0 else 0).to_bytes(8, "big")


@cache
def _version() -> bytes:
    """Return a name for this code of the domain: states that another code folded are folded anew."""
    root = Path(str(domain.__file__)).parent
    digest = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest().encode()
