"""Commands straight to Kafka, by the sender that the API uses, in numbers; and poison among them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from domain.calendar import Period, PeriodUnit
from domain.catalog.commands import DefineProduct
from domain.catalog.state import Price, ProductKind
from domain.ids import CommandId, OrderId, PriceId, ProductId, derive, product_key
from domain.money import Money
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from infra.kafka.command_sender import CommandSender, SendRefusedError, SendUnknownError
from schemas.envelope import new_command
from tests.chaos.customers import FILMS
from tests.chaos.evidence import Sent

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from infra.embedded.stack_file import StackFile
    from schemas.envelope import CommandRecord
    from tests.chaos.customers import Market

RETRY_S = 0.5
POISON_EACH = 200
"""One record that nobody can read for so many good ones."""
SEND_DEADLINE_S = 10.0
PACE_S = 0.08


def products() -> list[DefineProduct]:
    """What is on sale: films, and one plan."""
    films = [
        DefineProduct(
            product_id=ProductId(price_id.partition(":")[0]),
            kind=ProductKind.FILM,
            title=f"Film {number}",
            prices=(Price(id=PriceId(price_id), amount=Money(amount=499 + number, currency="USD")),),
        )
        for number, price_id in enumerate(FILMS)
    ]
    month = Period(count=1, unit=PeriodUnit.MONTH)
    price = Price(id=PriceId("plan:month"), amount=Money(amount=999, currency="USD"), period=month)
    plan = DefineProduct(
        product_id=ProductId("plan"), kind=ProductKind.SUBSCRIPTION, title="Plan", role="viewer", prices=(price,)
    )
    return [*films, plan]


class BulkSender:
    """Sends until the broker has it, however often that takes; what it has, must have an outcome."""

    def __init__(self, stack: StackFile, market: Market, dice: random.Random) -> None:
        self._topic = f"{stack.topic_prefix}.commands"
        self._bootstrap = stack.kafka_bootstrap
        self._sender = CommandSender(stack.kafka_bootstrap, self._topic, partitions=stack.partitions)
        self._market = market
        self._dice = dice
        self.poison: set[str] = set()

    async def start(self) -> None:
        """Connect."""
        self._sender.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._sender.stop()

    async def put_on_sale(self) -> None:
        """Define the products."""
        for product in products():
            key = product_key(product.product_id)
            await self._send(_command(key, product, "define"), "define")

    async def work(self, lane: int, is_over: Callable[[], bool]) -> None:
        """Send one command after another until it is over. Lanes run side by side, each with its accounts."""
        number = 0
        while not is_over():
            number += 1
            account = f"bulk-{lane}-{self._dice.randrange(200)}"
            chance = self._dice.random()
            name = f"{lane}-{number}"
            if chance < 0.04:
                item = OrderItem(price_id=PriceId(self._dice.choice(FILMS)))
                command = _command(account, PlaceOrder(items=(item,), provider="stripe"), name)
                self._market.abandoned.add(derive(command.id, "order"))
            elif chance < 0.25:
                command = _command(account, CancelOrder(order_id=OrderId(derive(account, name))), name)
            else:
                item = OrderItem(price_id=PriceId(f"nothing-{number}:usd"))
                command = _command(account, PlaceOrder(items=(item,), provider="stripe"), name)
            await self._send(command, name)
            if self._dice.random() < 0.1:
                await self._send(command, name)
            if number % POISON_EACH == 0:
                await self._poison(f"poison-{lane}-{number}")
            await asyncio.sleep(PACE_S * self._dice.random())

    async def _send(self, command: CommandRecord, name: str) -> None:
        while True:
            try:
                await self._sender.send(command)
            except (SendUnknownError, SendRefusedError):
                self._write_down(command, name, is_acknowledged=False)
                await asyncio.sleep(RETRY_S)
            else:
                self._write_down(command, name, is_acknowledged=True)
                return

    def _write_down(self, command: CommandRecord, name: str, *, is_acknowledged: bool) -> None:
        self._market.note("kafka ok" if is_acknowledged else "kafka unknown")
        answer: Sent = Sent(
            account=command.key,
            idempotency_key=name,
            answer="accepted" if is_acknowledged else "unknown",
            command_id=command.id,
        )
        self._market.sent.append(answer)

    async def _poison(self, name: str) -> None:
        """Whatever a broken or hostile producer might write."""
        headers = self._dice.choice(
            [
                [],
                [("ce_type", b"billing.order.place")],
                [("ce_type", b"billing.order.place"), ("command_id", b"\xff\xfe")],
                [("ce_type", b"billing.order.paid"), ("command_id", name.encode())],
            ]
        )
        key = self._dice.choice([name.encode(), b"\xff" + name.encode(), b"catalog/product/film-0", None])
        while True:
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, enable_idempotence=True)
            try:
                async with asyncio.timeout(SEND_DEADLINE_S):
                    await producer.start()
                    await producer.send_and_wait(self._topic, name.encode() + b" {", key=key, headers=headers)
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_S)
            else:
                self.poison.add(name)
                return
            finally:
                await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(SEND_DEADLINE_S):
            await producer.stop()
    except (KafkaError, OSError, TimeoutError):
        await producer.client.close()


def _command(key: str, data: object, name: str) -> CommandRecord:
    return new_command(
        command_id=CommandId(derive(key, name)),
        key=key,
        time=datetime.now(UTC),
        source="chaos",
        actor=f"user:{key}",
        data=data,
    )
