"""The write side of one partition: decide a batch, write it in one transaction, and only then believe it.

The log is the truth. Whenever it is unsure what the log holds — fenced, a deadline missed, a store that cannot be
read — the journal forgets everything, opens the log again as its only writer, and folds its tail.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from domain.account.state import Account
from domain.ids import CommandId, derive
from domain.policies.reactions import pending
from infra.kafka.fenced_log import UnsureError
from processors.decisions import TIMER, Decider
from processors.partition import LogMismatchError, PartitionState
from processors.stream import Position
from schemas.codec import WireError
from schemas.envelope import new_command, read_step

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from domain.catalog.state import Catalogue
    from domain.policies.settings import Policies
    from domain.ports import Clock
    from infra.kafka.fenced_log import Record
    from infra.kafka.topics import Topics
    from processors.decisions import Decided, Incoming
    from processors.partition import Store
    from schemas.envelope import CommandRecord, EventStep

log = structlog.get_logger(__name__)

TIMERS_MAX = 500
"""How many timers of each kind are fired in one round."""
LOOKED_AT_MAX = 5_000
"""How many accounts are looked at for them."""
RENEWALS_MAX = 64
"""How many renewals of a partition are under way at once, from the timer to the provider's answer."""
ANSWER_MAX = timedelta(minutes=1)
"""A call that is unanswered for longer holds no renewal back: the provider of one customer may be down for a day."""


class Log(Protocol):
    """One partition of the log with one writer: Kafka, or memory."""

    async def fence(self) -> None:
        """Become the only writer."""

    @property
    def is_sound(self) -> bool:
        """Tell whether it may be written to without being opened and read again."""

    def read(self, first_offset: int) -> AsyncIterator[tuple[list[Any], int]]:
        """Yield committed events from an offset to the present end, with the next offset after each batch."""

    async def commit(self, batches: Mapping[str, Sequence[Record]]) -> int:
        """Write all in one transaction; return the offset of the last event."""

    async def close(self) -> None:
        """Release what it holds."""


class Journal:
    """The owner of one partition."""

    def __init__(
        self,
        *,
        partition: int,
        log_of_partition: Log,
        open_store: Callable[[], Store],
        topics: Topics,
        clock: Clock,
        catalogue: Catalogue,
        policies: Policies,
        partitions: int = 1,
        renewals_max: int = RENEWALS_MAX,
    ) -> None:
        """`open_store` opens the partition's store, or an empty one where its files cannot be read.

        Of `partitions` that there are, a key belongs to one: a command elsewhere is kept for people.
        Of the renewals that are due, only so many are begun that `renewals_max` of the partition are under way.
        """
        self.partition = partition
        self._log = log_of_partition
        self._open_store = open_store
        self._topics = topics
        self._clock = clock
        self._catalogue = catalogue
        self._policies = policies
        self._partitions = partitions
        self._renewals_max = renewals_max
        self._state: PartitionState | None = None
        self._must_discard = False

    @property
    def is_open(self) -> bool:
        """Tell whether the state can be relied upon."""
        return self._state is not None and self._log.is_sound

    @property
    def next_command_offset(self) -> int | None:
        """Where to go on in `billing.commands`, as the log says it; None where the log has no outcome yet."""
        offset = -1 if self._state is None else self._state.position.command_offset
        return None if offset < 0 else offset + 1

    async def open(self) -> None:
        """Become the only writer and fold what the log has. Raises FencedError, UnsureError, LogMismatchError."""
        self.forget()
        await self._log.fence()
        try:
            state = await self._load()
        except (LookupError, LogMismatchError, ValueError) as error:
            log.warning("journal.store.discarded", partition=self.partition, reason=str(error))
            self._must_discard = True
            state = await self._load()
        self._state = state
        log.info("journal.opened", partition=self.partition, next_offset=state.position.next_offset)

    async def handle(self, batch: list[Incoming]) -> Decided:
        """Decide a batch and commit it. After any exception the journal is no longer open."""
        state = self._state
        if state is None:
            raise UnsureError("the journal is not open")
        try:
            decider = Decider(state, self._catalogue, self._policies, partitions=self._partitions)
            decided = decider.decide(batch, self._clock.now())
            if not decided.is_empty:
                await self._commit(state, decided)
        except ValueError:  # the store's files are damaged: the log has all of it
            self._must_discard = True
            self.forget()
            raise
        except BaseException:
            self.forget()
            raise
        return decided

    def due_timers(self) -> list[CommandRecord]:
        """Return what is due, as commands: the same timer always gives the same command id.

        Of the renewals, those for which there is room. Nothing else waits for room, nor behind a renewal.
        Raises ValueError when the store cannot be read; the journal is then no longer open.
        """
        if self._state is None:
            return []
        try:
            return self._due_timers(self._state)
        except ValueError:
            self._must_discard = True
            self.forget()
            raise

    def _due_timers(self, state: PartitionState) -> list[CommandRecord]:
        now = self._clock.now()
        due = _undecided(state, state.due(now, LOOKED_AT_MAX), now, TIMERS_MAX, are_renewals=False)
        room = self._renewals_max - state.unanswered(now - ANSWER_MAX, self._renewals_max)
        if room <= 0:
            return due
        # Those that were fired and are not decided are still due, so they are first, and take their room again.
        keys = state.renewals_due(now, LOOKED_AT_MAX)
        return due + _undecided(state, keys, now, min(room, TIMERS_MAX), are_renewals=True)

    def forget(self) -> None:
        """Drop all that is believed; the store keeps what was committed."""
        state, self._state = self._state, None
        if state is not None:
            state.close()

    async def close(self) -> None:
        """Leave the partition to its next owner."""
        self.forget()
        await self._log.close()

    async def _commit(self, state: PartitionState, decided: Decided) -> None:
        topics = self._topics
        batches = {
            topics.events: decided.events,
            topics.effects: decided.effects,
            topics.entitlements: decided.entitlements,
            topics.catalog: decided.catalog,
            topics.dead_letters: decided.dead_letters,
        }
        last_offset = await self._log.commit({topic: records for topic, records in batches.items() if records})
        if last_offset >= 0:
            decided.changes.position = Position(
                next_offset=last_offset + 1,
                last_offset=last_offset,
                last_event_id=decided.last_event_id,
                command_offset=decided.changes.position.command_offset,
            )
            state.apply(decided.changes)

    async def _load(self) -> PartitionState:
        """Return the fold of the log to its end, starting with what the store remembers."""
        state = PartitionState(self._open_store())
        try:
            if self._must_discard:
                state.destroy()
                state = PartitionState(self._open_store())
                self._must_discard = False
            if not state.is_usable:
                raise LogMismatchError("another version of the domain folded it")
            await self._catch_up(state)
        except BaseException:
            state.close()
            raise
        return state

    async def _catch_up(self, state: PartitionState) -> None:
        """Fold the log from where the store stands, after making sure that the store belongs to this log."""
        last = state.position.last_offset
        is_known = last < 0
        async for records, next_offset in self._log.read(max(last, 0)):
            events = [(record.offset, event) for record in records if (event := _event(record)) is not None]
            if not is_known and events:
                is_known = True
                if events[0][0] != last or events[0][1].id.decode() != state.position.last_event_id:
                    raise LogMismatchError("it was folded from another log")
                events = events[1:]
            if is_known:
                state.fold(events, next_offset)
        state.save()
        if not is_known:
            raise LogMismatchError("it is ahead of the log")


def _undecided(
    state: PartitionState, keys: Iterable[str], now: datetime, room: int, *, are_renewals: bool
) -> list[CommandRecord]:
    """Return the commands of what is due, the longest due first, and not many more than there is room for.

    One that is due although it was decided, which only a fault can bring about, must not take the others' for ever.
    """
    commands: list[CommandRecord] = []
    for key in keys:
        due = _due_commands(state, key, now, are_renewals=are_renewals)
        commands += [command for command in due if state.outcome(command.id) is None]
        if len(commands) >= room:
            break
    return commands


def _due_commands(state: PartitionState, key: str, now: datetime, *, are_renewals: bool) -> list[CommandRecord]:
    account = state.stream(key).state
    assert isinstance(account, Account), "only accounts wait for something"
    return [
        new_command(
            command_id=CommandId(derive(key, f"timer {timer.name}")),
            key=key,
            time=now,
            source="billing/engine",
            actor=TIMER,
            data=timer.data,
        )
        for timer in pending(account)
        if timer.due_at <= now and timer.is_renewal is are_renewals
    ]


def _event(record: Any) -> EventStep | None:
    """Return the event; None where it is no link of a chain. What a stranger wrote between them is passed over, loudly.

    Nothing of ours is lost so: after a link that was made unknowable the next one has the wrong sequence.
    """
    try:
        return read_step(record.key, record.value, record.headers)
    except WireError as error:
        if any(name == "chain_hash" for name, _ in record.headers):
            raise LogMismatchError(f"offset {record.offset} holds no event of ours: {error}") from error
        log.error("journal.record.foreign", partition=record.partition, offset=record.offset)  # noqa: TRY400
        return None
