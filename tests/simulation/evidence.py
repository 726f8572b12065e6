"""What is judged: the commands, the log, the provider's books, and what engine and read models believe in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from domain.ledger import journal
from domain.ledger.accounts import PROVIDER_CASH
from infra.memory.store import MemoryStore
from processors.partition import LogMismatchError, PartitionState
from schemas.codec import WireError
from schemas.envelope import read_step
from tests.simulation.roles import EngineRole
from tests.simulation.tables import Tables, fold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from domain.ledger.state import Books
    from infra.memory.log import StoredRecord
    from processors.stream import Stream
    from tests.simulation.world import World

_decode = msgspec.json.decode
ENTRIES_KEPT_MAX = 20_000
BATCH = 5_000


class Entry(NamedTuple):
    """A record in plain words."""

    partition: int
    offset: int
    key: str
    kind: str
    command_id: str
    headers: dict[str, bytes]
    value: bytes
    body: dict[str, Any]

    @property
    def position(self) -> str:
        """`<partition>:<offset>`."""
        return f"{self.partition}:{self.offset}"


class Entries:
    """Records that are read anew for everybody who looks through them: those of years have no room in plain words."""

    def __init__(self, *parts: list[StoredRecord]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[Entry]:
        for part in self._parts:
            yield from map(_entry, part)

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that the provider collected, by its books."""

    reference: str
    payment_id: str
    account: str
    amount: int
    currency: str
    returned: int
    disputed: int


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A refund in the provider's books."""

    reference: str
    refund_id: str
    payment_reference: str
    amount: int
    status: str


@dataclass(frozen=True, slots=True)
class Disputed:
    """A dispute in the provider's books."""

    reference: str
    payment_id: str
    amount: int
    currency: str
    status: str
    is_inquiry: bool


@dataclass(slots=True)
class Evidence:
    """Everything that is left of a history."""

    now: datetime
    accepted: list[str] = field(default_factory=list)
    """Ids of commands that were acknowledged to their senders."""
    commands: Entries | list[Entry] = field(default_factory=list)
    events: Entries | list[Entry] = field(default_factory=list)
    effects: Entries | list[Entry] = field(default_factory=list)
    cash: Counter[str] = field(default_factory=Counter)
    """By account, what providers hold of its money, by the books that the log gives."""
    published: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """By account, what the newest public record says that it may watch, and until when."""
    dead_letters: int = 0
    charges: list[Charge] = field(default_factory=list)
    refunds: list[GivenBack] = field(default_factory=list)
    disputes: list[Disputed] = field(default_factory=list)
    believed: dict[str, Stream] = field(default_factory=dict)
    """By key, what the engines that run in the end believe."""
    folded: dict[str, Stream] = field(default_factory=dict)
    """The same, folded anew from the log."""
    tables: Tables = field(default_factory=Tables)
    tables_anew: Tables = field(default_factory=Tables)


def gather(world: World) -> Evidence:
    """Take everything down."""
    names, topics = world.names, world.topics
    evidence = Evidence(now=world.clock.now(), accepted=list(world.accepted), tables=world.tables)
    numbers = range(world.partitions)
    written = {
        name: Entries(*(topics.read(name, number) for number in numbers))
        for name in (names.commands, names.events, names.effects, names.entitlements)
    }
    is_short = len(written[names.events]) < ENTRIES_KEPT_MAX
    evidence.commands, evidence.events, evidence.effects = (
        list(written[name]) if is_short else written[name] for name in (names.commands, names.events, names.effects)
    )
    for entry in written[names.entitlements]:
        evidence.published[entry.key] = {item["resource"]: item["until"] for item in entry.body["items"]}
    for number in numbers:
        evidence.dead_letters += len(topics.read(names.dead_letters, number))
        evidence.folded.update(_fold_anew(world, number))
        _project_anew(evidence, topics.read(names.events, number), number)
    evidence.believed = _believed(world)
    _take_books(world, evidence)
    return evidence


def _entry(record: StoredRecord) -> Entry:
    headers = dict(record.headers)
    value = record.value or b""
    return Entry(
        record.partition,
        record.offset,
        (record.key or b"").decode(),
        headers["ce_type"].decode(),
        headers["command_id"].decode(),
        headers,
        value,
        _decode(value),
    )


def _project_anew(evidence: Evidence, records: list[StoredRecord], number: int) -> None:
    """Fold the log into empty tables and books, in batches that have nothing to do with those of the projector."""
    expected = 0
    books: dict[str, Books] = {}
    for first in range(0, len(records), BATCH):
        part = records[first : first + BATCH]
        reached = part[-1].offset + 1
        batch = fold(part)
        evidence.tables_anew.write(batch, number, expected=expected, reached=reached)
        for event, _ in batch.booked:
            entry = journal.post(books.get(event.key, {}), event.data, event.time)
            books[event.key] = journal.after(books.get(event.key, {}), entry)
            for posting in entry.postings:
                evidence.cash[event.key] += posting.amount.amount * posting.debit.startswith(PROVIDER_CASH)
                evidence.cash[event.key] -= posting.amount.amount * posting.credit.startswith(PROVIDER_CASH)
        expected = reached


def _believed(world: World) -> dict[str, Stream]:
    found: dict[str, Stream] = {}
    for place in world.places:
        if not isinstance(place.role, EngineRole):
            continue
        for owner in place.role.journals.values():
            state = owner._state
            if state is not None:
                found.update(_streams(world, state))
    return found


def _fold_anew(world: World, number: int) -> dict[str, Stream]:
    state = PartitionState(MemoryStore())
    records = world.topics.read(world.names.events, number)
    try:
        steps = ((record.offset, read_step(record.key, record.value, record.headers)) for record in records)
        state.fold(steps, len(records))
        state.save()
    except (LogMismatchError, WireError):  # what cannot be folded differs from whatever is believed
        return {}
    return _streams(world, state)


def _streams(world: World, state: PartitionState) -> dict[str, Stream]:
    prefix = b"s"
    return {key[1:].decode(): state.stream(key[1:].decode()) for key, _ in state._store.scan(prefix, b"t")}


def _take_books(world: World, evidence: Evidence) -> None:
    provider = world.provider
    for entry in (*provider.pages.values(), *provider.charges.values()):
        if entry.status == "succeeded":
            evidence.charges.append(
                Charge(
                    entry.reference,
                    entry.payment_id,
                    entry.account,
                    entry.amount.amount,
                    entry.amount.currency,
                    entry.returned,
                    entry.disputed,
                )
            )
    for refund in provider.refunds.values():
        evidence.refunds.append(
            GivenBack(
                refund.reference,
                refund.refund_id,
                refund.payment_reference,
                refund.amount.amount,
                str(refund.status),
            )
        )
    for dispute in provider.disputes.values():
        amount = dispute.amount
        evidence.disputes.append(
            Disputed(
                dispute.reference,
                dispute.payment_id,
                amount.amount,
                amount.currency,
                str(dispute.status),
                dispute.is_inquiry,
            )
        )
