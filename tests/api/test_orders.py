"""Orders over HTTP: from a click to a page to pay at, to the right to watch."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.product import OPEN_ORDERS_MAX, is_problem, usd

if TYPE_CHECKING:
    from tests.api.product import Product

KEY = "Idempotency-Key"


async def test_bought_film_has_a_page_to_pay_at(product: Product) -> None:
    account, price = product.account(), await product.film()
    answer = await product.order(price, account)
    assert answer.status_code == 201
    order = answer.json()
    assert order["status"] == "awaiting_payment"
    assert order["payment"]["status"] == "action_required"
    assert order["payment"]["confirmation_url"].startswith("https://provider.invalid/pay/")
    assert order["total"] == order["subtotal"] == {"amount": 999, "currency": "USD"}
    assert order["discount"] == {"amount": 0, "currency": "USD"}
    assert [line["price_id"] for line in order["items"]] == [price]
    assert answer.headers["Location"] == f"/v1/orders/{order['id']}"
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert "Idempotency-Replayed" not in answer.headers

    read = await product.http.get(answer.headers["Location"], headers=product.headers(account))
    assert (read.status_code, read.json()) == (200, order)
    payment = await product.http.get(f"/v1/payments/{order['payment']['id']}", headers=product.headers(account))
    assert payment.json()["order_id"] == order["id"]
    assert payment.json()["provider"] == "stripe"


async def test_without_waiting_the_command_is_pending_and_its_position_can_be_waited_for(product: Product) -> None:
    account, price = product.account(), await product.film()
    answer = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": price}]}, headers=product.headers(account, key="a")
    )
    assert answer.status_code == 202
    assert answer.json() == {"id": answer.json()["id"], "status": "pending"}
    assert answer.headers["Location"] == f"/v1/commands/{answer.json()['id']}"
    assert "Preference-Applied" not in answer.headers

    position = {"Billing-Position": answer.headers["Billing-Position"]}
    orders = await product.http.get("/v1/orders", headers=product.headers(account) | position)
    assert [order["items"][0]["price_id"] for order in orders.json()["items"]] == [price]

    command = (await product.http.get(answer.headers["Location"], headers=product.headers(account))).json()
    assert command["status"] == "accepted"
    assert command["resources"]["order"] == orders.json()["items"][0]["id"]
    later = await product.http.get(
        "/v1/orders", headers=product.headers(account) | {"Billing-Position": command["position"]}
    )
    assert later.json()["items"]


async def test_command_can_be_waited_for(product: Product) -> None:
    account, price = product.account(), await product.film()
    answer = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": price}]}, headers=product.headers(account, key="a")
    )
    await product.until(
        lambda: product.http.get(answer.headers["Location"], headers=product.headers(account)),
        lambda found: found.status_code == 200,
    )
    waited = await product.http.get(answer.headers["Location"], headers=product.headers(account, wait=30))
    assert waited.json()["status"] == "accepted"
    assert waited.headers["Billing-Position"] == waited.json()["position"]


@pytest.mark.parametrize("wait", [None, 30])
async def test_repeat_gets_the_first_answer(product: Product, wait: int | None) -> None:
    account, price = product.account(), await product.film()
    headers = product.headers(account, key="again", wait=wait)
    first = await product.http.post("/v1/orders", json={"items": [{"price_id": price}]}, headers=headers)
    # Spaces, the order of fields and what is assumed anyway make no other request.
    again = await product.other.post(
        "/v1/orders",
        content=f'{{ "auto_renew": true, "items":\n[{{"price_id":"{price}"}}] }}',
        headers=headers | {"Content-Type": "application/json; charset=UTF-8"},
    )
    assert (again.status_code, again.json()["id"]) == (first.status_code, first.json()["id"])
    assert again.headers["Location"] == first.headers["Location"]
    if wait:  # otherwise the other process may not have been able to know it yet
        assert again.headers["Idempotency-Replayed"] == "true"
    orders = await product.http.get(
        "/v1/orders", headers=product.headers(account) | {"Billing-Position": again.headers["Billing-Position"]}
    )
    assert len(orders.json()["items"]) == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/v1/orders", {"auto_renew": False}),
        ("/v1/orders", {"items": [{"price_id": "x:y"}]}),
        ("/v1/orders/1/cancel", None),
    ],
)
async def test_key_with_another_request_is_refused(product: Product, path: str, change: dict[str, Any] | None) -> None:
    account, price = product.account(), await product.film()
    body = {"items": [{"price_id": price}]}
    await product.http.post("/v1/orders", json=body, headers=product.headers(account, key="once", wait=30))
    for client in (product.http, product.other):
        other = None if change is None else body | change
        answer = await client.post(path, json=other, headers=product.headers(account, key="once"))
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_same_key_of_another_account_is_another_command(product: Product) -> None:
    price = await product.film()
    first = await product.order(price, product.account(), key="same")
    second = await product.order(price, product.account(), key="same")
    assert first.json()["id"] != second.json()["id"]
    assert second.status_code == 201


@pytest.mark.parametrize("wait", [None, 30])
async def test_20_times_in_parallel_is_once(product: Product, wait: int | None) -> None:
    account, price = product.account(), await product.film()
    calls = len(product.provider.pages)
    headers = product.headers(account, key="parallel", wait=wait)
    answers = await asyncio.gather(
        *(
            client.post("/v1/orders", json={"items": [{"price_id": price}]}, headers=headers)
            for client in (product.http, product.other)
            for _ in range(10)
        )
    )
    assert {answer.status_code for answer in answers} == {201 if wait else 202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer for answer in answers if answer.headers.get("Idempotency-Replayed") == "true"]
    # One is the first. Without waiting, each of two processes may take its own for it.
    assert len(answers) - len(replayed) == 1 or (wait is None and len(answers) - len(replayed) == 2)
    if wait:
        assert len(product.provider.pages) == calls + 1
    orders = await product.http.get(
        "/v1/orders", headers=product.headers(account) | {"Billing-Position": answers[0].headers["Billing-Position"]}
    )
    assert len(orders.json()["items"]) == 1


async def test_20_other_bodies_in_parallel_are_one_order_and_19_refusals(product: Product) -> None:
    account, price = product.account(), await product.film()
    headers = product.headers(account, key="contested", wait=30)
    answers = await asyncio.gather(
        *(
            (product.http, product.other)[number % 2].post(
                "/v1/orders",
                json={"items": [{"price_id": price}], "return_url": f"https://shop.example/{number}"},
                headers=headers,
            )
            for number in range(20)
        )
    )
    codes = sorted((answer.status_code, answer.json().get("code")) for answer in answers)
    assert codes == [(201, None), *[(422, "idempotency_key_reused")] * 19]


async def test_double_click_gets_the_first_order(product: Product) -> None:
    account, price = product.account(), await product.film()
    first = await product.order(price, account, key="click 1")
    second = await product.order(price, account, key="click 2")
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert "Location" not in second.headers
    assert "Idempotency-Replayed" not in second.headers
    third = await product.order(price, account, key="click 2")
    assert (third.status_code, third.json(), third.headers["Idempotency-Replayed"]) == (200, first.json(), "true")


async def test_rejections_are_problems_and_stay_the_same(product: Product) -> None:
    account, price = product.account(), await product.film()
    plan = await product.plan()
    rows: list[tuple[dict[str, Any], int, str]] = [
        ({"items": [{"price_id": "no:such"}]}, 422, "price_unknown"),
        ({"items": [{"price_id": price}], "expected_total": {"amount": 998, "currency": "USD"}}, 409, "price_changed"),
        ({"items": [{"price_id": price, "months": 3}]}, 422, "months_invalid"),
        ({"items": [{"price_id": plan, "months": 37}]}, 422, "months_invalid"),
        ({"items": [{"price_id": plan, "months": 0}]}, 422, "months_invalid"),
        ({"items": [{"price_id": plan, "months": -1}]}, 422, "months_invalid"),
        ({"items": [{"price_id": plan, "months": 10_000}]}, 422, "months_invalid"),
        ({"items": []}, 422, "order_empty"),
        ({"items": [{"price_id": price}], "expected_total": usd(-5)}, 422, "amount_out_of_range"),
        ({"items": [{"price_id": price}], "expected_total": usd(10**18)}, 422, "amount_out_of_range"),
        ({"items": [{"price_id": price}], "expected_total": usd(1) | {"currency": "XXX"}}, 422, "currency_unknown"),
        ({"items": [{"price_id": price}, {"price_id": price}]}, 422, "item_repeated"),
        ({"items": [{"price_id": price}], "promo_code": "FREE"}, 422, "promo_code_unknown"),
        ({"items": [{"price_id": price}] * 21}, 422, "too_many_items"),
    ]
    for number, (body, status, code) in enumerate(rows):
        headers = product.headers(account, key=f"row {number}", wait=30)
        for client in (product.http, product.other):
            answer = await client.post("/v1/orders", json=body, headers=headers)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code)
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert problem["type"] == f"urn:billing:problem:{code}"
            assert problem["status"] == status
            assert problem["request_id"] == answer.headers["X-Request-Id"]
            assert answer.headers["Billing-Position"]
        command = await product.http.get(f"/v1/commands/{problem['command_id']}", headers=product.headers(account))
        assert (command.json()["status"], command.json()["problem"]["code"]) == ("rejected", code)
    assert (await product.http.get("/v1/orders", headers=product.headers(account))).json()["items"] == []


async def test_more_open_orders_than_an_account_may_have(product: Product) -> None:
    account, prices = product.account(), [await product.film() for _ in range(OPEN_ORDERS_MAX + 1)]
    placed = [await product.order(price, account) for price in prices]
    problem = is_problem(placed.pop(), 409, "too_many_open_orders")
    assert problem["facts"] == {"orders": str(OPEN_ORDERS_MAX), "open_orders_max": str(OPEN_ORDERS_MAX)}
    again = await product.order(prices[0], account)
    assert (again.status_code, again.json()["id"]) == (200, placed[0].json()["id"]), "a double click takes no place"
    cancel = f"/v1/orders/{placed[0].json()['id']}/cancel"
    assert (await product.http.post(cancel, headers=product.headers(account, key="c", wait=30))).is_success
    assert (await product.order(prices[-1], account)).status_code == 201, "what is given up makes room"


async def test_unknown_provider_is_refused_at_the_door(product: Product) -> None:
    answer = await product.order(await product.film(), provider="paypal")
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_provider_unknown")
    providers = await product.http.get("/v1/payment-providers")
    assert providers.json() == {"items": [{"id": "stripe", "default": True}]}


async def test_cancelled_order(product: Product) -> None:
    account, price = product.account(), await product.film()
    order = (await product.order(price, account)).json()
    cancel = f"/v1/orders/{order['id']}/cancel"
    answer = await product.http.post(cancel, headers=product.headers(account, key="c", wait=30))
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["payment"]["confirmation_url"] is None
    again = await product.http.post(cancel, json={}, headers=product.headers(account, key="c", wait=30))
    assert (again.json(), again.headers["Idempotency-Replayed"]) == (answer.json(), "true")
    late = await product.http.post(cancel, headers=product.headers(account, key="d", wait=30))
    assert (late.status_code, late.json()["code"]) == (409, "order_cancelled")


async def test_what_is_anothers_is_not_there(product: Product) -> None:
    mine, other = product.account(), product.account()
    order = (await product.order(await product.film(), mine)).json()
    command = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": "no:such"}]}, headers=product.headers(mine, key="x", wait=30)
    )
    for path in (
        f"/v1/orders/{order['id']}",
        f"/v1/payments/{order['payment']['id']}",
        f"/v1/commands/{command.json()['command_id']}",
    ):
        assert (await product.http.get(path, headers=product.headers(mine))).status_code == 200
        for roles in (["user"], ["manager"]):
            assert (await product.http.get(path, headers=product.headers(other, *roles))).status_code == 404
    answer = await product.http.post(
        f"/v1/orders/{order['id']}/cancel", headers=product.headers(other, key="steal", wait=30)
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "order_unknown")
    for path in ("/v1/orders", "/v1/payments", "/v1/subscriptions", "/v1/entitlements"):
        assert (await product.http.get(path, headers=product.headers(other))).json()["items"] == []


async def test_pages_have_no_gap_and_no_repeat(product: Product) -> None:
    account = product.account()
    prices = [await product.film() for _ in range(3)]
    ids = [(await product.order(price, account)).json()["id"] for price in prices]
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 1} | ({} if cursor is None else {"cursor": cursor})
        page = (await product.http.get("/v1/orders", params=query, headers=product.headers(account))).json()
        found += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ids[::-1]


async def test_position_that_is_not_reached(product: Product) -> None:
    started = time.monotonic()
    answers = await asyncio.gather(
        *(
            product.http.get("/v1/orders", headers=product.headers("alice") | {"Billing-Position": position})
            for position in ("0:999999999", f"command:{uuid.uuid4()}")
        )
    )
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(504, "position_not_reached")] * 2
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "position",
    ["", "x", "1", "1:", ":1", "-1:1", "1:1:1", "1;1", "４:1", "4:1", "999999999:1", "command:x", "1" * 5000],
)
async def test_position_that_cannot_be(product: Product, position: str) -> None:
    token = product.token("alice").encode()
    answer = await product.http.get(
        "/v1/orders", headers=[(b"authorization", b"Bearer " + token), (b"billing-position", position.encode())]
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "position_invalid")
