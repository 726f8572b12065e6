"""What the routes work with: one of each for a process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.intake import Intake
from api.lookups import CommandLookups
from infra.clock import SystemClock, clock_of
from infra.kafka.catalog_view import CatalogView
from infra.kafka.command_sender import CommandSender
from infra.kafka.topics import topics_of
from infra.oidc_keys import verifier_of
from infra.postgres.engine import create_engine
from projections.positions import PositionWatcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine

    from api.metrics import Metrics
    from domain.ports import Clock
    from infra.oidc import TokenVerifier
    from infra.settings import Settings

_QUERY_TIMEOUT_MS = 5_000
SEND_DEADLINE_S = 10.0
_REREADS_MAX = 4
_APPLICATION = "billing-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything is connected by itself, and again by itself: none of it has to be there when the process starts."""

    settings: Settings
    clock: Clock
    verifier: TokenVerifier
    sender: CommandSender
    engine: AsyncEngine
    """Connections for queries, without transactions: a query is one statement, or does not mind what comes between."""
    watcher: PositionWatcher
    lookups: CommandLookups
    intake: Intake
    catalogue: CatalogView
    """What is on sale, as the engines have it: quotes are made of it."""
    metrics: Metrics
    rereads: asyncio.Semaphore
    """Whoever waits for something takes one of these to look again, so that queries always find a connection."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The payment providers that are configured; the first is the default."""
        return ("stripe",) if self.settings.stripe_secret_key.get_secret_value() else ()


@asynccontextmanager
async def services_of(settings: Settings, metrics: Metrics) -> AsyncIterator[Services]:
    """Start what runs in the background; stop it in the end, what is under way first."""
    topics = topics_of(settings)
    clock = clock_of(settings)
    async with AsyncExitStack() as stack:
        engine = create_engine(
            settings.database_url, application_name=_APPLICATION, statement_timeout_ms=_QUERY_TIMEOUT_MS
        )
        stack.push_async_callback(engine.dispose)
        queries = engine.execution_options(isolation_level="AUTOCOMMIT")
        watcher = await stack.enter_async_context(PositionWatcher(settings.database_url, topic=topics.events))
        lookups = CommandLookups(queries, watcher)
        stack.push_async_callback(lookups.close)
        sender = CommandSender(
            settings.kafka_bootstrap, topics.commands, partitions=settings.partitions, deadline_s=SEND_DEADLINE_S
        )
        sender.start()
        stack.push_async_callback(sender.stop)
        catalogue = CatalogView(
            bootstrap=settings.kafka_bootstrap, topic=topics.catalog, partitions=settings.partitions
        )
        catalogue.begin()
        stack.push_async_callback(catalogue.stop)
        verifier = verifier_of(settings, SystemClock())
        stack.push_async_callback(verifier.close)
        yield Services(
            settings=settings,
            clock=clock,
            verifier=verifier,
            sender=sender,
            engine=queries,
            watcher=watcher,
            lookups=lookups,
            intake=Intake(sender, lookups, clock, metrics),
            metrics=metrics,
            catalogue=catalogue,
            rereads=asyncio.Semaphore(_REREADS_MAX),
        )
