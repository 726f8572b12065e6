"""Somebody who buys, from outside: only HTTP and the console script."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx

from infra.trust import authorities
from tests.e2e.running_up import billing, wait_until

if TYPE_CHECKING:
    from tests.e2e.running_up import RunningUp

WAIT_S = 60


def client(up: RunningUp, account: str, role: str = "user") -> httpx.Client:
    """HTTP as somebody, who waits for answers."""
    headers = {"authorization": f"Bearer {up.token(account, role)}", "prefer": "wait=30"}
    return httpx.Client(base_url=up.url, headers=headers, timeout=WAIT_S, verify=authorities())


class Customer:
    """Somebody with an account of their own, who waits for answers."""

    def __init__(self, up: RunningUp) -> None:
        self.account = f"customer-{uuid.uuid4().hex[:8]}"
        self._up = up
        self.http = client(up, self.account)

    def order(self, price: str, *, key: str = "first") -> httpx.Response:
        """Place an order for one thing."""
        return self.http.post(
            "/v1/orders", json={"items": [{"price_id": price}]}, headers={"idempotency-key": f"{self.account}-{key}"}
        )

    def at_the_page(self, command: str, order: dict[str, Any], *options: str) -> dict[str, Any]:
        """Act at the sandbox's hosted page with `billing sandbox`."""
        url = order["payment"]["confirmation_url"]
        done = billing("sandbox", command, url, "--json", *options, data_dir=self._up.data_dir)
        outcome: dict[str, Any] = json.loads(done.stdout)
        return outcome

    def wait_for_status(self, order: dict[str, Any], status: str) -> dict[str, Any]:
        """Poll the order until it has come so far."""
        path = f"/v1/orders/{order['id']}"
        wait_until(lambda: self.http.get(path).json()["status"] == status, what=f"status {status}")
        found: dict[str, Any] = self.http.get(path).json()
        return found

    def entitlements(self) -> list[dict[str, Any]]:
        """What they may watch."""
        items: list[dict[str, Any]] = self.http.get("/v1/entitlements").json()["items"]
        return items
