"""Webhooks over HTTP: what a provider tells is believed when it is signed, and counts once."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from domain.effects import RefundAnswerStatus
from infra.kafka.log_reader import open_log
from infra.kafka.topics import topics_of
from tests.api.product import WEBHOOK_SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from tests.api.product import Product

PATH = "/v1/webhooks/stripe"


def signed(body: bytes, *, secret: str = WEBHOOK_SECRETS[-1], at: float | None = None) -> dict[str, str]:
    """The header that Stripe sends with a body."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={moment},v1={digest}", "Content-Type": "application/json"}


def paid(order: dict[str, Any], account: str, reference: str, **changes: Any) -> dict[str, Any]:
    """What Stripe sends when the customer has paid at the page."""
    session = {
        "id": reference,
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": order["total"]["amount"],
        "currency": order["total"]["currency"].lower(),
        "metadata": {"payment_id": order["payment"]["id"], "account": account},
    } | changes
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "checkout.session.completed",
        "created": int(time.time()),
        "data": {"object": session},
    }


async def _deliver(product: Product, event: dict[str, Any], **options: Any) -> httpx.Response:
    body = json.dumps(event).encode()
    return await product.http.post(PATH, content=body, headers=signed(body, **options))


async def _ordered(product: Product, price: str, account: str) -> tuple[dict[str, Any], str]:
    """An order that waits for its payment, and the provider's name of its page."""
    order = (await product.order(price, account)).json()
    return order, order["payment"]["confirmation_url"].rpartition("/")[2]


async def _published(product: Product, account: str) -> Any:
    """The items of the account's newest record on `billing.entitlements`."""
    topic = topics_of(product.settings).entitlements
    async with open_log(product.settings.kafka_bootstrap, topic) as log:
        records = [record.value async for record in log.read(key=account.encode())]
    return json.loads(records[-1] or b"")["items"]


async def _fulfilled(product: Product, order_id: str, account: str) -> dict[str, Any]:
    found: dict[str, Any] = await product.until(
        lambda: product.http.get(f"/v1/orders/{order_id}", headers=product.headers(account)),
        lambda answer: answer.json().get("status") == "fulfilled",
    )
    return found


async def test_paid_film_may_be_watched(product: Product) -> None:
    account, price = product.account(), await product.film()
    order, reference = await _ordered(product, price, account)
    resource = order["items"][0]["resource"]
    before = await product.http.get(f"/v1/entitlements/{resource}", headers=product.headers(account))
    assert (before.status_code, before.json()["code"]) == (404, "not_entitled")

    answer = await _deliver(product, paid(order, account, reference))
    assert (answer.status_code, answer.content) == (200, b"")
    await _fulfilled(product, order["id"], account)
    held = (await product.http.get("/v1/entitlements", headers=product.headers(account))).json()["items"]
    assert [(item["resource"], item["until"], item["reason"]) for item in held] == [(resource, None, "purchase")]
    one = await product.http.get(f"/v1/entitlements/{resource}", headers=product.headers(account))
    assert one.json() == held[0]
    assert held == await _published(product, account), "the same items as on the topic, field by field"

    again = await product.order(price, account)
    assert (again.status_code, again.json()["code"]) == (409, "already_entitled")
    cancelled = await product.http.post(
        f"/v1/orders/{order['id']}/cancel", headers=product.headers(account, key="late", wait=30)
    )
    assert (cancelled.status_code, cancelled.json()["code"]) == (409, "order_not_cancellable")
    assert cancelled.json()["facts"]["status"] == "fulfilled"
    assert cancelled.json()["status"] == 409


async def test_paid_plan_is_the_current_subscription(product: Product) -> None:
    account, price = product.account(), await product.plan()
    order, reference = await _ordered(product, price, account)
    current = await product.http.get("/v1/subscriptions/current", headers=product.headers(account))
    assert (current.status_code, current.json()["code"]) == (404, "subscription_unknown")
    await _deliver(product, paid(order, account, reference), secret=WEBHOOK_SECRETS[0])
    await _fulfilled(product, order["id"], account)
    current = await product.http.get("/v1/subscriptions/current", headers=product.headers(account))
    subscription = current.json()
    assert (subscription["status"], subscription["auto_renew"]) == ("active", True)
    assert subscription["id"] == order["items"][0]["subscription_id"]
    listed = await product.http.get("/v1/subscriptions", headers=product.headers(account))
    assert listed.json()["items"] == [subscription]
    one = await product.http.get(f"/v1/subscriptions/{subscription['id']}", headers=product.headers(account))
    assert one.json() == subscription


async def test_the_same_webhook_in_parallel_counts_once(product: Product) -> None:
    account = product.account()
    order, reference = await _ordered(product, await product.film(), account)
    event = paid(order, account, reference)
    answers = await asyncio.gather(*(_deliver(product, event) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    await _fulfilled(product, order["id"], account)
    await _deliver(product, event)
    held = await product.http.get("/v1/entitlements", headers=product.headers(account))
    assert len(held.json()["items"]) == 1


async def test_another_page_or_amount_pays_nothing(product: Product) -> None:
    account = product.account()
    order, reference = await _ordered(product, await product.film(), account)
    for event in (
        paid(order, account, "cs_of_another_page"),
        paid(order, account, reference, amount_total=1),
        paid(order, account, reference, currency="jpy"),
        paid(order, product.account(), reference),
    ):
        assert (await _deliver(product, event)).status_code == 200
    await _deliver(product, paid(order, account, reference))
    order = await _fulfilled(product, order["id"], account)
    payment = await product.http.get(f"/v1/payments/{order['payment']['id']}", headers=product.headers(account))
    assert payment.json()["amount"] == {"amount": 999, "currency": "USD"}


def settled(refund: dict[str, Any], account: str, status: str, type_: str = "refund.updated") -> dict[str, Any]:
    """What Stripe sends when a refund has come to its end."""
    body = {
        "id": f"re_{refund['id']}",
        "object": "refund",
        "status": status,
        "failure_reason": "expired_or_canceled_card" if status == "failed" else None,
        "metadata": {"refund_id": refund["id"], "payment_id": refund["payment_id"], "account": account},
    }
    return {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": type_,
        "created": int(time.time()),
        "data": {"object": body},
    }


async def _refunding(product: Product) -> tuple[dict[str, Any], str]:
    """A refund that the provider works on, and whose it is."""
    account = product.account()
    order, reference = await _ordered(product, await product.film(), account)
    product.provider.pay(reference, datetime.now(UTC))
    await _deliver(product, paid(order, account, reference))
    await _fulfilled(product, order["id"], account)
    product.provider.refunds_become = RefundAnswerStatus.PENDING
    asked = await product.http.post(
        f"/v1/payments/{order['payment']['id']}/refunds",
        json={},
        headers=product.headers(account, key=uuid.uuid4().hex, wait=30),
    )
    assert asked.status_code == 201, asked.text
    refund = await product.until(
        lambda: product.http.get(f"/v1/refunds/{asked.json()['id']}", headers=product.headers(account)),
        lambda answer: answer.json().get("status") == "submitted",
    )
    product.provider.refunds_become = RefundAnswerStatus.SUCCEEDED
    return refund, account


@pytest.mark.parametrize(
    ("status", "types"),
    [("succeeded", ("charge.refund.updated", "refund.updated")), ("failed", ("refund.failed", "refund.updated"))],
)
async def test_the_end_of_a_refund_is_told(product: Product, status: str, types: tuple[str, str]) -> None:
    refund, account = await _refunding(product)
    assert (await _deliver(product, settled(refund, product.account(), status))).status_code == 200
    for type_ in types:
        assert (await _deliver(product, settled(refund, account, status, type_))).status_code == 200
    await product.until(
        lambda: product.http.get(f"/v1/refunds/{refund['id']}", headers=product.headers(account)),
        lambda answer: answer.json()["status"] == status,
    )
    payment = await product.http.get(f"/v1/payments/{refund['payment_id']}", headers=product.headers(account))
    assert payment.json()["status"] == ("refunded" if status == "succeeded" else "succeeded")
    held = await product.http.get("/v1/entitlements", headers=product.headers(account))
    assert len(held.json()["items"]) == (0 if status == "succeeded" else 1)


async def test_bad_signature_changes_nothing(product: Product) -> None:
    account = product.account()
    order, reference = await _ordered(product, await product.film(), account)
    body = json.dumps(paid(order, account, reference)).encode()
    good = signed(body)
    for content, headers in (
        (body, {}),
        (body, {"Stripe-Signature": ""}),
        (body, {"Stripe-Signature": "t=1,v1=ff"}),
        (body, {"Stripe-Signature": "v1," * 5000}),
        (body, signed(body, secret="whsec_of_another")),
        (body, signed(body, at=time.time() - 301)),
        (body + b" ", good),
        (body.replace(b"999", b"998"), good),
    ):
        answer = await product.http.post(PATH, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "webhook_invalid")
    read = await product.http.get(f"/v1/orders/{order['id']}", headers=product.headers(account))
    assert read.json()["status"] == "awaiting_payment"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"object":"event"}'])
async def test_signed_nonsense_is_no_fault_of_ours(product: Product, body: bytes) -> None:
    answer = await product.http.post(PATH, content=body, headers=signed(body))
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_invalid")


@pytest.mark.parametrize(
    "change",
    [
        {"type": "invoice.paid"},
        {"data": None},
        {"data": {"object": []}},
        {"data": {"object": {"id": "cs_1", "metadata": {}}}},
        {"data": {"object": {"id": "cs_1", "status": "complete", "metadata": {"payment_id": "x", "account": "a b"}}}},
        *(
            {"data": {"object": {"id": "cs_1", "status": "expired", "metadata": {"payment_id": "x", "account": name}}}}
            for name in ("catalog/product/x", "é", "a" * 129)
        ),
    ],
)
async def test_what_does_not_concern_us_is_ignored(product: Product, change: dict[str, Any]) -> None:
    event = {"id": "evt_1", "object": "event", "type": "checkout.session.completed", "created": 1, "data": {}} | change
    assert (await _deliver(product, event)).status_code == 200


async def test_unknown_provider(product: Product) -> None:
    for name in ("paypal", "", "%00", "stripe2"):
        answer = await product.http.post(f"/v1/webhooks/{name}", content=b"{}")
        assert answer.status_code == 404


async def test_huge_webhook_is_not_read_to_its_end(product: Product) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65_536

    answer = await product.http.post(PATH, content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent <= 6
