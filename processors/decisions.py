"""From a batch of commands to the records of one transaction: the pure heart of the engine.

For every command: is it one of ours, was it decided before, what does the domain say, which effects and public records
follow, and its outcome. The order of the records is the order of the commands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from domain.account import decider as account_decider
from domain.account.state import Account
from domain.catalog import entries
from domain.decider import Command
from domain.effects import SendCommand
from domain.errors import DomainError
from domain.grants.state import access_of
from domain.ids import derive, spelled
from domain.orders.commands import PlaceOrder
from domain.policies.reactions import changes_access, react
from domain.records import replace
from infra.kafka.command_place import WRONG_PARTITION, is_at_home, wrong_key
from infra.kafka.dead_letters import dead_letter
from infra.kafka.fenced_log import Record
from processors.partition import Changes, evolve
from processors.stream import Position, Stream
from schemas.codec import WireError, encode, type_of
from schemas.envelope import CommandRecord, chain, headers_of_type, read_command, timestamp
from schemas.messages import CommandAccepted, CommandRejected, EntitlementItem, EntitlementsRecord
from schemas.relay import relayed

if TYPE_CHECKING:
    from datetime import datetime

    from domain.catalog.state import Catalogue
    from domain.policies.settings import Policies
    from domain.pricing.state import PromoCode
    from processors.partition import PartitionState
    from processors.stream import State
    from schemas.envelope import Headers

log = structlog.get_logger(__name__)

SOURCE = b"billing/engine"
TIMER = "timer"
"""The actor of a timer's command. It is never decided as of a time before it was fired: an owner whose clock is behind
the last one's would take it for too early, and since its id is used up it would never come again."""


class Incoming(NamedTuple):
    """A record of `billing.commands` as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


@dataclass(slots=True)
class Decided:
    """Everything that one transaction writes, and what it changes once it is committed."""

    changes: Changes
    at: datetime
    time: bytes
    """`at` as it stands in the headers."""
    events: list[Record] = field(default_factory=list)
    effects: list[Record] = field(default_factory=list)
    entitlements: list[Record] = field(default_factory=list)
    catalog: list[Record] = field(default_factory=list)
    dead_letters: list[Record] = field(default_factory=list)
    last_event_id: str = ""
    accepted: int = 0
    rejected: int = 0
    repeated: int = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to write."""
        return not (self.events or self.dead_letters)


class Decider:
    """Decides the commands of one partition against its state, batch by batch."""

    def __init__(self, state: PartitionState, catalogue: Catalogue, policies: Policies, *, partitions: int = 1) -> None:
        """`catalogue` is the live view of what is on sale, `partitions` how many there are of commands."""
        self._state = state
        self._partitions = partitions
        self._catalogue = catalogue
        self._policies = policies

    def decide(self, batch: list[Incoming], at: datetime) -> Decided:
        """Decide a batch at one moment. Never raises for what a command holds."""
        decided = Decided(changes=Changes(position=self._state.position), at=at, time=timestamp(at))
        command_offset = self._state.position.command_offset
        for incoming in batch:
            if self._decide_one(decided, incoming):
                command_offset = incoming.offset
        position = self._state.position
        decided.changes.position = Position(
            next_offset=position.next_offset,
            last_offset=position.last_offset,
            last_event_id=position.last_event_id,
            command_offset=command_offset,
        )
        return decided

    def _decide_one(self, decided: Decided, incoming: Incoming) -> bool:
        """Tell whether the command left an outcome in this batch."""
        try:
            command = read_command(incoming.key, incoming.value, incoming.headers)
        except WireError as error:
            _bury(decided, incoming, str(error))
            return False
        wrong = wrong_key(command)
        if wrong is not None:
            _bury(decided, incoming, wrong)
            return False
        earlier = decided.changes.outcomes.get(command.id)
        if earlier is None:
            earlier = self._state.outcome(command.id)
        if earlier is not None:
            decided.repeated += 1
            if command.body_hash is not None and earlier != command.body_hash:
                _bury(decided, incoming, "the command id was used before with another body")
            return False
        stream = decided.changes.streams.get(command.key) or self._state.stream(command.key)
        if not stream.sequence and not is_at_home(command.key, incoming.partition, self._partitions):
            # Only looked for where there is no history: a client with another rule would begin a second one here.
            _bury(decided, incoming, WRONG_PARTITION)
            return False
        writer = _Writer(decided, command, incoming.offset, stream)
        outcome: CommandAccepted | CommandRejected
        try:
            events = self._ask(stream.state, command, decided.at)
            writer.write(events)
        except DomainError as error:
            outcome = _rejection(command, error.code, error.detail, error.facts)
            decided.rejected += 1
        except Exception as error:  # a bug: the command is kept for people, its sender gets an answer, nothing stops
            log.exception("engine.decision.failed", command_type=command.type, command_id=command.id)
            _bury(decided, incoming, f"the decision failed: {type(error).__name__}")
            writer = _Writer(decided, command, incoming.offset, stream)
            outcome = _rejection(command, "decision_failed", "The command could not be decided; it is kept.", {})
            decided.rejected += 1
        else:
            outcome = CommandAccepted(
                command_type=command.type, body_hash=command.body_hash, resources=_resources(events)
            )
            decided.accepted += 1
        writer.finish(outcome)
        return True

    def _ask(self, state: State, record: CommandRecord, at: datetime) -> tuple[Any, ...]:
        data = record.data
        command: Command[Any] = Command(
            id=record.id,
            key=record.key,
            at=max(at, record.time) if record.actor == TIMER else at,
            actor=record.actor,
            data=data,
            prices=self._catalogue.prices,
            months_discounts=self._catalogue.months_discounts,
            promo_code=self._promo_code(data),
            policies=self._policies,
        )
        if isinstance(state, Account):
            return account_decider.decide(state, command)
        return entries.decide(state, command)

    def _promo_code(self, data: Any) -> PromoCode | None:
        if not isinstance(data, PlaceOrder) or data.promo_code is None:
            return None
        return self._catalogue.promo_codes.get(spelled(data.promo_code))


class _Writer:
    """Writes the events of one command onto the chain of its stream, with what follows from each, all or nothing."""

    def __init__(self, decided: Decided, command: CommandRecord, offset: int, stream: Stream) -> None:
        self._decided = decided
        self._command = command
        self._time = time = decided.time
        self._key = command.key.encode()
        self._sequence, self._chain_hash, self._state = stream.sequence, stream.chain_hash, stream.state
        self._stream = stream
        self._events: list[Record] = []
        self._effects: list[Record] = []
        self._entitlements: list[Record] = []
        self._catalog: list[Record] = []
        self._last_event_id = ""
        self._index = 0
        self._ids: Headers = [
            ("ce_source", SOURCE),
            ("ce_subject", self._key),
            ("ce_time", time),
            ("command_id", command.id.encode()),
            ("correlation_id", command.correlation_id.encode()),
            ("causation_id", command.id.encode()),
            ("actor", command.actor.encode()),
        ]
        self._command_offset = ("command_offset", str(offset).encode())

    def write(self, events: tuple[Any, ...]) -> None:
        """Append the events, the effects that they ask for, and the public records that they change.

        Where this raises, for a bug in a fold or in a policy, or for what no record can hold, the writer is of no more
        use, and nothing of it has been handed over.
        """
        state, has_access_changed = self._state, False
        for event in events:
            state = evolve(state, event)
            self._append(event)
            if isinstance(state, Account):
                effect = react(state, event)
                has_access_changed = has_access_changed or changes_access(event)
            else:
                effect = entries.react(event)
            if effect is not None:
                self._append_effect(effect)
        self._state = state
        if not isinstance(state, Account):
            public = entries.public(state, events)
            if public is not None:
                self._catalog.append(self._public(public))
        elif has_access_changed:
            self._entitlements.append(self._public(entitlements_record(state)))

    def finish(self, outcome: CommandAccepted | CommandRejected) -> None:
        """Append the outcome and hand all records and the stream's new end over."""
        self._append(outcome)
        decided = self._decided
        decided.events += self._events
        decided.effects += self._effects
        decided.entitlements += self._entitlements
        decided.catalog += self._catalog
        decided.last_event_id = self._last_event_id
        decided.changes.outcomes[self._command.id] = self._command.body_hash or ""
        decided.changes.streams[self._command.key] = replace(
            self._stream, sequence=self._sequence, chain_hash=self._chain_hash, state=self._state
        )

    def _append(self, event: Any) -> None:
        wire_type, body = type_of(event), encode(event)
        event_id = derive(self._command.id, str(self._index))
        raw_id = event_id.encode()
        self._index += 1
        self._sequence += 1
        self._chain_hash = chain(self._chain_hash, raw_id, wire_type.encode(), self._time, body)
        headers = [
            *headers_of_type(wire_type),
            ("ce_id", raw_id),
            *self._ids,
            ("sequence", str(self._sequence).encode()),
            ("chain_hash", self._chain_hash.encode()),
            self._command_offset,
        ]
        self._events.append(Record(self._key, body, headers))
        self._last_event_id = event_id

    def _append_effect(self, effect: Any) -> None:
        if isinstance(effect, SendCommand):
            effect = relayed(effect)
        record_id = f"{effect.effect_id}.{effect.attempt}".encode()
        headers = [*headers_of_type(type_of(effect)), ("ce_id", record_id), *self._ids]
        self._effects.append(Record(self._key, encode(effect), headers))

    def _public(self, record: Any) -> Record:
        record_id = derive(self._command.id, "public").encode()
        headers = [
            *headers_of_type(type_of(record)),
            ("ce_id", record_id),
            *self._ids,
            ("sequence", str(self._sequence).encode()),
        ]
        return Record(self._key, encode(record), headers)


def entitlements_record(account: Account) -> EntitlementsRecord:
    """Return the public record of all that the account may watch, bought or given, in a stable order."""
    held = access_of(account)
    return EntitlementsRecord(
        items=tuple(EntitlementItem(resource=item.resource, until=item.until, reason=item.reason) for item in held)
    )


def _rejection(command: CommandRecord, code: str, detail: str, facts: dict[str, str]) -> CommandRejected:
    return CommandRejected(
        command_type=command.type, body_hash=command.body_hash, code=code, detail=detail, facts=facts
    )


_NOUNS = {
    "refund_id": "refund",
    "dispute_id": "dispute",
    "order_id": "order",
    "payment_id": "payment",
    "subscription_id": "subscription",
    "product_id": "product",
    "discount_id": "discount",
}


def _resources(events: tuple[Any, ...]) -> dict[str, str]:
    """Return the first id of each noun that the events name."""
    found: dict[str, str] = {}
    for event in events:
        for attribute, noun in _named(event.__class__):
            value = getattr(event, attribute)
            if value is not None:
                found.setdefault(noun, value)
    return found


@cache
def _named(event_type: type) -> tuple[tuple[str, str], ...]:
    """Return which of its fields name something, with their nouns."""
    return tuple((attribute, noun) for attribute, noun in _NOUNS.items() if hasattr(event_type, attribute))


def _bury(decided: Decided, incoming: Incoming, reason: str) -> None:
    log.warning("engine.command.buried", reason=reason, partition=incoming.partition, offset=incoming.offset)
    letter = dead_letter(
        topic=incoming.topic,
        partition=incoming.partition,
        offset=incoming.offset,
        key=incoming.key,
        value=incoming.value,
        headers=incoming.headers,
        reason=reason,
        role="engine",
    )
    decided.dead_letters.append(Record(letter.key, letter.value, letter.headers))
