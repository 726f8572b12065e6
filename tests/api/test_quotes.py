"""Quotes and orders with discounts: what a customer is told is what the order costs and what the provider collects."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.product import usd

if TYPE_CHECKING:
    import httpx

    from tests.api.managing import Manager
    from tests.api.product import Product

MONTHLY = {"amount": 999, "currency": "USD"}


async def quote(product: Product, account: str, body: dict[str, Any], position: str = "") -> httpx.Response:
    headers = product.headers(account) | ({"Billing-Position": position} if position else {})
    return await product.http.post("/v1/quotes", json=body, headers=headers)


async def test_quote_is_order_is_charge(product: Product, manager: Manager) -> None:
    """9.99 × 3 months − 10 % = 29.97 − 3.00 = 26.97, to the minor unit, everywhere."""
    account, price = product.account(), await product.plan()
    code = await manager.promo_code(basis_points=1000)
    body = {"items": [{"price_id": price, "months": 3}], "promo_code": code.lower()}
    found = await manager.quoted(account, body)
    assert (found["subtotal"], found["discount"], found["total"]) == (usd(2997), usd(300), usd(2697))
    assert found["applied_discount"] == {
        "kind": "promo",
        "reference": code,
        "amount": usd(300),
        "reason": f"The promo code {code} takes 3.00 USD off.",
    }
    assert found["considered_discounts"] == []
    (line,) = found["items"]
    assert (line["quantity"], line["total"], line["discount"]) == (3, usd(2997), usd(300))

    answer = await product.http.post(
        "/v1/orders",
        json={**body, "expected_total": found["total"]},
        headers=product.headers(account, key="buy", wait=30),
    )
    assert answer.status_code == 201, answer.text
    order = answer.json()
    for name in ("subtotal", "discount", "total", "applied_discount"):
        assert order[name] == found[name]
    again = (await product.http.get(f"/v1/orders/{order['id']}", headers=product.headers(account))).json()
    assert again["applied_discount"] == found["applied_discount"]
    (page,) = [page for page in product.provider.pages.values() if page.payment_id == order["payment"]["id"]]
    assert {"amount": page.amount.amount, "currency": page.amount.currency} == found["total"]


async def test_a_quote_writes_nothing(product: Product) -> None:
    account, price = product.account(), await product.film()
    answer = await quote(product, account, {"items": [{"price_id": price}]})
    assert answer.status_code == 200
    assert answer.json()["total"] == usd(999)
    for path in ("/v1/orders", "/v1/payments"):
        assert (await product.http.get(path, headers=product.headers(account))).json()["items"] == []


async def test_the_best_discount_wins_and_the_others_are_named(product: Product, manager: Manager) -> None:
    account, price = product.account(), await product.plan()
    granted = await manager.grant(account, basis_points=8000, reason="a friend")
    code = await manager.promo_code(basis_points=5000)
    body = {"items": [{"price_id": price}], "promo_code": code}
    found = await manager.quoted(account, body, granted.headers["Billing-Position"])
    assert found["applied_discount"]["kind"] == "personal"
    assert found["applied_discount"]["reference"] == granted.json()["id"]
    assert found["total"] == usd(200)
    (other,) = found["considered_discounts"]
    assert other == {"kind": "promo", "reference": code, "amount": usd(500), "what": f"the promo code {code}"}

    revoked = await manager.post(f"/v1/admin/accounts/{account}/personal-discounts/{granted.json()['id']}/revoke")
    assert revoked.json()["revoked_at"] is not None
    later = await quote(product, account, body, revoked.headers["Billing-Position"])
    assert later.json()["applied_discount"]["kind"] == "promo"


async def test_discounts_by_months(product: Product, manager: Manager) -> None:
    account, price = product.account(), await product.plan()
    steps = [{"months": 3, "basis_points": 1000}, {"months": 6, "basis_points": 2000}]
    try:
        defined = await manager.put("/v1/admin/months-discounts", {"steps": steps[::-1]})
        assert defined.json()["steps"] == steps
        body = {"items": [{"price_id": price, "months": 3}]}
        await product.until(
            lambda: quote(product, account, body), lambda answer: answer.json()["applied_discount"] is not None
        )
        for months, discount in ((2, 0), (3, 300), (5, 500), (6, 1199)):
            found = await quote(product, account, {"items": [{"price_id": price, "months": months}]})
            assert found.json()["discount"] == usd(discount), months
    finally:
        await manager.put("/v1/admin/months-discounts", {"steps": []})
    await product.until(lambda: quote(product, account, body), lambda answer: answer.json()["applied_discount"] is None)


async def test_each_refusal_of_a_code_has_its_own(product: Product, manager: Manager) -> None:
    price, other = await product.film(), await product.film()
    past, future = "2020-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"
    rows = [
        ("NO-SUCH-CODE", 422, "promo_code_unknown"),
        (await manager.promo_code(basis_points=1000, valid_until=past), 422, "promo_code_expired"),
        (await manager.promo_code(basis_points=1000, valid_from=future), 422, "promo_code_not_yet_valid"),
        (await manager.promo_code(basis_points=1, products=[other.split(":")[0]]), 422, "promo_code_not_applicable"),
        (await manager.promo_code(basis_points=1, months_min=2), 422, "promo_code_not_applicable"),
        (await manager.promo_code(amount={"amount": 5, "currency": "EUR"}), 422, "promo_code_not_applicable"),
    ]
    archived = await manager.promo_code(basis_points=1)
    await manager.post(f"/v1/admin/promo-codes/{archived}/archive")
    rows.append((archived, 422, "promo_code_unknown"))
    for number, (code, status, problem) in enumerate(rows):
        account = product.account()
        body = {"items": [{"price_id": price}], "promo_code": code}
        answer = await product.until(
            lambda account=account, body=body: quote(product, account, body),  # type: ignore[misc]
            lambda answer, problem=problem: answer.json().get("code") == problem,  # type: ignore[misc]
        )
        assert (answer["status"], answer["code"]) == (status, problem)
        placed = await product.http.post(
            "/v1/orders", json=body, headers=product.headers(account, key=f"row {number}", wait=30)
        )
        assert (placed.status_code, placed.json()["code"]) == (status, problem)


async def test_used_up_and_used_before(product: Product, manager: Manager) -> None:
    first, second, price = product.account(), product.account(), await product.film()
    code = await manager.promo_code(basis_points=5000, uses_max=1)
    placed = await product.order(price, first, promo_code=code)
    assert placed.status_code == 201, placed.text
    position = placed.headers["Billing-Position"]
    refused = await product.order(price, second, promo_code=code)
    assert (refused.status_code, refused.json()["code"]) == (409, "promo_code_used_up")
    failed = await product.http.get(f"/v1/orders/{refused.json()['order_id']}", headers=product.headers(second))
    assert (failed.json()["status"], failed.json()["failure_reason"]) == ("failed", "promo_code_used_up")
    told = await quote(product, second, {"items": [{"price_id": price}], "promo_code": code}, position)
    assert (told.status_code, told.json()["code"]) == (409, "promo_code_used_up")

    uses = await manager.get(f"/v1/admin/promo-codes/{code}/uses")
    assert {use["account"]: use["status"] for use in uses.json()["items"]} == {first: "held", second: "refused"}
    assert (await manager.get(f"/v1/admin/promo-codes/{code}")).json()["uses"] == 1

    # The order dies: its use is another's.
    cancelled = await product.http.post(
        f"/v1/orders/{placed.json()['id']}/cancel", headers=product.headers(first, key="cancel", wait=30)
    )
    assert cancelled.json()["status"] == "cancelled"
    await product.until(lambda: manager.get(f"/v1/admin/promo-codes/{code}"), lambda answer: answer.json()["uses"] == 0)
    third = await product.order(price, product.account(), promo_code=code)
    assert third.status_code == 201, third.text
    history = (await manager.get(f"/v1/admin/promo-codes/{code}/history")).json()["items"]
    happened = [entry["event_type"].removeprefix("billing.promo_code.") for entry in history]
    assert happened == ["defined", "reserved", "refused", "released", "reserved"]


async def test_once_for_each_account(product: Product, manager: Manager) -> None:
    account, price, other = product.account(), await product.film(), await product.film()
    code = await manager.promo_code(basis_points=5000, uses_per_account_max=1)
    placed = await product.order(price, account, promo_code=code)
    assert placed.status_code == 201
    body = {"items": [{"price_id": other}], "promo_code": code}
    told = await quote(product, account, body, placed.headers["Billing-Position"])
    assert (told.status_code, told.json()["code"]) == (409, "promo_code_used")
    refused = await product.order(other, account, promo_code=code)
    assert (refused.status_code, refused.json()["code"]) == (409, "promo_code_used")
    twice = await product.order(price, account, promo_code=code)
    assert (twice.status_code, twice.json()["id"]) == (200, placed.json()["id"]), "a double click is no second use"
    assert (await product.order(other, product.account(), promo_code=code)).status_code == 201


async def test_price_that_changed_meanwhile(product: Product, manager: Manager) -> None:
    account, price = product.account(), await product.film()
    granted = await manager.grant(account, basis_points=1000, reason="for a day")
    found = await manager.quoted(account, {"items": [{"price_id": price}]}, granted.headers["Billing-Position"])
    assert found["total"] == usd(899)
    await manager.post(f"/v1/admin/accounts/{account}/personal-discounts/{granted.json()['id']}/revoke")
    answer = await product.order(price, account, expected_total=found["total"])
    assert (answer.status_code, answer.json()["code"]) == (409, "price_changed")
    facts = {"expected_amount": "899", "expected_currency": "USD", "total_amount": "999", "currency": "USD"}
    assert answer.json()["facts"] == facts
    assert (await product.http.get("/v1/payments", headers=product.headers(account))).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "body_invalid"),
        ({"items": []}, 422, "order_empty"),
        ({"items": [{"price_id": "no:such"}]}, 422, "price_unknown"),
        ({"items": [{"price_id": "PLAN", "months": 0}]}, 422, "months_invalid"),
        ({"items": [{"price_id": "PLAN", "months": 37}]}, 422, "months_invalid"),
        ({"items": [{"price_id": "PLAN", "months": 10_000}]}, 422, "months_invalid"),
        ({"items": [{"price_id": "PLAN"}, {"price_id": "PLAN"}]}, 422, "item_repeated"),
        ({"items": [{"price_id": "PLAN"}] * 21}, 422, "too_many_items"),
        ({"items": [{"price_id": "PLAN"}], "promo_code": ""}, 422, "body_invalid"),
        ({"items": [{"price_id": "PLAN"}], "total": 1}, 422, "body_invalid"),
    ],
)
async def test_what_cannot_be_quoted(product: Product, body: dict[str, Any], status: int, code: str) -> None:
    price = await product.plan()
    for item in body.get("items", ()):
        item["price_id"] = item["price_id"].replace("PLAN", price)
    account = product.account()
    answer = await product.until(lambda: quote(product, account, body), lambda answer: answer.json()["code"] == code)
    assert (answer["status"], answer["code"]) == (status, code)


async def test_a_code_with_uses_for_one_of_many(product: Product, manager: Manager) -> None:
    price = await product.film()
    code = await manager.promo_code(amount=usd(500), uses_max=3)
    accounts = [product.account() for _ in range(12)]
    answers = await asyncio.gather(*(product.order(price, account, promo_code=code) for account in accounts))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 9
    assert {answer.json()["total"]["amount"] for answer in answers if answer.status_code == 201} == {499}
    key = uuid.uuid4().hex
    again = await product.http.put(
        f"/v1/admin/promo-codes/{code}",
        json={"amount": usd(500), "uses_max": 4},
        headers=product.headers("boss", "manager", key=key, wait=30),
    )
    assert again.json()["uses"] == 3
    await product.until(
        lambda: product.order(price, product.account(), promo_code=code),
        lambda answer: answer.status_code == 201,
    )
