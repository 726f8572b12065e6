"""Collects what is left: the committed log, the public topic, the dead letters, the books and the rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import psycopg

from infra.kafka.log_reader import open_log
from tests.chaos.evidence import Access, Charge, ReadModels, Record, Refund

if TYPE_CHECKING:
    from infra.embedded.stack_file import StackFile

BOOKS_PAGE_LENGTH = 1_000


async def committed_log(stack: StackFile) -> list[Record]:
    """Every committed record of the log."""
    async with open_log(stack.kafka_bootstrap, f"{stack.topic_prefix}.events") as log:
        return [
            Record(
                partition=record.partition,
                offset=record.offset,
                key=(record.key or b"").decode(),
                value=record.value or b"",
                headers={name: value.decode() for name, value in record.headers},
            )
            async for record in log.read()
        ]


async def published_access(stack: StackFile) -> dict[str, set[Access]]:
    """By account, the newest record of the topic of entitlements."""
    newest: dict[str, set[Access]] = {}
    async with open_log(stack.kafka_bootstrap, f"{stack.topic_prefix}.entitlements") as log:
        async for record in log.read():
            items = orjson.loads(record.value or b'{"items":[]}')["items"]
            newest[(record.key or b"").decode()] = {
                Access(resource=item["resource"], until=_moment(item["until"])) for item in items
            }
    return newest


async def dead_letters(stack: StackFile) -> list[str]:
    """What lies there, by the name that poison carries, or by where it came from and why."""
    found = []
    async with open_log(stack.kafka_bootstrap, f"{stack.topic_prefix}.dead-letters") as log:
        async for record in log.read():
            value = (record.value or b"").decode("utf-8", "replace")
            headers = {name: content.decode("utf-8", "replace") for name, content in record.headers}
            name = value.partition(" ")[0] if value.startswith("poison-") else ""
            where = ":".join(headers.get(f"dead_letter_{part}", "?") for part in ("topic", "partition", "offset"))
            found.append(name or f"{where} ({headers.get('dead_letter_reason', '?')})")
    return found


async def books(stack: StackFile) -> tuple[list[Charge], list[Refund]]:
    """Every movement of money in the provider's books."""
    charges: list[Charge] = []
    refunds: list[Refund] = []
    after: int | None = 0
    async with httpx.AsyncClient(base_url=stack.sandbox_url, timeout=30) as client:
        while after is not None:
            response = await client.get("/_sandbox/books", params={"after": after, "limit": BOOKS_PAGE_LENGTH})
            page: dict[str, Any] = response.raise_for_status().json()
            for entry in page["entries"]:
                named = {"id": entry["id"], "amount": entry["amount"], "currency": entry["currency"].upper()}
                if entry["object"] == "charge" and entry["paid"]:
                    reference = entry["checkout_session"] or entry["payment_intent"] or ""
                    charges.append(Charge(**named, reference=reference))
                elif entry["object"] == "refund" and entry["status"] == "succeeded":
                    refunds.append(Refund(**named))
            after = page["next_after"]
    return charges, refunds


def read_models(stack: StackFile) -> ReadModels:
    """What customers would be shown."""
    models = ReadModels()
    with psycopg.connect(stack.database_url, options="-c timezone=UTC") as connection:
        models.orders = _rows(connection, "select id, account, status from billing.orders")
        models.payments = _rows(connection, "select id, account, status from billing.payments")
        models.subscriptions = _rows(connection, "select id, account, status from billing.subscriptions")
        for account, resource, until in connection.execute(
            "select account, resource, until from billing.entitlements where ended_at is null"
        ):
            access = Access(resource=resource, until=None if until is None else until.astimezone(UTC).isoformat())
            models.entitlements.setdefault(account, set()).add(access)
    return models


def _rows(connection: psycopg.Connection[Any], query: str) -> dict[str, tuple[str, str]]:
    return {identifier: (account, status) for identifier, account, status in connection.execute(query.encode())}


def _moment(text: str | None) -> str | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC).isoformat()
