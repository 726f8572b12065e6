"""A provider's bad days, switched on by hand: slow, broken and silent answers, lost, doubled and late webhooks."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from infra.sandbox.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.sandbox.store import Transaction

Json = dict[str, Any]

MILLION = 1_000_000
DELAY_MS_MAX = 3_600_000
COUNT_MAX = 1_000_000
FAULTS_MAX = 100


class Kind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    """The request waits `delay_ms` before it is worked on; its idempotency key is in use meanwhile."""
    REFUSE = "refuse"
    """`status` (default 503) before anything is done; not remembered for the idempotency key. 429 goes here too."""
    ERROR = "error"
    """`status` (default 500) instead of the work, remembered for the key: Stripe repeats its 500s."""
    ERROR_AFTER = "error_after"
    """The work is done, then `status` (default 500) is answered, and remembered."""
    TIMEOUT = "timeout"
    """The work is done and never answered: a timeout after the charge."""
    TIMEOUT_BEFORE = "timeout_before"
    """Nothing is done and nothing is answered."""
    RESET = "reset"
    """The connection is reset before anything is done."""
    RESET_AFTER = "reset_after"
    """The work is done, then the connection is reset."""
    WEBHOOK_LOST = "webhook_lost"
    """A delivery is dropped and counts as made."""
    WEBHOOK_DOUBLED = "webhook_doubled"
    """A delivery is made twice."""
    WEBHOOK_LATE = "webhook_late"
    """A delivery waits `delay_ms` more; others overtake it."""
    REFUND_PENDING = "refund_pending"
    """A new refund is pending for `delay_ms` of the sandbox's clock (default: 10 s), then it succeeds."""
    REFUND_FAILED = "refund_failed"
    """A new refund is pending just as long, then it fails."""


WEBHOOK_KINDS = frozenset({Kind.WEBHOOK_LOST, Kind.WEBHOOK_DOUBLED, Kind.WEBHOOK_LATE})
REFUND_KINDS = frozenset({Kind.REFUND_PENDING, Kind.REFUND_FAILED})
REFUNDS_PATH = "/v1/refunds"
DEFAULT_STATUS = {Kind.REFUSE: 503, Kind.ERROR: 500, Kind.ERROR_AFTER: 500}


@dataclass(slots=True, kw_only=True)
class Fault:
    """One switch. It hits requests whose method and path (or events whose type) begin as given."""

    kind: Kind
    path: str = ""
    """Beginning of the path for requests, of the event type for webhooks; empty matches all."""
    method: str = ""
    """For requests; empty means POST, the calls that change something; `*` means all."""
    probability_ppm: int = MILLION
    count: int | None = None
    """How often it still hits; None is without end."""
    delay_ms: int = 0
    status: int = 0
    seed: int = 0

    @classmethod
    def read(cls, body: Any) -> Fault:
        """From JSON; raises on anything that makes no sense."""
        if not isinstance(body, dict) or set(body) - set(cls.__dataclass_fields__):
            raise InvalidParameterError(f"A fault has the fields {', '.join(cls.__dataclass_fields__)}.")
        try:
            kind = Kind(str(body.get("kind")))
        except ValueError:
            raise InvalidParameterError(f"kind must be one of {', '.join(Kind)}", param="kind") from None
        fault = cls(kind=kind, **{name: value for name, value in body.items() if name != "kind" and value is not None})
        texts = isinstance(fault.path, str) and isinstance(fault.method, str)
        given = (fault.probability_ppm, fault.delay_ms, fault.status, fault.seed, fault.count or 0)
        numbers = all(type(value) is int for value in given)
        if not texts or not numbers:
            raise InvalidParameterError("path and method are texts; the other fields are integers.")
        fault.status = fault.status or DEFAULT_STATUS.get(kind, 0)
        ranges = (
            (0 <= fault.probability_ppm <= MILLION, "probability_ppm must be between 0 and 1000000"),
            (0 <= fault.delay_ms <= DELAY_MS_MAX, f"delay_ms must be between 0 and {DELAY_MS_MAX}"),
            (fault.count is None or 1 <= fault.count <= COUNT_MAX, f"count must be between 1 and {COUNT_MAX}"),
            (fault.status == 0 or 400 <= fault.status <= 599, "status must be an error"),  # noqa: PLR2004 - HTTP's error range
        )
        for holds, message in ranges:
            if not holds:
                raise InvalidParameterError(message)
        return fault

    def as_json(self) -> Json:
        """For answers and for the file."""
        return asdict(self)


class Switches:
    """The faults that are on. They are kept in the file, so that a killed sandbox comes back as bad as it was."""

    def __init__(self) -> None:
        self._faults: list[tuple[int, Fault, random.Random]] = []

    def load(self, tx: Transaction) -> None:
        """Reads the switches from the file."""
        self._faults = []
        for identifier, body in tx.rows("SELECT id, body FROM faults ORDER BY id"):
            fault = Fault.read(orjson.loads(body))
            self._faults.append((identifier, fault, random.Random(f"{fault.seed}/{identifier}")))  # noqa: S311 - repeatable on purpose

    def add(self, tx: Transaction, fault: Fault) -> None:
        """Switches one more on."""
        if len(self._faults) >= FAULTS_MAX:
            raise InvalidParameterError(f"There are {FAULTS_MAX} faults already.")
        tx.execute("INSERT INTO faults (body) VALUES (?)", (orjson.dumps(fault.as_json()),))

    def clear(self, tx: Transaction) -> None:
        """Switches all off."""
        tx.execute("DELETE FROM faults")

    def listing(self) -> list[Json]:
        """All that are on."""
        return [{"id": identifier, **fault.as_json()} for identifier, fault, _ in self._faults]

    @property
    def idle(self) -> bool:
        """Nothing is on."""
        return not self._faults

    def hits(self, *, method: str, path: str) -> dict[Kind, Fault]:
        """The faults that hit a request, one of a kind."""
        return self._hits(
            lambda fault: (
                fault.kind not in WEBHOOK_KINDS
                and (fault.kind not in REFUND_KINDS or path == REFUNDS_PATH)
                and (fault.method or "POST") in {"*", method}
                and path.startswith(fault.path)
            )
        )

    def webhook_hits(self, event_type: str) -> dict[Kind, Fault]:
        """The faults that hit a delivery."""
        return self._hits(lambda fault: fault.kind in WEBHOOK_KINDS and event_type.startswith(fault.path))

    def _hits(self, matches: Any) -> dict[Kind, Fault]:
        hit: dict[Kind, Fault] = {}
        for _, fault, dice in self._faults:
            if fault.kind in hit or fault.count == 0 or not matches(fault):
                continue
            if fault.probability_ppm < MILLION and dice.randrange(MILLION) >= fault.probability_ppm:
                continue
            if fault.count is not None:
                fault.count -= 1
            hit[fault.kind] = fault
        return hit

    def save_counts(self, tx: Transaction) -> None:
        """Writes what is left of the counts, and drops what is used up."""
        for identifier, fault, _ in self._faults:
            if fault.count == 0:
                tx.execute("DELETE FROM faults WHERE id = ?", (identifier,))
            elif fault.count is not None:
                tx.execute("UPDATE faults SET body = ? WHERE id = ?", (orjson.dumps(fault.as_json()), identifier))
        self._faults = [entry for entry in self._faults if entry[1].count != 0]


def first(hits: Mapping[Kind, Fault], *kinds: Kind) -> Fault | None:
    """The first of these kinds that hits."""
    return next((hits[kind] for kind in kinds if kind in hits), None)
