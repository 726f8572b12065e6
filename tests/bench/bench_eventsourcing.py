"""The library `eventsourcing` making the same decision, on the PostgreSQL that the product itself would use.

Everything is in its favour: our own codec and fold inside its aggregate, aggregates cached in memory and not read
again before a command, the best of one and several threads, and neither idempotency nor an outcome is asked of it.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event

from domain.account.decider import decide
from domain.account.evolve import evolve
from domain.account.state import INITIAL
from domain.decider import Command
from schemas.codec import decode, encode, type_of
from schemas.messages import EVENTS
from tests.bench import workload

if TYPE_CHECKING:
    from schemas.envelope import CommandRecord

COMMANDS = 4_000
THREADS = (1, 4, 8)
OFFERS = workload.offers()


class Account(Aggregate):
    """One customer, as the library wants it: our decider decides, and each of our events is one event of it."""

    class Opened(Aggregate.Created):
        """The first event that the library wants of every aggregate."""

        account: str

    @event(Opened)
    def __init__(self, account: str) -> None:
        self.account = account
        self.state = INITIAL

    @staticmethod
    def create_id(account: str) -> uuid.UUID:
        """The same account is the same aggregate."""
        return uuid.uuid5(uuid.NAMESPACE_URL, account)

    def handle(self, record: CommandRecord) -> None:
        """Decide, and note what happens."""
        command = Command(
            id=record.id, key=record.key, at=record.time, actor=record.actor, data=record.data, prices=OFFERS
        )
        for happened in decide(self.state, command):
            self.happen(type_of(happened), encode(happened).decode())

    @event("Happened")
    def happen(self, kind: str, body: str) -> None:
        """One of our events, in our own JSON."""
        self.state = evolve(self.state, decode(kind, body.encode(), EVENTS))


class Accounts(Application[uuid.UUID]):
    """The library's application."""

    def handle(self, record: CommandRecord) -> None:
        """Load, decide, save: one transaction a command."""
        try:
            account: Account = self.repository.get(Account.create_id(record.key))
        except AggregateNotFoundError:
            account = Account(account=record.key)
        account.handle(record)
        self.save(account)


def environment(database_url: str) -> dict[str, str]:
    """The library's settings for the same database."""
    parts = urlsplit(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parse_qs(parts.query).get("host", [parts.hostname or ""])[0],
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "trusted",
        "POSTGRES_POOL_SIZE": "10",
        "AGGREGATE_CACHE_MAXSIZE": "20000",
        "AGGREGATE_CACHE_FASTFORWARD": "n",
    }


def commands_per_second(database_url: str, *, threads: int, count: int = COMMANDS) -> float:
    """Handle so many orders by so many threads, each customer's orders in one thread."""
    run = f"es{threads}"
    shares: list[list[CommandRecord]] = [[] for _ in range(threads)]
    for record in workload.orders(count, run=run):
        shares[int(record.key.rpartition("-")[2]) % threads].append(record)
    app = type("Accounts", (Accounts,), {"name": run})(env=environment(database_url))  # tables of its own
    try:
        begin = perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda share: [app.handle(record) for record in share], shares))
        seconds = perf_counter() - begin
        _require_all(app, count)
    finally:
        app.close()
    return count / seconds


def _require_all(app: Accounts, count: int) -> None:
    """Count what is in the database: as many events as commands were to give."""
    accounts = (count + workload.FILMS - 1) // workload.FILMS
    expected = count * workload.EVENTS_PER_COMMAND + accounts
    written = app.recorder.max_notification_id()
    assert written == expected, f"{written} events instead of {expected}"


def measure(database_url: str) -> dict[str, Any]:
    """Commands a second, by the number of threads."""
    return {str(threads): commands_per_second(database_url, threads=threads) for threads in THREADS}
