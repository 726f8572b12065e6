"""A subscriber of a running product, for tests, and plans to subscribe to."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.api.product import usd
from tests.api.test_webhooks import paid, signed

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product


class Subscriber:
    """Somebody with an account of their own, whose card at the provider always works."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.account = product.account()

    async def get(self, path: str) -> Any:
        return (await self.product.http.get(path, headers=self.product.headers(self.account))).json()

    async def post(self, path: str, body: dict[str, Any] | None = None, key: str | None = None) -> httpx.Response:
        headers = self.product.headers(self.account, key=key or uuid.uuid4().hex, wait=30)
        return await self.product.http.post(path, json=body or {}, headers=headers)

    async def subscribe(self, price: str) -> dict[str, Any]:
        """Buy a plan at the provider's page; the subscription."""
        order = (await self.product.order(price, self.account)).json()
        await self.pay(order, order["total"])
        found: dict[str, Any] = await self.get("/v1/subscriptions/current")
        return found

    async def pay(self, order: dict[str, Any], amount: dict[str, Any]) -> None:
        """Pay at the page of an order, and wait until it is given."""
        reference = order["payment"]["confirmation_url"].rpartition("/")[2]
        self.product.provider.pay(reference, datetime.now(UTC))
        event = paid({**order, "total": amount}, self.account, reference)
        body = json.dumps(event).encode()
        answer = await self.product.http.post("/v1/webhooks/stripe", content=body, headers=signed(body))
        assert answer.status_code == 200, answer.text
        await self.until(f"/v1/orders/{order['id']}", "status", "fulfilled")

    async def until(self, path: str, name: str, value: Any) -> dict[str, Any]:
        """Look until something is as wanted."""
        found: dict[str, Any] = await self.product.until(
            lambda: self.product.http.get(path, headers=self.product.headers(self.account)),
            lambda answer: answer.json().get(name) == value,
        )
        return found

    async def entitled(self) -> list[str]:
        """What may be watched."""
        return [item["resource"] for item in (await self.get("/v1/entitlements"))["items"]]


async def plans(product: Product, *, trial_days: int | None = None) -> str:
    """A product with a price of 9.99 and one of 12.99 a month; its id."""
    name = f"plan-{uuid.uuid4().hex[:12]}"
    month = {"count": 1, "unit": "month"}
    prices: list[dict[str, Any]] = [
        {"id": f"{name}:monthly", "amount": usd(999), "period": month},
        {"id": f"{name}:dearer", "amount": usd(1299), "period": month},
    ]
    if trial_days is not None:
        prices[0]["trial_days"] = trial_days
    await product.define(name, {"kind": "subscription", "title": "A plan", "role": name, "prices": prices})
    return name
