"""A manager of a running product, for tests: every action waits for its outcome."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product


@dataclass(frozen=True, slots=True)
class Manager:
    """Somebody with the role."""

    product: Product
    name: str = "boss"

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """Look."""
        headers = self.product.headers(self.name, "manager")
        return await self.product.http.get(path, params=query or None, headers=headers)

    async def put(self, path: str, body: dict[str, Any], *, key: str | None = None) -> httpx.Response:
        """Have something be so."""
        headers = self.product.headers(self.name, "manager", key=key or uuid.uuid4().hex, wait=30)
        return await self.product.http.put(path, json=body, headers=headers)

    async def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> httpx.Response:
        """Do something."""
        headers = self.product.headers(self.name, "manager", key=key or uuid.uuid4().hex, wait=30)
        return await self.product.http.post(path, json=body, headers=headers)

    async def promo_code(self, **terms: Any) -> str:
        """A new promo code, as soon as the engine knows it."""
        code = f"CODE-{uuid.uuid4().hex[:12].upper()}"
        answer = await self.put(f"/v1/admin/promo-codes/{code.lower()}", terms)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["code"], answer.json()["active"], answer.json()["uses"]) == (code, True, 0)
        probe: dict[str, Any] = {"promo_code": code, "expected_total": {"amount": 1, "currency": "USD"}}
        price = await self.product.film()
        await self.product.until(
            lambda: self.product.order(price, **probe), lambda answer: answer.json()["code"] != "promo_code_unknown"
        )
        return code

    async def grant(self, account: str, **terms: Any) -> httpx.Response:
        """A discount for one customer."""
        answer = await self.post(f"/v1/admin/accounts/{account}/personal-discounts", terms)
        assert answer.status_code == 201, answer.text
        return answer

    async def quoted(self, account: str, body: dict[str, Any], position: str = "") -> Any:
        """A quote, as soon as the API knows of everything in it."""
        headers = self.product.headers(account) | ({"Billing-Position": position} if position else {})
        return await self.product.until(
            lambda: self.product.http.post("/v1/quotes", json=body, headers=headers),
            lambda answer: answer.is_success,
        )
