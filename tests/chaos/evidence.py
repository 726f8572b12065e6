"""What the verifier judges: plain data, gathered from outside, without a line of the code that is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request of a customer (or a record put on the topic), and what was answered.

    `accepted`: the command is on its way and must have exactly one outcome. `refused`: it must have none.
    `unknown`: the connection broke, or the answer was a server's error; it may have one outcome or none.
    """

    account: str
    idempotency_key: str
    answer: Literal["accepted", "refused", "unknown"]
    command_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One committed record of the log."""

    partition: int
    offset: int
    key: str
    value: bytes
    headers: dict[str, str]

    @property
    def position(self) -> str:
        """`<partition>:<offset>`."""
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that the provider collected, by its own books.

    `reference` is the Checkout Session that it was paid on, or the Payment Intent where a saved card was charged.
    """

    id: str
    reference: str
    amount: int
    currency: str
    """Upper case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money that the provider gave back, by its own books."""

    id: str
    amount: int
    currency: str
    """Upper case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One thing that an account may watch; `until` as RFC 3339 text in UTC, None for ever."""

    resource: str
    until: str | None


@dataclass(slots=True)
class ReadModels:
    """What a customer would be shown: (account, status) by id, and what each account may watch."""

    orders: dict[str, tuple[str, str]] = field(default_factory=dict)
    payments: dict[str, tuple[str, str]] = field(default_factory=dict)
    subscriptions: dict[str, tuple[str, str]] = field(default_factory=dict)
    entitlements: dict[str, set[Access]] = field(default_factory=dict)


@dataclass(slots=True)
class Evidence:
    """Everything that is left when the fire is out."""

    sent: list[Sent] = field(default_factory=list)
    log: list[Record] = field(default_factory=list)
    """Committed records of `billing.events`, in the order of each partition."""
    charges: list[Charge] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    read_models: ReadModels = field(default_factory=ReadModels)
    published: dict[str, set[Access]] = field(default_factory=dict)
    """By account, the newest record of `billing.entitlements`."""
    poison: set[str] = field(default_factory=set)
    """Names of records that nobody can read, put on the topic of commands."""
    dead_letters: list[str] = field(default_factory=list)
    """Names of those found among the dead letters."""
    abandoned_orders: set[str] = field(default_factory=set)
    """Orders whose customers never came back: they alone may wait for their money."""


Body = dict[str, Any]
