"""A worker that joins after the catalogue is filled sees all of it, every time: it refuses what it does not know."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer

from domain.catalog.state import Product, ProductKind
from domain.ids import ProductId, product_key
from infra.kafka.catalog_view import CatalogView
from schemas.codec import encode, type_of
from tests.domain.spec import price, usd

if TYPE_CHECKING:
    from infra.settings import Settings

PRODUCTS = 40
JOINERS = 12
ROUNDS = 4


async def _fill(settings: Settings, topic: str) -> None:
    """Publish as the engine does: each product in a transaction, so that the partitions end with marks."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"{topic}-fill")
    await producer.start()
    try:
        for number in range(PRODUCTS):
            known = ProductId(f"film-{number}")
            offered = price(f"film-{number}:own", usd(100 + number))
            film = Product(id=known, kind=ProductKind.FILM, title=known, prices={offered.id: offered})
            async with producer.transaction():
                headers = [("ce_type", type_of(film).encode())]
                await producer.send_and_wait(topic, encode(film), key=product_key(known).encode(), headers=headers)
    finally:
        await producer.stop()


async def _seen(settings: Settings, topic: str) -> int:
    view = CatalogView(bootstrap=settings.kafka_bootstrap, topic=topic, partitions=settings.partitions)
    try:
        await view.start()
        return len(view.prices)
    finally:
        await view.stop()


async def test_whoever_joins_later_sees_all_that_was_there(settings: Settings) -> None:
    topic = f"{settings.topic_prefix}.catalog"
    await _fill(settings, topic)
    seen: list[int] = []
    for _ in range(ROUNDS):
        seen += await asyncio.gather(*(_seen(settings, topic) for _ in range(JOINERS)))
    assert seen == [PRODUCTS] * (ROUNDS * JOINERS)
