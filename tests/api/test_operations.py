"""What is stuck over HTTP: managers see it with its cause, and one harmless call has it gone on with."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer

from infra.kafka.topics import topics_of
from projections.paging import encode_cursor
from tests.api.product import WAIT_S

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product


async def test_managers_see_the_list(product: Product) -> None:
    answer = await product.http.get("/v1/admin/overdue", headers=product.headers("boss", "manager"))
    assert answer.status_code == 200
    found = answer.json()
    assert found["unknown"] == []
    assert sum(found["counts"].values()) >= len(found["items"])
    refused = await product.http.get("/v1/admin/overdue?limit=0", headers=product.headers("boss", "manager"))
    assert refused.json()["code"] == "query_invalid"


async def test_a_call_that_never_arrived_is_made_again_once(product: Product) -> None:
    account, price = product.account(), await product.film()
    product.provider.drop_calls = 1
    sent = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": price}]}, headers=product.headers(account, key="order")
    )
    position = {"Billing-Position": sent.headers["Billing-Position"]}
    named = await product.http.get(sent.headers["Location"], headers=product.headers(account) | position)
    payment_id, path = named.json()["resources"]["payment"], f"/v1/orders/{named.json()['resources']['order']}"
    await _until_asked(product, payment_id)
    answers = await asyncio.gather(*(_resume(product, payment_id, key="the same") for _ in range(5)))
    assert {(answer.status_code, answer.json()["subject"]) for answer in answers} == {(200, payment_id)}
    await product.until(
        lambda: product.http.get(path, headers=product.headers(account)),
        lambda found: found.json()["status"] == "awaiting_payment",
    )
    asked = [call.effect_id for call in product.provider.calls if getattr(call, "payment_id", "") == payment_id]
    assert (len(asked), len(set(asked))) == (2, 1), "asked again once, under the same key"
    pages = [page for page in product.provider.pages.values() if page.payment_id == payment_id]
    assert len(pages) == 1

    again = await _resume(product, payment_id)
    assert again.status_code == 200, "harmless: the provider is asked how it stands"


async def test_providers_that_do_not_answer_are_seen(product: Product) -> None:
    account, price = product.account(), await product.film()
    product.provider.drop_calls = 1
    sent = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": price}]}, headers=product.headers(account, key="order")
    )
    named = await product.http.get(sent.headers["Location"], headers=_at(product, sent, account))
    payment_id = named.json()["resources"]["payment"]
    health = partial(product.http.get, "/v1/admin/provider-health", headers=_at(product))
    (seen,) = (await product.until(health, lambda found: found.json()["items"][0]["calls"] > 0))["items"]
    assert (seen["id"], seen["answers"], seen["late"]) == ("stripe", True, 0)
    assert seen["since"]
    await _until_asked(product, payment_id)
    assert (await _resume(product, payment_id)).status_code == 200
    await product.until(
        lambda: product.http.get(f"/v1/payments/{payment_id}", headers=product.headers(account)),
        lambda found: found.json()["status"] == "action_required",
    )
    (after,) = (await product.until(health, lambda found: found.json()["items"][0]["calls"] == 0))["items"]
    assert after == {**seen, "calls": 0, "repeated": 0, "since": None}


async def test_dead_letters_are_listed_newest_first_without_their_content(product: Product) -> None:
    topic, names = topics_of(product.settings).commands, [f"nobody-{uuid.uuid4().hex}" for _ in range(3)]
    producer = AIOKafkaProducer(bootstrap_servers=product.settings.kafka_bootstrap)
    await producer.start()
    try:
        for name in names:
            sent = await producer.send_and_wait(topic, b"a secret", key=name.encode())
            position = f"{sent.partition}:{sent.offset}"
            found = await product.until(
                partial(product.http.get, "/v1/admin/dead-letters?limit=1", headers=_at(product)),
                lambda answer, at=position: [item["position"] for item in answer.json()["items"]] == [at],  # type: ignore[misc]
            )
            (letter,) = found["items"]
            assert (letter["role"], letter["topic"]) == ("engine", topic)
            assert (found["complete"], found["unread"]) == (True, [])
            assert letter["reason"]
            assert "secret" not in str(found)
    finally:
        await producer.stop()
    items: list[dict[str, Any]] = []
    cursor = found["next_cursor"]
    while cursor is not None and len(items) < len(names):
        page = (
            await product.http.get(
                "/v1/admin/dead-letters", params={"limit": 1, "cursor": cursor}, headers=_at(product)
            )
        ).json()
        items, cursor = [*items, *page["items"]], page["next_cursor"]
    moments = [item["at"] for item in (letter, *items)]
    assert moments == sorted(moments, reverse=True)
    assert len({item["id"] for item in (letter, *items)}) == len(items) + 1 >= len(names)
    for cursor in ("x", encode_cursor(("2026-01-01T00:00:00", 0, 0)), encode_cursor((1, 2, 3))):
        refused = await product.http.get("/v1/admin/dead-letters", params={"cursor": cursor}, headers=_at(product))
        assert refused.json()["code"] == "cursor_invalid"


async def test_of_what_nobody_knows_and_by_nobody_else(product: Product) -> None:
    unknown = await _resume(product, "nothing-of-ours")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "overdue_unknown")
    account, price = product.account(), await product.film()
    payment_id = (await product.order(price, account)).json()["payment"]["id"]
    refused = await product.http.post(
        f"/v1/admin/overdue/{payment_id}/resume", headers=product.headers(account, "user", key="k")
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")


async def test_why_there_is_a_payment_and_why_there_was_a_refusal(product: Product) -> None:
    account, price = product.account(), await product.film()
    order = (await product.order(price, account)).json()
    payment_id = order["payment"]["id"]
    mine = await product.http.get(f"/v1/payments/{payment_id}/explanation", headers=product.headers(account))
    assert mine.status_code == 200
    steps = mine.json()["steps"]
    assert [step["kind"] for step in steps][:4] == ["request", "agreement", "price", "agreement"]
    assert steps[0]["correlation_id"]
    assert f"The price {price} was $9.99." in steps[2]["text"]
    assert "boss" not in mine.text
    theirs = await product.http.get(f"/v1/payments/{payment_id}/explanation", headers=product.headers("eve"))
    assert (theirs.status_code, theirs.json()["code"]) == (404, "payment_unknown")
    ours = await product.http.get(f"/v1/payments/{payment_id}/explanation", headers=product.headers("boss", "manager"))
    assert len(ours.json()["steps"]) == len(steps)
    whole = await product.http.get(f"/v1/orders/{order['id']}/explanation", headers=product.headers(account))
    assert {step["event_id"] for step in steps} <= {step["event_id"] for step in whole.json()["steps"]}
    wrong = await product.http.get(f"/v1/refunds/{payment_id}/explanation", headers=product.headers(account))
    assert (wrong.status_code, wrong.json()["code"]) == (404, "refund_unknown")

    refused = await product.http.post(
        f"/v1/payments/{payment_id}/refunds", json={}, headers=product.headers(account, key="refund", wait=30)
    )
    assert refused.json()["code"] == "payment_not_refundable"
    path = f"/v1/commands/{refused.json()['command_id']}/explanation"
    why = (await product.http.get(path, headers=product.headers(account))).json()["steps"]
    assert why[-1]["kind"] == "refusal"
    assert why[-1]["text"].startswith("It was refused by the rule payment_not_refundable: ")
    assert f"payment {payment_id}" in " ".join(step["text"] for step in why), "what the rule looked at"


def _at(product: Product, sent: httpx.Response | None = None, account: str | None = None) -> dict[str, str]:
    """Headers of somebody who looks after what was sent."""
    headers = product.headers("boss", "manager") if account is None else product.headers(account)
    return headers if sent is None else headers | {"Billing-Position": sent.headers["Billing-Position"]}


async def _resume(product: Product, overdue_id: str, *, key: str | None = None) -> Any:
    return await product.http.post(
        f"/v1/admin/overdue/{overdue_id}/resume",
        headers=product.headers("boss", "manager", key=f"{overdue_id} {key or uuid.uuid4().hex}", wait=30),
    )


async def _until_asked(product: Product, payment_id: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not any(getattr(call, "payment_id", "") == payment_id for call in product.provider.calls):
        assert time.monotonic() < deadline, "the provider was never asked"
        await asyncio.sleep(0.05)
