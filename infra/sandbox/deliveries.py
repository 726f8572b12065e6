"""Sends events to webhook endpoints from the outbox: signed, with a deadline, repeated with growing pauses."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import orjson
import structlog

from infra.sandbox.faults import Kind, Switches
from infra.sandbox.ledger import LedgerClosedError
from infra.trust import authorities

if TYPE_CHECKING:
    from infra.sandbox.ledger import Ledger
    from infra.sandbox.settings import SandboxSettings
    from infra.sandbox.store import Transaction

log = structlog.get_logger(__name__)

IDLE_S_MAX = 5.0
"""How long the sender sleeps at most when it knows of nothing to do."""

ANSWER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox with all that is needed to send it."""

    id: int
    attempts: int
    event_type: str
    payload: bytes
    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt. `delay_s` is None when the row is finished."""

    id: int
    attempts: int
    delay_s: float | None


def signature(payload: bytes, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header: HMAC-SHA256 of time and body. The time is the machine's, whatever the clock says,
    because receivers compare it with theirs."""
    digest = hmac.new(secret.encode(), b"%d.%b" % (timestamp, payload), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


class Sender:
    """Works the outbox off; what is not acknowledged with 2xx stays in it and comes again, also after a restart."""

    def __init__(self, ledger: Ledger, settings: SandboxSettings, switches: Switches) -> None:
        self._ledger = ledger
        self._settings = settings
        self._switches = switches
        self._late: set[int] = set()
        limits = httpx.Limits(
            max_connections=settings.webhook_concurrency, max_keepalive_connections=settings.webhook_concurrency
        )
        self._client = httpx.AsyncClient(
            timeout=settings.webhook_timeout_s, limits=limits, follow_redirects=False, verify=authorities()
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to send."""
        self._task = asyncio.create_task(self._run(), name="sandbox-webhooks")

    async def stop(self) -> None:
        """Stops; what is under way may be sent again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._client.aclose()

    async def _run(self) -> None:
        pending: set[asyncio.Task[Result]] = set()
        busy: set[int] = set()
        try:
            while True:
                self._ledger.wrote_deliveries.clear()
                room = self._settings.webhook_concurrency - len(pending)
                due, wait_s = await self._ledger.run(lambda tx, room=room: self._due(tx, busy, room))  # type: ignore[misc]  # the default binds the loop's value
                for delivery in due:
                    busy.add(delivery.id)
                    pending.add(asyncio.create_task(self._attempt(delivery)))
                waker = asyncio.create_task(self._ledger.wrote_deliveries.wait())
                try:
                    await asyncio.wait({*pending, waker}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waker.cancel()
                finished = {task for task in pending if task.done()}
                if finished:
                    pending -= finished
                    results = [task.result() for task in finished]
                    await self._ledger.run(lambda tx, results=results: self._finish(tx, results))  # type: ignore[misc]  # likewise
                    busy.difference_update(result.id for result in results)
        except LedgerClosedError:
            log.info("sandbox.webhooks_stopped")
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def _due(self, tx: Transaction, busy: set[int], room: int) -> tuple[list[Delivery], float]:
        if room <= 0:
            return [], IDLE_S_MAX
        rows = tx.rows(
            "SELECT deliveries.id, attempts, events.type, events.body, objects.body, objects.private, next_attempt_at "
            "FROM deliveries JOIN events ON events.seq = event_seq JOIN objects ON objects.id = endpoint "
            "ORDER BY next_attempt_at LIMIT ?",
            (len(busy) + room + 1,),
        )
        due: list[Delivery] = []
        for identifier, attempts, event_type, event, endpoint, private, next_attempt_at in rows:
            if identifier in busy:
                continue
            if next_attempt_at > tx.wall_now:
                return due, min(IDLE_S_MAX, next_attempt_at - tx.wall_now)
            if len(due) == room:
                break
            url, secret = orjson.loads(endpoint)["url"], orjson.loads(private)["secret"]
            due.append(Delivery(identifier, attempts, event_type, zlib.decompress(event), url, secret))
        return due, IDLE_S_MAX

    async def _attempt(self, delivery: Delivery) -> Result:
        hits = {}
        if not self._switches.idle and delivery.id not in self._late:
            hits = self._switches.webhook_hits(delivery.event_type)
        if Kind.WEBHOOK_LATE in hits:
            self._late.add(delivery.id)
            return Result(delivery.id, delivery.attempts, hits[Kind.WEBHOOK_LATE].delay_ms / 1000)
        self._late.discard(delivery.id)
        if Kind.WEBHOOK_LOST in hits:
            return Result(delivery.id, delivery.attempts + 1, None)
        delivered = await self._post(delivery)
        if Kind.WEBHOOK_DOUBLED in hits:
            await self._post(delivery)
        attempts = delivery.attempts + 1
        if delivered or attempts >= self._settings.webhook_attempts_max:
            if not delivered:
                log.warning("sandbox.webhook_given_up", event=delivery.event_type, attempts=attempts)
            return Result(delivery.id, attempts, None)
        pause_s = self._settings.webhook_retry_delay_s_min * 2 ** min(attempts - 1, 30)
        delay_s = min(self._settings.webhook_retry_delay_s_max, pause_s)
        return Result(delivery.id, attempts, delay_s)

    async def _post(self, delivery: Delivery) -> bool:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature(delivery.payload, delivery.secret, int(time.time())),
        }
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, TimeoutError):
            async with (
                asyncio.timeout(self._settings.webhook_timeout_s),
                self._client.stream("POST", delivery.url, content=delivery.payload, headers=headers) as answer,
            ):
                # A short body is read, so that the connection can be used again; a long one is not.
                async for _ in answer.aiter_raw(ANSWER_BYTES_MAX):
                    break
                return answer.is_success
        return False

    def _finish(self, tx: Transaction, results: list[Result]) -> None:
        if not self._switches.idle:
            self._switches.save_counts(tx)
        for result in results:
            if result.delay_s is None:
                tx.execute("DELETE FROM deliveries WHERE id = ?", (result.id,))
            else:
                tx.execute(
                    "UPDATE deliveries SET attempts = ?, next_attempt_at = ? WHERE id = ?",
                    (result.attempts, tx.wall_now + result.delay_s, result.id),
                )
