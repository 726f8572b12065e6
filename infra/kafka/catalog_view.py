"""The catalogue as a local view: the newest record of every product on the compacted topic, kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from domain.catalog.state import Offer, Product
from domain.ids import PriceId, ProductId, product_of
from domain.pricing.state import MonthsDiscounts, PromoCode
from infra.kafka.tolerant_records import accept_any_header_name
from schemas.codec import WireError, decode
from schemas.messages import PUBLIC

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

accept_any_header_name()
log = structlog.get_logger(__name__)

START_DEADLINE_S = 60.0
RETRY_DELAY_S = 2.0


class Offers(Mapping[PriceId, Offer]):
    """Offers by price id, out of products by product id."""

    def __init__(self, products: Mapping[ProductId, Product]) -> None:
        self._products = products

    def __getitem__(self, price_id: PriceId) -> Offer:
        product = self._products[product_of(price_id)]
        return Offer(product=product, price=product.prices[price_id])

    def __iter__(self) -> Iterator[PriceId]:
        for product in self._products.values():
            yield from product.prices

    def __len__(self) -> int:
        return sum(len(product.prices) for product in self._products.values())


class CatalogView:
    """A `domain.catalog.state.Catalogue`. `start` returns when it has everything that was there at the start."""

    def __init__(self, *, bootstrap: str, topic: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._partitions = partitions
        self._products: dict[ProductId, Product] = {}
        self._offers = Offers(self._products)
        self._months_discounts = MonthsDiscounts()
        self._promo_codes: dict[str, PromoCode] = {}
        self._is_ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def prices(self) -> Mapping[PriceId, Offer]:
        """Offers by price id, archived ones among them."""
        return self._offers

    @property
    def months_discounts(self) -> MonthsDiscounts:
        """The table of discounts by months."""
        return self._months_discounts

    @property
    def promo_codes(self) -> Mapping[str, PromoCode]:
        """Promo codes by their one spelling, archived ones among them."""
        return self._promo_codes

    def begin(self) -> None:
        """Read in the background, whether or not the broker is there already."""
        self._task = asyncio.create_task(self._keep_reading(), name="catalog-view")

    async def wait_until_ready(self, deadline_s: float) -> bool:
        """Tell whether everything that was there when the reading began is read, within the deadline."""
        if self._is_ready.is_set():
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                await self._is_ready.wait()
        return self._is_ready.is_set()

    async def start(self) -> None:
        """Read the topic to its end and go on reading in the background. Raises TimeoutError."""
        self.begin()
        if not await self.wait_until_ready(START_DEADLINE_S):
            raise TimeoutError(f"the catalogue was not read within {START_DEADLINE_S} s")

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_reading(self) -> None:
        """Read for ever; the broker may be away for as long as it likes, the view is then as old as its absence."""
        while True:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                log.warning("catalog.view.interrupted", error=repr(error))
                await asyncio.sleep(RETRY_DELAY_S)

    async def _read(self) -> None:
        consumer: AIOKafkaConsumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            # Not by a seek: the reset to the end that an assignment begins with may finish after it, and skip all.
            auto_offset_reset="earliest",
        )
        try:
            await consumer.start()
            partitions = [TopicPartition(self._topic, number) for number in range(self._partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            while True:
                if not self._is_ready.is_set():
                    positions = [await consumer.position(partition) for partition in partitions]
                    if all(position >= ends[where] for where, position in zip(partitions, positions, strict=True)):
                        self._is_ready.set()
                fetched = await consumer.getmany(timeout_ms=300 if not self._is_ready.is_set() else 5_000)
                for records in fetched.values():
                    for record in records:
                        self._take(record)
        finally:
            await consumer.stop()

    def _take(self, record: ConsumerRecord[bytes, bytes]) -> None:
        try:
            entry = decode(_type(record), record.value, PUBLIC)
        except WireError as error:
            log.warning("catalog.view.unreadable", partition=record.partition, offset=record.offset, reason=str(error))
            return
        match entry:
            case Product():
                self._products[entry.id] = entry
            case MonthsDiscounts():
                self._months_discounts = entry
            case PromoCode():
                self._promo_codes[entry.code] = entry
            case _:
                log.warning("catalog.view.foreign", partition=record.partition, offset=record.offset)


def _type(record: ConsumerRecord[bytes, bytes]) -> str:
    """Return the record's type; header names and values may be anything that a stranger wrote."""
    return next((value.decode("ascii", "replace") for name, value in record.headers if name == "ce_type"), "")
