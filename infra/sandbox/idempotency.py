"""Idempotency keys as Stripe documents them: the first answer is kept for a day and given again, word for word."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.sandbox.errors import IdempotencyMismatchError, InvalidParameterError

if TYPE_CHECKING:
    from infra.sandbox.store import Transaction

KEY_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedAnswer:
    """What was answered first."""

    status: int
    body: bytes
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A client's key, and what it was sent with."""

    name: str
    path: str
    fingerprint: bytes


def key_of(name: str | None, path: str, body: bytes) -> Key | None:
    """The key of a request; raises on one that Stripe would not take."""
    if name is None:
        return None
    if not 1 <= len(name) <= KEY_LENGTH_MAX:
        raise InvalidParameterError(f"Idempotency keys must be 1 to {KEY_LENGTH_MAX} characters long.")
    # The order of form fields carries no meaning, so it does not make two requests different.
    fields = b"&".join(sorted(body.split(b"&")))
    return Key(name=name, path=path, fingerprint=hashlib.sha256(fields).digest())


def recall(tx: Transaction, key: Key, *, lifetime_s: int) -> SavedAnswer | None:
    """The first answer for this key, if it is younger than a day; raises when the request is another one."""
    rows = tx.rows(
        "SELECT path, fingerprint, status, request_id, body, created FROM idempotency WHERE key = ?", (key.name,)
    )
    if not rows:
        return None
    path, fingerprint, status, request_id, body, created = rows[0]
    if created + lifetime_s <= tx.now:
        tx.execute("DELETE FROM idempotency WHERE key = ?", (key.name,))
        return None
    if path != key.path:
        raise IdempotencyMismatchError(
            f"Keys for idempotent requests can only be used for the same endpoint they were first used for ('{path}'). "
            f"Try using a key other than '{key.name}' if you meant to execute a different request."
        )
    if fingerprint != key.fingerprint:
        raise IdempotencyMismatchError(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. "
            f"Try using a key other than '{key.name}' if you meant to execute a different request."
        )
    return SavedAnswer(status=status, body=zlib.decompress(body), request_id=request_id)


def remember(tx: Transaction, key: Key, answer: SavedAnswer) -> None:
    """Keeps the first answer, in the transaction of what it tells."""
    tx.execute(
        "INSERT INTO idempotency (key, path, fingerprint, status, request_id, body, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            key.name,
            key.path,
            key.fingerprint,
            answer.status,
            answer.request_id,
            zlib.compress(answer.body, 1),
            tx.now,
        ),
    )


def forget_old(tx: Transaction, *, lifetime_s: int, limit: int = 1_000) -> None:
    """Drops keys older than a day, a bounded number at a time."""
    tx.execute(
        "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency WHERE created <= ? LIMIT ?)",
        (tx.now - lifetime_s, limit),
    )
