"""Webhooks that never come: disputes and refunds that bounced are known all the same, after the next sweep."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.e2e.running_up import billing, running_up, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.customer import Customer
    from tests.e2e.running_up import RunningUp

REFUND_BOUNCES_CARD = "4000000000005126"
SETTINGS = {"BILLING_GATEWAY_SWEEP_INTERVAL_S": "1", "BILLING_POLICY_REPEATED_ORDER": "reject"}


@pytest.fixture(scope="module")
def up() -> Iterator[RunningUp]:
    """A product of which no webhook about disputes and refunds arrives, and that asks every second."""
    with running_up(settings=SETTINGS) as running:
        for prefix in ("charge.", "refund."):
            done = billing("sandbox", "faults", "add", "webhook_lost", "--path", prefix, data_dir=running.data_dir)
            assert done.returncode == 0, done.stderr
        yield running


def _bought(customer: Customer, *options: str) -> dict[str, Any]:
    order: dict[str, Any] = customer.order("nosferatu:usd").json()
    customer.at_the_page("pay", order, *options)
    customer.wait_for_status(order, "fulfilled")
    return order


def _wait_for_payment(customer: Customer, order: dict[str, Any], status: str) -> None:
    path = f"/v1/payments/{order['payment']['id']}"
    wait_until(lambda: customer.http.get(path).json()["status"] == status, what=f"a payment that is {status}")


def test_a_dispute_from_its_beginning_to_its_end(up: RunningUp, customer: Customer, manager: httpx.Client) -> None:
    order = _bought(customer)
    page = str(order["payment"]["confirmation_url"]).rpartition("/")[2]
    reference = json.loads(billing("sandbox", "dispute", page, data_dir=up.data_dir).stdout)["id"]
    _wait_for_payment(customer, order, "disputed")

    sandbox = json.loads((up.data_dir / "stack.json").read_bytes())["sandbox_url"]
    broken = {"kind": "refuse", "method": "GET", "path": "/v1/events", "count": 2}
    assert httpx.post(f"{sandbox}/_sandbox/faults", json=broken).status_code == 200
    billing("sandbox", "verdict", reference, "lost", data_dir=up.data_dir)
    wait_until(lambda: customer.entitlements() == [], what="the end of the access")
    found = manager.get("/v1/admin/disputes", params={"account": customer.account}).json()["items"]
    assert [(item["reference"], item["status"]) for item in found] == [(reference, "lost")]
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0


def test_a_refund_that_bounces(up: RunningUp, customer: Customer) -> None:
    order = _bought(customer, "--card", REFUND_BOUNCES_CARD)
    path = f"/v1/payments/{order['payment']['id']}/refunds"
    refund = customer.http.post(path, json={}, headers={"idempotency-key": uuid.uuid4().hex}).json()
    _wait_for_payment(customer, order, "refunded")
    up.advance("1m")
    shown = f"/v1/refunds/{refund['id']}"
    wait_until(lambda: customer.http.get(shown).json()["status"] == "failed", what="a refund that bounced")
    wait_until(lambda: customer.entitlements() != [], what="the film again")
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0


def test_by_its_setting_a_second_click_is_refused(customer: Customer) -> None:
    """It has nothing to do with webhooks; this product is the one with settings of its own."""
    order = customer.order("metropolis:usd").json()
    second = customer.order("metropolis:usd", key="second")
    assert (second.status_code, second.json()["code"]) == (409, "order_open")
    assert second.json()["facts"] == {"order_id": order["id"]}
