"""A journal on the memory adapters, and readable ways to talk to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from domain.catalog.state import Offer, Price, Product, ProductKind, StillCatalogue
from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import CommandId, EffectId, PaymentId, PriceId, ProductId
from domain.money import Money
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall
from domain.policies.settings import Policies
from infra.kafka.topics import Topics
from infra.memory.log import MemoryLog, MemoryTopics
from infra.memory.store import MemoryStore
from processors.decisions import Incoming
from processors.journal import Journal
from schemas.envelope import EventRecord, command_body, command_headers, new_command, read_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalog.state import Catalogue
    from processors.decisions import Decided
    from processors.partition import Store
    from schemas.envelope import CommandRecord

TOPICS = Topics("billing")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FILM = Product(
    id=ProductId("dune"),
    kind=ProductKind.FILM,
    title="Dune",
    prices={PriceId("dune:usd"): Price(id=PriceId("dune:usd"), amount=Money(amount=999, currency="USD"))},
)
OFFERS: Mapping[PriceId, Offer] = {price.id: Offer(product=FILM, price=price) for price in FILM.prices.values()}


@dataclass
class StillClock:
    """A clock that stands until it is moved."""

    at: datetime = NOON

    def now(self) -> datetime:
        """Return the moment it stands at."""
        return self.at

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self.at += by


@dataclass
class Bench:
    """One partition: the topics, a store, a clock, and journals that come and go."""

    topics: MemoryTopics = field(default_factory=MemoryTopics)
    clock: StillClock = field(default_factory=StillClock)
    store: Store = field(default_factory=MemoryStore)
    catalogue: Catalogue = field(default_factory=lambda: StillCatalogue(prices=OFFERS))
    next_offset: int = 0
    partitions: int = 1
    renewals_max: int = 64

    def journal(self, store: Store | None = None) -> Journal:
        """Return a new owner of the partition."""
        return Journal(
            partition=0,
            log_of_partition=MemoryLog(
                self.topics, transactional_id="engine-0", partition=0, events_topic=TOPICS.events
            ),
            open_store=lambda: self.store if store is None else store,
            topics=TOPICS,
            clock=self.clock,
            catalogue=self.catalogue,
            policies=Policies(),
            partitions=self.partitions,
            renewals_max=self.renewals_max,
        )

    async def opened(self, store: Store | None = None) -> Journal:
        """Return a new owner that has read the log."""
        journal = self.journal(store)
        await journal.open()
        return journal

    def incoming(self, data: Any, *, command_id: str, key: str = "alice", body_hash: str | None = None) -> Incoming:
        """Return a command as Kafka would deliver it, at the next offset."""
        command = new_command(
            command_id=CommandId(command_id),
            key=key,
            time=self.clock.now(),
            source="test",
            actor=key,
            data=data,
            body_hash=body_hash,
        )
        return self.delivered(command)

    def delivered(self, command: CommandRecord) -> Incoming:
        """Return a command that is made already as Kafka would deliver it, at the next offset."""
        offset, self.next_offset = self.next_offset, self.next_offset + 1
        key = command.key.encode()
        return Incoming(TOPICS.commands, 0, offset, key, command_body(command), command_headers(command))

    async def handle(self, journal: Journal, *batch: Incoming) -> Decided:
        """Decide and commit a batch."""
        return await journal.handle(list(batch))

    def events(self) -> list[EventRecord]:
        """Return the events in the log."""
        return [read_event(r.key, r.value, r.headers) for r in self.topics.read(TOPICS.events, 0)]

    def types(self) -> list[str]:
        """Return the types of the events in the log, without the prefix that all have."""
        return [event.type.removeprefix("billing.") for event in self.events()]

    def written(self, topic: str) -> list[Any]:
        """Return what stands on another topic."""
        return self.topics.read(topic, 0)


def buy_dune() -> PlaceOrder:
    """Return an order of the one film on sale."""
    return PlaceOrder(items=(OrderItem(price_id=PriceId("dune:usd")),), provider="stripe")


def paid(payment_id: str, effect_id: str) -> AnswerCall:
    """Return the provider's word that the money for Dune arrived."""
    return AnswerCall(
        payment_id=PaymentId(payment_id),
        effect_id=EffectId(effect_id),
        attempt=1,
        answer=ProviderAnswer(
            status=AnswerStatus.SUCCEEDED, reference="cs_1", amount=Money(amount=999, currency="USD")
        ),
    )
