"""After the fire: the provider behaves again, time is moved ahead so that every timer fires, until nothing moves."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psycopg

from infra.clock import DevelopmentClock
from infra.kafka.log_reader import LogReadError, open_log

if TYPE_CHECKING:
    from infra.embedded.stack_file import StackFile
    from tests.chaos.victims import Stack

QUIET_S = 3.0
QUIET_DEADLINE_S = 180.0
POLL_S = 0.5
STEPS = (
    *(timedelta(minutes=2) for _ in range(3)),
    *(timedelta(minutes=20) for _ in range(3)),
    timedelta(hours=25),
    *(timedelta(hours=2) for _ in range(6)),
    *(timedelta(days=5) for _ in range(8)),
)
"""Unanswered calls are repeated and silent payments asked for first; then what nobody paid expires.

A renewal that was declined waits for its next attempt, days later. Within a month every spoiled card has had its turn.
"""
BAD_DAYS = [
    {"kind": "timeout", "path": "/v1/", "probability_ppm": 20_000},
    {"kind": "error_after", "path": "/v1/", "probability_ppm": 10_000},
    {"kind": "refuse", "path": "/v1/", "probability_ppm": 20_000, "status": 503},
    {"kind": "reset_after", "path": "/v1/", "probability_ppm": 10_000},
    {"kind": "latency", "path": "/v1/", "probability_ppm": 50_000, "delay_ms": 500},
    {"kind": "webhook_lost", "probability_ppm": 50_000},
    {"kind": "webhook_doubled", "probability_ppm": 50_000},
    {"kind": "webhook_late", "probability_ppm": 50_000, "delay_ms": 5_000},
]


async def provider_misbehaves(stack: StackFile, seed: int) -> None:
    """Switch the provider's bad days on."""
    faults = [{**fault, "seed": seed} for fault in BAD_DAYS]
    async with httpx.AsyncClient(base_url=stack.sandbox_url, timeout=30) as client:
        (await client.post("/_sandbox/faults", json={"faults": faults})).raise_for_status()


async def provider_recovers(stack: StackFile) -> None:
    """Switch them off."""
    async with httpx.AsyncClient(base_url=stack.sandbox_url, timeout=30) as client:
        (await client.delete("/_sandbox/faults")).raise_for_status()


async def settle(stack: Stack) -> str:
    """Return what is still unsettled when the deadline has passed, or nothing."""
    clock = DevelopmentClock(stack.data_dir / "clock")
    left = await _until_quiet(stack)
    for step in STEPS:
        if not left and await asyncio.to_thread(_open_orders, stack.addresses()) == 0:
            return ""
        clock.advance(step)
        left = await _until_quiet(stack)
    count = await asyncio.to_thread(_open_orders, stack.addresses())
    return left or (f"{count} orders are still open" if count else "")


async def _until_quiet(stack: Stack) -> str:
    """Wait until everything sent is decided and projected, and nothing new comes for a while."""
    deadline = time.monotonic() + QUIET_DEADLINE_S
    quiet_since = time.monotonic()
    before: Any = None
    while time.monotonic() < deadline:
        stack.require_alive()
        addresses = stack.addresses()
        try:
            now = await _standing(addresses)
        except (LogReadError, psycopg.Error):
            now = None
        if now is None or now != before or now["behind"]:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_S:
            return ""
        before = now
        await asyncio.sleep(POLL_S)
    return f"no rest within {QUIET_DEADLINE_S:.0f} s: {before}"


async def _standing(stack: StackFile) -> dict[str, Any]:
    """Where everything stands: equal twice in a row, and nothing behind, means rest."""
    ends: dict[str, dict[int, int]] = {}
    for name in ("events", "commands"):
        async with open_log(stack.kafka_bootstrap, f"{stack.topic_prefix}.{name}") as log:
            ends[f"{stack.topic_prefix}.{name}"] = await log.end_offsets()
    reached, pending = await asyncio.to_thread(_database_standing, stack)
    behind = {
        f"{topic} {partition}": end - reached.get((topic, partition), 0)
        for topic, partitions in ends.items()
        for partition, end in partitions.items()
        if end > reached.get((topic, partition), 0)
    }
    if pending:
        behind["pending commands"] = pending
    return {"ends": ends, "behind": behind}


def _database_standing(stack: StackFile) -> tuple[dict[tuple[str, int], int], int]:
    with psycopg.connect(stack.database_url, connect_timeout=5) as connection:
        rows = connection.execute("select topic, partition, next_offset from billing.positions").fetchall()
        pending = connection.execute("select count(*) from billing.commands where status = 'pending'").fetchone()
    assert pending is not None
    return {(topic, partition): next_offset for topic, partition, next_offset in rows}, int(pending[0])


def _open_orders(stack: StackFile) -> int:
    with psycopg.connect(stack.database_url, connect_timeout=5) as connection:
        found = connection.execute(
            "select count(*) from billing.orders where status in ('pending', 'awaiting_payment', 'paid')"
        ).fetchone()
    assert found is not None
    return int(found[0])
