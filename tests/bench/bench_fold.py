"""Recovery: a worker without its store takes all partitions and folds the whole log."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.catalog.state import StillCatalogue
from domain.policies.settings import Policies
from infra.clock import SystemClock
from infra.garbage import collect_rarely
from infra.kafka.fenced_log import FencedLog
from infra.kafka.log_reader import open_log
from infra.kafka.topics import Topics, create_topics
from infra.rocksdb.store import open_store
from processors.journal import Journal
from tests.bench import workload
from tests.bench.bench_producer import in_batches
from tests.bench.made_log import PARTITIONS, make

if TYPE_CHECKING:
    from tests.stack import Stack

COMMANDS = 60_000


def run(stack: Stack) -> dict[str, Any]:
    """Events folded a second, from an empty store and from one that is up to date."""
    topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
    commands, events = asyncio.run(_write(stack.kafka_bootstrap, topics))
    thresholds = gc.get_threshold()
    gc.collect()
    collect_rarely()  # as the worker does, whose heap is as empty
    try:
        return asyncio.run(_measure(stack.kafka_bootstrap, topics, commands, events))
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


async def _write(bootstrap: str, topics: Topics) -> tuple[int, int]:
    """Put the log there; how many commands and events it has."""
    made = make(topics, COMMANDS, run="fold")
    await create_topics(bootstrap, topics, partitions=PARTITIONS)
    await in_batches(bootstrap, topics, made)
    return made.commands, made.events(topics)


async def _measure(bootstrap: str, topics: Topics, commands: int, events: int) -> dict[str, Any]:
    bare_s = await _read(bootstrap, topics, events)
    with tempfile.TemporaryDirectory() as folder:
        cold_s = await _open_all(bootstrap, topics, Path(folder), commands)
        warm_s = await _open_all(bootstrap, topics, Path(folder), commands)
    return {
        "events": events,
        "events_per_s": round(events / cold_s),
        "cold_s": round(cold_s, 2),
        "warm_s": round(warm_s, 2),
        "bare_reader_events_per_s": round(events / bare_s),
    }


async def _read(bootstrap: str, topics: Topics, events: int) -> float:
    """Read the same partitions and do nothing; how many seconds."""
    begin, seen = time.perf_counter(), 0
    async with open_log(bootstrap, topics.events) as log:
        async for _ in log.read():
            seen += 1
    assert seen == events, f"{seen} of {events}"
    return time.perf_counter() - begin


async def _open_all(bootstrap: str, topics: Topics, folder: Path, commands: int) -> float:
    """Open the journal of every partition, as a worker does that is given all of them; how many seconds."""
    offers = workload.offers()
    journals = [
        Journal(
            partition=number,
            log_of_partition=FencedLog(
                bootstrap=bootstrap,
                transactional_id=f"{topics.prefix}-engine-{number}",
                partition=number,
                events_topic=topics.events,
            ),
            open_store=lambda number=number: open_store(folder / str(number)),  # type: ignore[misc]
            topics=topics,
            clock=SystemClock(),
            catalogue=StillCatalogue(prices=offers),
            policies=Policies(),
        )
        for number in range(PARTITIONS)
    ]
    begin = time.perf_counter()
    await asyncio.gather(*(journal.open() for journal in journals))
    seconds = time.perf_counter() - begin
    decided = sum(journal.next_command_offset or 0 for journal in journals)
    assert decided == commands, f"{decided} of {commands} commands are known"
    for journal in journals:
        await journal.close()
    return seconds
