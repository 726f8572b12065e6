"""Keep the list of who may watch what, from `billing.entitlements` alone. Run: python access_list.py localhost:9092

The newest record of an account is all that it may watch now; the topic is compacted, so reading it from its beginning
gives the whole list at every start, and nothing has to be stored or asked for.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer

access: dict[str, dict[str, datetime | None]] = {}  # account → resource → until (None: for ever)


def may_watch(account: str, resource: str) -> bool:
    """`until` is compared here, so access ends in time even if the record that ends it is late."""
    until = access.get(account, {}).get(resource, datetime.min.replace(tzinfo=UTC))
    return until is None or until > datetime.now(UTC)


def learn(account: str, body: bytes | None) -> None:
    """A record replaces all that was known of its account."""
    items = json.loads(body)["items"] if body else []
    access[account] = {i["resource"]: i["until"] and datetime.fromisoformat(i["until"]) for i in items}


async def follow(bootstrap: str, topic: str = "billing.entitlements") -> None:
    """Without a consumer group: every copy of this program reads the whole topic for itself."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
    )
    async with consumer:
        async for record in consumer:
            learn(record.key.decode(), record.value)
            print(record.key.decode(), sorted(access[record.key.decode()]))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(follow(*sys.argv[1:]))
