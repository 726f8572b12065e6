"""What the log says about itself: sequences, chains of hashes, outcomes, and whether it can be folded.

Everything is computed anew from the raw bytes of the records. One changed, missing or doubled event is one fault (and
what follows from it): after a fault, checking goes on from what the log has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.account.state import INITIAL as NO_ACCOUNT
from domain.account.state import Account
from domain.catalog import entries
from domain.ids import CATALOG_PREFIX
from domain.payments.events import PaymentSucceeded
from infra.kafka.log_reader import partition_of
from projections.audit.report import Check, Report
from schemas.codec import WireError
from schemas.envelope import CHAIN_START, EventRecord, chain, read_event
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from domain.catalog.entries import EntryState
    from infra.kafka.log_reader import LogRecord

    State = Account | EntryState

OUTCOMES = (CommandAccepted, CommandRejected)


def fold(key: str, state: State | None, data: object) -> State:
    """The state of an account, or of an entry of the catalogue, after one more event; outcomes change nothing."""
    if state is None:
        state = entries.initial(key) if key.startswith(CATALOG_PREFIX) else NO_ACCOUNT
    if isinstance(data, OUTCOMES):
        return state
    if isinstance(state, Account):
        return evolve(state, data)  # type: ignore[arg-type]  # an event of another kind ends in evolve's assert_never
    return entries.evolve(state, data)


@dataclass(slots=True)
class StreamAudit:
    """What has been read so far of one account, or of one entry of the catalogue."""

    key: str
    sequence: int = 0
    chain_hash: str = CHAIN_START
    state: State | None = None
    is_foldable: bool = True
    open_command: str | None = None
    """The command whose events are being read; None after its outcome."""
    outcomes: dict[str, str] = field(default_factory=dict)
    """Position of the outcome by command."""
    succeeded: list[tuple[PaymentSucceeded, str]] = field(default_factory=list)
    """Payments that brought money, each with its position."""


class LogAudit:
    """Fed with records in the order of their partition; what it finds stands in `report`."""

    def __init__(self, report: Report, *, partitions: int) -> None:
        self.report = report
        self.streams: dict[str, StreamAudit] = {}
        self._partitions = partitions

    def see(self, record: LogRecord) -> EventRecord | None:
        """Check one record; the event, where it could be read."""
        self.report.count(Check.READABLE)
        try:
            event = read_event(record.key, record.value, record.headers)
        except WireError as error:
            key = (record.key or b"").decode("utf-8", "replace")
            self.report.fault(Check.READABLE, key=key, position=record.position, detail=str(error))
            return None
        if record.partition != partition_of((record.key or b""), self._partitions):
            self._fault(Check.READABLE, event, record, "the record lies in a partition that is not its key's")
        stream = self.streams.get(event.key)
        if stream is None:
            stream = self.streams[event.key] = StreamAudit(event.key)
        self._check_sequence(stream, event, record)
        self._check_chain(stream, event, record)
        self._check_outcome(stream, event, record)
        self._fold(stream, event, record)
        if isinstance(event.data, PaymentSucceeded):
            stream.succeeded.append((event.data, record.position))
        return event

    def finish(self) -> None:
        """The log is read to its end: a group of events that lacks its outcome will not get one any more."""
        for stream in self.streams.values():
            self._close_group(stream, "")

    def forget(self) -> None:
        """Let go of all streams, before the next partition is read."""
        self.streams.clear()

    def _check_sequence(self, stream: StreamAudit, event: EventRecord, record: LogRecord) -> None:
        self.report.count(Check.SEQUENCE)
        expected = stream.sequence + 1
        if event.sequence != expected:
            what = "missing" if event.sequence > expected else "repeated"
            detail = f"sequence {event.sequence} comes after {stream.sequence}: events are {what}"
            self._fault(Check.SEQUENCE, event, record, detail)
        stream.sequence = event.sequence

    def _check_chain(self, stream: StreamAudit, event: EventRecord, record: LogRecord) -> None:
        self.report.count(Check.CHAIN)
        headers = dict(record.headers)
        computed = chain(
            stream.chain_hash, headers["ce_id"], headers["ce_type"], headers["ce_time"], record.value or b""
        )
        if computed != event.chain_hash:
            found, given = event.chain_hash[:12], computed[:12]
            detail = f"{event.type} has the hash {found}…, its bytes and the events before it give {given}…"
            self._fault(Check.CHAIN, event, record, detail)
        stream.chain_hash = event.chain_hash

    def _check_outcome(self, stream: StreamAudit, event: EventRecord, record: LogRecord) -> None:
        if stream.open_command is not None and stream.open_command != event.command_id:
            self._close_group(stream, record.position)
        before = stream.outcomes.get(event.command_id)
        if before is not None:
            detail = f"{event.type} of the command {event.command_id}, whose outcome stands at {before} already"
            self._fault(Check.OUTCOME, event, record, detail)
        if not isinstance(event.data, OUTCOMES):
            stream.open_command = event.command_id
            return
        self.report.count(Check.OUTCOME)
        stream.open_command = None
        stream.outcomes[event.command_id] = record.position

    def _close_group(self, stream: StreamAudit, position: str) -> None:
        if stream.open_command is None:
            return
        detail = f"the events of the command {stream.open_command} end without an outcome"
        self.report.fault(Check.OUTCOME, key=stream.key, position=position, detail=detail)
        stream.open_command = None

    def _fold(self, stream: StreamAudit, event: EventRecord, record: LogRecord) -> None:
        self.report.count(Check.FOLD)
        if not stream.is_foldable:
            return
        try:
            stream.state = fold(event.key, stream.state, event.data)
        except (AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
            stream.is_foldable = False
            self._fault(Check.FOLD, event, record, f"{event.type} cannot be folded: {error!r}")

    def _fault(self, check: Check, event: EventRecord, record: LogRecord, detail: str) -> None:
        self.report.fault(check, key=event.key, position=record.position, detail=detail)
