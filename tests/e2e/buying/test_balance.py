"""A balance on the real stack: granted, bought with a part of it, given back, and used up without a provider."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.e2e.running_up import billing, wait_until

if TYPE_CHECKING:
    import httpx

    from tests.e2e.customer import Customer
    from tests.e2e.running_up import RunningUp


def usd(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "USD"}


def _grant(manager: httpx.Client, customer: Customer, amount: int) -> dict[str, Any]:
    answer = manager.post(
        f"/v1/admin/accounts/{customer.account}/credits",
        json={"amount": usd(amount), "reason": "the stream broke off"},
        headers={"idempotency-key": uuid.uuid4().hex},
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_granted_used_for_a_part_and_given_back(up: RunningUp, manager: httpx.Client, customer: Customer) -> None:
    assert _grant(manager, customer, 300)["balances"] == [usd(300)]
    body = {"items": [{"price_id": "nosferatu:usd"}]}
    quote = customer.http.post("/v1/quotes", json=body).json()
    assert (quote["total"], quote["balance_used"]) == (usd(999), usd(300))

    order = customer.order("nosferatu:usd").json()
    assert (order["total"], order["balance_used"]) == (usd(999), usd(300))
    assert customer.http.get("/v1/credits").json()["balances"] == [usd(0)]
    assert customer.at_the_page("pay", order)["outcome"] == "paid"
    paid = customer.wait_for_status(order, "fulfilled")
    payments = {each["provider"]: each for each in customer.http.get("/v1/payments").json()["items"]}
    assert payments["stripe"]["amount"] == usd(699), "the charge is what the balance left"
    assert payments["balance"]["amount"] == usd(300)
    assert [held["resource"] for held in customer.entitlements()] == ["film:nosferatu"]

    asked = customer.http.post(
        f"/v1/payments/{paid['payment']['id']}/refunds", json={}, headers={"idempotency-key": f"{order['id']}-back"}
    )
    assert asked.status_code == 201, asked.text
    wait_until(lambda: customer.entitlements() == [], what="access that went with the money")
    credits_ = customer.http.get("/v1/credits").json()
    assert credits_["balances"] == [usd(300)]
    assert [(entry["kind"], entry["amount"]["amount"]) for entry in credits_["items"]] == [
        ("refunded", 300),
        ("used", -300),
        ("granted", 300),
    ]
    story = billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout
    for sentence in (
        "$3.00 were put onto the customer's balance: the stream broke off.",
        "$3.00 of the customer's balance are held for order",
        "The customer's balance paid $3.00 for order",
        "go back onto the balance",
    ):
        assert sentence in story
    _verify(up)


def test_what_it_covers_is_given_at_once(up: RunningUp, manager: httpx.Client, customer: Customer) -> None:
    _grant(manager, customer, 1200)
    order = customer.order("nosferatu:usd").json()
    assert (order["status"], order["balance_used"]) == ("fulfilled", usd(999))
    assert (order["payment"]["status"], order["payment"]["confirmation_url"]) == ("succeeded", None)
    assert [held["resource"] for held in customer.entitlements()] == ["film:nosferatu"]
    assert customer.http.get("/v1/credits").json()["balances"] == [usd(201)]
    _verify(up)


def _verify(up: RunningUp) -> None:
    verified = billing("audit", "verify", data_dir=up.data_dir)
    assert verified.returncode == 0, verified.stdout
