"""The books: one SQLite file. A request's objects, its idempotency record and its webhooks are committed together."""

from __future__ import annotations

import secrets
import sqlite3
import zlib
from typing import TYPE_CHECKING, Any

import orjson

from infra.sandbox.errors import ResourceMissingError
from infra.stripe.names import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Json = dict[str, Any]

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    customer TEXT,
    payment_intent TEXT,
    charge TEXT,
    due INTEGER,
    body BLOB NOT NULL,
    private BLOB
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (customer, kind, seq) WHERE customer IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_intent ON objects (payment_intent, kind, seq) WHERE payment_intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_charge ON objects (charge, kind, seq) WHERE charge IS NOT NULL;
CREATE INDEX IF NOT EXISTS objects_by_due ON objects (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS metadata (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (kind, key, value, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, created INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_created ON events (created);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, event_seq INTEGER NOT NULL, endpoint TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (next_attempt_at);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event_seq);
CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, path TEXT NOT NULL, fingerprint BLOB NOT NULL, status INTEGER NOT NULL,
    request_id TEXT NOT NULL, body BLOB NOT NULL, created INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS idempotency_by_created ON idempotency (created);
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
SEARCHABLE_KINDS = frozenset({"payment_intent", "charge", "customer"})
ID_ALPHABET = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_TABLE = bytes(ID_ALPHABET[byte % len(ID_ALPHABET)] for byte in range(256))
ID_PREFIXES = {
    "pi": "payment_intent",
    "ch": "charge",
    "cus": "customer",
    "pm": "payment_method",
    "txn": "balance_transaction",
    "re": "refund",
    "seti": "setup_intent",
    "cs": "checkout.session",
    "du": "dispute",
    "we": "webhook_endpoint",
}


def new_id(prefix: str, *, length: int = 24) -> str:
    """A name in Stripe's manner; 24 characters of 62 cannot be guessed, though some come a little more often."""
    return f"{prefix}_{secrets.token_bytes(length).translate(ID_TABLE).decode('ascii')}"


class StoreError(Exception):
    """The file cannot be used as the books; the message says why."""


class Store:
    """The open file. One thread uses it at a time: handlers run on the event loop, commits on a helper thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
            self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            self.connection.execute("PRAGMA cache_size = -65536")
            version = self.connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in {0, SCHEMA_VERSION}:
                raise StoreError(f"{path} has version {version} of the books, this program writes {SCHEMA_VERSION}")
            self.connection.executescript(SCHEMA)
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        except sqlite3.OperationalError as error:
            raise StoreError(f"{path} cannot be opened ({error}); is another sandbox using it?") from error
        except sqlite3.DatabaseError as error:
            raise StoreError(f"{path} is not a database of a sandbox ({error})") from error
        self._endpoints: list[tuple[str, frozenset[str]]] | None = None
        self.deliveries_added = False
        """A transaction put something into the outbox; whoever commits it wakes the sender."""

    def endpoints(self) -> list[tuple[str, frozenset[str]]]:
        """Enabled webhook endpoints and the event types that they want."""
        if self._endpoints is None:
            rows = self.connection.execute("SELECT body FROM objects WHERE kind = 'webhook_endpoint' ORDER BY seq")
            bodies = [orjson.loads(row[0]) for row in rows]
            self._endpoints = [
                (body["id"], frozenset(body["enabled_events"])) for body in bodies if body["status"] == "enabled"
            ]
        return self._endpoints

    def forget_endpoints(self) -> None:
        """Their cache is read again at the next event."""
        self._endpoints = None

    def close(self) -> None:
        """Closes the file."""
        self.connection.close()


class Transaction:
    """What a handler sees of the books while it works on one request. Time stands still in it."""

    def __init__(self, store: Store, *, now: int, wall_now: float, request_id: str | None, key: str | None) -> None:
        self._store = store
        self._connection = store.connection
        self.now = now
        """Seconds of the sandbox's (movable) clock."""
        self.wall_now = wall_now
        """Seconds of the machine's clock, for webhooks: their transport does not travel in time."""
        self.request_id = request_id
        self.idempotency_key = key

    def insert(self, body: Json, *, private: Json | None = None, due: int | None = None) -> None:
        """Adds an object; `private` is never answered to anybody."""
        cursor = self._connection.execute(
            "INSERT INTO objects (id, kind, created, customer, payment_intent, charge, due, body, private) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                body["id"],
                body["object"],
                body["created"],
                _reference(body, "customer"),
                _reference(body, "payment_intent"),
                _reference(body, "charge") or _reference(body, "source"),
                due,
                orjson.dumps(body),
                orjson.dumps(private) if private is not None else None,
            ),
        )
        if body["object"] in SEARCHABLE_KINDS and body.get("metadata"):
            self._index(body, cursor.lastrowid or 0)
        if body["object"] == "webhook_endpoint":
            self._store.forget_endpoints()

    def update(
        self, body: Json, *, private: Json | None = None, due: int | None = None, metadata_changed: bool = False
    ) -> None:
        """Replaces an object; its private part stays where none is given, and so does what search knows of it."""
        row = self._connection.execute(
            "UPDATE objects SET body = ?, private = coalesce(?, private), due = ?, customer = ?, payment_intent = ? "
            "WHERE id = ? RETURNING seq",
            (
                orjson.dumps(body),
                orjson.dumps(private) if private is not None else None,
                due,
                _reference(body, "customer"),
                _reference(body, "payment_intent"),
                body["id"],
            ),
        ).fetchone()
        if metadata_changed and body["object"] in SEARCHABLE_KINDS:
            self._connection.execute("DELETE FROM metadata WHERE kind = ? AND seq = ?", (body["object"], row[0]))
            self._index(body, row[0])
        if body["object"] == "webhook_endpoint":
            self._store.forget_endpoints()

    def delete(self, identifier: str) -> None:
        """Removes an object and its index rows."""
        row = self._connection.execute("DELETE FROM objects WHERE id = ? RETURNING seq, kind", (identifier,)).fetchone()
        if row is not None and row[1] in SEARCHABLE_KINDS:
            self._connection.execute("DELETE FROM metadata WHERE kind = ? AND seq = ?", (row[1], row[0]))
        self._store.forget_endpoints()

    def get(self, kind: str, identifier: str, *, param: str = "id") -> Json:
        """The object; raises `ResourceMissingError` naming `param` as the culprit."""
        body = self.find(kind, identifier)
        if body is None:
            raise ResourceMissingError(kind, identifier, param=param)
        return body

    def find(self, kind: str, identifier: str) -> Json | None:
        """The object, or None."""
        row = self._connection.execute(
            "SELECT body FROM objects WHERE id = ? AND kind = ?", (identifier, kind)
        ).fetchone()
        return orjson.loads(row[0]) if row else None

    def private(self, identifier: str) -> Json:
        """What the sandbox alone knows of the object."""
        row = self._connection.execute("SELECT private FROM objects WHERE id = ?", (identifier,)).fetchone()
        return orjson.loads(row[0]) if row and row[0] else {}

    def select(self, kind: str, *, newest_first: bool = True, **columns: str) -> list[Json]:
        """All objects of a kind that belong to a customer, a payment intent or a charge (few, by nature)."""
        conditions = "".join(f" AND {name} = ?" for name in columns)
        order = "DESC" if newest_first else "ASC"
        rows = self._connection.execute(
            f"SELECT body FROM objects WHERE kind = ?{conditions} ORDER BY seq {order} LIMIT 10000",  # noqa: S608 - names are ours
            (kind, *columns.values()),
        )
        return [orjson.loads(row[0]) for row in rows]

    def rows(self, statement: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """A read that the methods above do not cover."""
        return self._connection.execute(statement, tuple(parameters)).fetchall()

    def execute(self, statement: str, parameters: Iterable[Any] = ()) -> None:
        """A write that the methods above do not cover."""
        self._connection.execute(statement, tuple(parameters))

    def roll_back_to(self, savepoint: str) -> None:
        """Takes back all since the savepoint, caches included."""
        self._connection.execute(f"ROLLBACK TO {savepoint}")
        self._store.forget_endpoints()

    def emit(self, type_: str, body: Json, *, previous: Json | None = None) -> None:
        """Records an event with the object as it is now, and a delivery for every endpoint that wants it."""
        data: Json = {"object": body}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Json = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": type_,
        }
        wanted = [endpoint for endpoint, types in self._store.endpoints() if type_ in types or "*" in types]
        event["pending_webhooks"] = len(wanted)
        cursor = self._connection.execute(
            "INSERT INTO events (id, type, created, body) VALUES (?, ?, ?, ?)",
            (event["id"], type_, self.now, zlib.compress(orjson.dumps(event), 1)),
        )
        self._store.deliveries_added |= bool(wanted)
        for endpoint in wanted:
            self._connection.execute(
                "INSERT INTO deliveries (event_seq, endpoint, next_attempt_at) VALUES (?, ?, ?)",
                (cursor.lastrowid, endpoint, self.wall_now),
            )

    def _index(self, body: Json, seq: int) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO metadata (kind, key, value, seq) VALUES (?, ?, ?, ?)",
            [(body["object"], key, value, seq) for key, value in (body.get("metadata") or {}).items()],
        )


def _reference(body: Json, field: str) -> str | None:
    value = body.get(field)
    return value if isinstance(value, str) else None
