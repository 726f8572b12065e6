"""What managers do over HTTP: each action is a command with a reason and a history, and stops at its bounds."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.api import test_webhooks as webhooks
from tests.api.product import usd

if TYPE_CHECKING:
    from tests.api.managing import Manager
    from tests.api.product import Product


async def bought(product: Product, account: str) -> dict[str, Any]:
    """A film's order, paid and fulfilled; its payment."""
    order, reference = await webhooks._ordered(product, await product.film(), account)
    product.provider.pay(reference, datetime.now(UTC))
    await webhooks._deliver(product, webhooks.paid(order, account, reference))
    fulfilled = await webhooks._fulfilled(product, order["id"], account)
    payment: dict[str, Any] = fulfilled["payment"]
    return payment


class TestRefunds:
    async def test_any_amount_up_to_what_is_left(self, product: Product, manager: Manager) -> None:
        account = product.account()
        path = f"/v1/admin/payments/{(await bought(product, account))['id']}/refunds"
        part = await manager.post(path, {"amount": 400, "reason": "the sound was bad"})
        assert part.status_code == 201, part.text
        refund = part.json()
        assert (refund["account"], refund["amount"]["amount"], refund["requested_by"]) == (account, 400, "manager")
        assert (refund["reason"], refund["rule"]) == ("the sound was bad", "a manager decides")
        for amount, code in (
            (0, "refund_amount_invalid"),
            (-1, "refund_amount_invalid"),
            (600, "refund_exceeds_payment"),
        ):
            refused = await manager.post(path, {"amount": amount})
            assert refused.json()["code"] == code
        rest = await manager.post(path, {})
        assert rest.json()["amount"]["amount"] == 599
        assert (await manager.post(path, {})).json()["code"] == "nothing_to_refund"
        listed = await manager.get("/v1/admin/refunds", account=account)
        assert [item["amount"]["amount"] for item in listed.json()["items"]] == [599, 400]

    async def test_two_of_60_from_100_give_one(self, product: Product, manager: Manager) -> None:
        path = f"/v1/admin/payments/{(await bought(product, product.account()))['id']}/refunds"
        answers = await asyncio.gather(*(manager.post(path, {"amount": 600}) for _ in range(2)))
        assert Counter(answer.json().get("code") for answer in answers) == {None: 1, "refund_exceeds_payment": 1}

    async def test_the_same_key_is_the_same_refund(self, product: Product, manager: Manager) -> None:
        path = f"/v1/admin/payments/{(await bought(product, product.account()))['id']}/refunds"
        answers = [await manager.post(path, {"amount": 100}, key="once") for _ in range(2)]
        assert answers[0].json()["id"] == answers[1].json()["id"]
        assert answers[1].headers["Idempotency-Replayed"] == "true"

    async def test_of_nothing_that_is_there(self, manager: Manager) -> None:
        answer = await manager.post("/v1/admin/payments/none/refunds", {"amount": 1})
        assert (answer.status_code, answer.json()["code"]) == (404, "payment_unknown")


async def test_sales_are_listed_by_account_and_status(product: Product, manager: Manager) -> None:
    first, second = product.account(), product.account()
    payment = await bought(product, first)
    open_order = (await product.order(await product.film(), second)).json()
    for path, account, status, ids in (
        ("orders", second, "awaiting_payment", [open_order["id"]]),
        ("orders", second, "fulfilled", []),
        ("payments", first, "succeeded", [payment["id"]]),
        ("payments", first, "refunded", []),
        ("payments", second, None, [open_order["payment"]["id"]]),
    ):
        query = {"account": account} | ({} if status is None else {"status": status})
        items = (await manager.get(f"/v1/admin/{path}", **query)).json()["items"]
        assert [item["id"] for item in items] == ids, (path, query)
        assert {item["account"] for item in items} <= {account}
    newest = (await manager.get("/v1/admin/orders", limit=1)).json()
    assert newest["items"][0]["id"] == open_order["id"]
    older = (await manager.get("/v1/admin/orders", limit=1, cursor=newest["next_cursor"])).json()
    assert older["items"][0]["id"] != open_order["id"]
    await manager.post(f"/v1/admin/payments/{payment['id']}/refunds", {"amount": 1})
    await product.until(
        lambda: manager.get("/v1/admin/payments", account=first, status="partially_refunded"),
        lambda answer: [item["id"] for item in answer.json()["items"]] == [payment["id"]],
    )
    history = (await manager.get(f"/v1/admin/payments/{payment['id']}/history")).json()["items"]
    assert history[0]["event_type"] == "billing.payment.created"
    assert "manager:boss" in {entry["actor"] for entry in history}
    assert (await manager.get("/v1/admin/orders", status="nonsense")).json()["code"] == "query_invalid"


@pytest.mark.parametrize("name", ["shop/{}", "a/grants/{}", "x/personal-discounts/{}/revoke", "//{}", "{}/"])
async def test_an_account_with_slashes_is_named_as_every_other(product: Product, manager: Manager, name: str) -> None:
    """An identity provider may call its users as it likes; written as it is or escaped, the address means the same."""
    account = name.format(product.account())
    path, escaped = f"/v1/admin/accounts/{account}", f"/v1/admin/accounts/{quote(account, safe='')}"
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    given = await manager.post(f"{path}/grants", {"resource": "film:stalker", "until": until, "reason": "a friend"})
    assert (given.status_code, given.json().get("account")) == (201, account), given.text
    headers = product.headers(account)
    assert (await product.http.get("/v1/entitlements/film:stalker", headers=headers)).status_code == 200
    revoked = await manager.post(f"{escaped}/grants/film:stalker/revoke", {"reason": "a mistake"})
    assert (revoked.status_code, revoked.json().get("account")) == (200, account), revoked.text
    history = await manager.get(f"{path}/grants/film:stalker/history")
    assert len(history.json()["items"]) == 2
    granted = await manager.post(f"{escaped}/personal-discounts", {"basis_points": 1000, "reason": "a friend"})
    assert granted.status_code == 201, granted.text
    discount = f"personal-discounts/{granted.json()['id']}"
    assert (await manager.post(f"{path}/{discount}/revoke")).status_code == 200
    assert len((await manager.get(f"{escaped}/{discount}/history")).json()["items"]) == 2


@pytest.mark.parametrize("account", ["", "catalog/product/dune", "catalog/promo/X", "two words", "a" * 256])
async def test_what_can_be_no_account_is_nowhere(manager: Manager, account: str) -> None:
    path = f"/v1/admin/accounts/{quote(account)}/grants"
    answer = await manager.post(path, {"resource": "film:stalker", "reason": "a friend"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_access_is_given_and_taken_back(product: Product, manager: Manager) -> None:
    account = product.account()
    held = f"/v1/entitlements/{(resource := 'film:stalker')}"
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    path = f"/v1/admin/accounts/{account}/grants"
    given = await manager.post(path, {"resource": resource, "until": until, "reason": "the player failed"})
    assert given.status_code == 201, given.text
    assert (given.json()["given_by"], given.json()["reason"]) == ("manager:boss", "the player failed")
    seen = (await product.http.get(held, headers=product.headers(account))).json()
    assert seen["reason"] == "grant"
    assert "the player failed" not in str(seen), "why it was given is for managers"
    revoked = await manager.post(f"{path}/{resource}/revoke", {"reason": "a mistake"})
    assert revoked.json()["ended_because"] == "a mistake"
    assert (await product.http.get(held, headers=product.headers(account))).status_code == 404
    again = await manager.post(f"{path}/{resource}/revoke", {"reason": "a mistake"})
    assert (again.status_code, again.json()["code"]) == (404, "grant_unknown")
    history = (await manager.get(f"{path}/{resource}/history")).json()["items"]
    assert [entry["event_type"] for entry in history] == ["billing.grant.given", "billing.grant.revoked"]
    listed = (await manager.get("/v1/admin/grants", account=account)).json()["items"]
    assert [(item["resource"], item["ended_because"]) for item in listed] == [(resource, "a mistake")]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PUT", "promo-codes/X", {"basis_points": 1}, "promo_code_invalid"),
        ("PUT", "promo-codes/two%20words", {"basis_points": 1}, "promo_code_invalid"),
        ("PUT", "promo-codes/OK-1", {}, "promo_code_invalid"),
        ("PUT", "promo-codes/OK-1", {"basis_points": 10_001}, "promo_code_invalid"),
        ("PUT", "promo-codes/OK-1", {"basis_points": 1, "uses_max": 0}, "promo_code_invalid"),
        (
            "PUT",
            "promo-codes/OK-1",
            {"basis_points": 1, "amount": {"amount": 1, "currency": "USD"}},
            "promo_code_invalid",
        ),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 1, "currency": "XXX"}}, "currency_unknown"),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 0, "currency": "USD"}}, "amount_out_of_range"),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": -1, "currency": "USD"}}, "amount_out_of_range"),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 10**18, "currency": "USD"}}, "amount_out_of_range"),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 10**30, "currency": "USD"}}, "amount_out_of_range"),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 1, "currency": "dollars"}}, "currency_unknown"),
        (
            "PUT",
            "promo-codes/OK-1",
            {"basis_points": 1, "valid_until": "0001-01-01T00:00:00+14:00"},
            "moment_out_of_range",
        ),
        ("PUT", "promo-codes/OK-1", {"amount": {"amount": 9.99, "currency": "USD"}}, "body_invalid"),
        ("PUT", "promo-codes/OK-1", {"basis_points": 1, "valid_from": "2026-01-01T00:00:00"}, "body_invalid"),
        ("PUT", "promo-codes/OK-1", {"basis_points": 1, "valid_until": "9999-99-99T00:00:00Z"}, "moment_out_of_range"),
        (
            "PUT",
            "promo-codes/OK-1",
            {"basis_points": 1, "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2026-01-01T00:00:00Z"},
            "promo_code_invalid",
        ),
        ("POST", "promo-codes/NEVER-DEFINED/archive", None, "promo_code_unknown"),
        ("PUT", "months-discounts", {"steps": [{"months": 0, "basis_points": 1}]}, "discount_invalid"),
        ("PUT", "months-discounts", {"steps": [{"months": 1, "basis_points": 1}] * 2}, "discount_invalid"),
        ("POST", "accounts/ada/personal-discounts", {"basis_points": 0, "reason": "?"}, "discount_invalid"),
        ("POST", "accounts/ada/personal-discounts", {"basis_points": 1}, "body_invalid"),
        ("POST", "accounts/ada/personal-discounts/none/revoke", None, "discount_unknown"),
        ("POST", "accounts/a%20b/personal-discounts", {"basis_points": 1, "reason": "?"}, "not_found"),
        ("POST", "accounts/ada/grants", {"resource": "nonsense", "reason": "?"}, "grant_invalid"),
        (
            "POST",
            "accounts/ada/grants",
            {"resource": "film:x", "reason": "?", "until": "2020-01-01T00:00:00Z"},
            "grant_invalid",
        ),
        (
            "POST",
            "accounts/ada/credits",
            {"amount": {"amount": 0, "currency": "USD"}, "reason": "?"},
            "amount_out_of_range",
        ),
        (
            "POST",
            "accounts/ada/credits",
            {"amount": {"amount": 1, "currency": "XXX"}, "reason": "?"},
            "currency_unknown",
        ),
        (
            "POST",
            "accounts/ada/credits",
            {"amount": {"amount": -1, "currency": "USD"}, "reason": "?"},
            "amount_out_of_range",
        ),
        ("POST", "accounts/ada/credits", {"amount": {"amount": 1, "currency": "USD"}}, "body_invalid"),
        (
            "POST",
            "accounts/ada/credits/take-back",
            {"amount": {"amount": 1, "currency": "USD"}, "reason": "?"},
            "credit_exceeds_balance",
        ),
        ("GET", "promo-codes/NEVER-DEFINED", None, "not_found"),
        ("GET", "promo-codes/NEVER-DEFINED/uses", None, "not_found"),
        ("GET", "orders/none", None, "order_unknown"),
        ("GET", "payments/none", None, "payment_unknown"),
        ("GET", "refunds/none", None, "refund_unknown"),
        ("GET", "accounts/ada/grants/film:none/history", None, "grant_unknown"),
        ("GET", "accounts/ada/personal-discounts/none/history", None, "discount_unknown"),
    ],
)
async def test_each_refusal_has_its_code(
    product: Product, method: str, path: str, body: dict[str, Any] | None, code: str
) -> None:
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex, wait=30)
    answer = await product.http.request(method, f"/v1/admin/{path}", json=body, headers=headers)
    assert answer.json()["code"] == code, answer.text
    assert 400 <= answer.status_code < 500


async def test_credit_is_put_onto_a_balance_once_for_each_key_and_taken_back(
    product: Product, manager: Manager
) -> None:
    account, amount = product.account(), {"amount": 500, "currency": "USD"}
    path, body = f"/v1/admin/accounts/{account}/credits", {"amount": amount, "reason": "sorry"}
    first = await manager.post(path, body, key=f"{account}-credit")
    assert first.status_code == 201, first.text
    again = await manager.post(path, body, key=f"{account}-credit")
    assert again.json()["balances"] == first.json()["balances"] == [amount]
    back = await manager.post(f"{path}/take-back", {"amount": {**amount, "amount": 200}, "reason": "too much"})
    assert (back.status_code, back.json()["balances"]) == (200, [{**amount, "amount": 300}])
    newest = (await manager.get(path, limit=1)).json()
    (entry,) = newest["items"]
    assert (entry["kind"], entry["amount"]["amount"], entry["reason"]) == ("taken_back", -200, "too much")
    assert entry["by"] == "manager:boss"
    (oldest,) = (await manager.get(path, cursor=newest["next_cursor"])).json()["items"]
    assert oldest["kind"] == "granted"
    own = await product.http.get("/v1/credits", headers=product.headers(account))
    assert own.json()["balances"] == back.json()["balances"]
    assert [set(each) & {"by", "reason"} for each in own.json()["items"]] == [set(), set()]
    other = await product.http.get(path, headers=product.headers(account))
    assert other.json()["code"] == "role_missing"


async def test_products_with_all_that_they_ever_cost(product: Product, manager: Manager) -> None:
    price = await product.film()
    name = price.partition(":")[0]
    dearer = {"kind": "film", "title": "Dearer", "prices": [{"id": f"{name}:new", "amount": usd(600)}]}
    assert (await manager.put(f"/v1/admin/products/{name}", dearer)).status_code == 200
    shown = (await manager.get(f"/v1/admin/products/{name}")).json()
    assert {found["id"]: found["active"] for found in shown["prices"]} == {price: False, f"{name}:new": True}
    await manager.post(f"/v1/admin/products/{name}/archive")
    assert (await manager.get(f"/v1/admin/products/{name}")).json()["active"] is False
    assert (await product.http.get(f"/v1/products/{name}")).status_code == 404
    listed = (await manager.get("/v1/admin/products", limit=100)).json()["items"]
    assert [item["id"] for item in listed] == sorted(item["id"] for item in listed)
    history = (await manager.get(f"/v1/admin/products/{name}/history")).json()["items"]
    kinds = [entry["event_type"].removeprefix("billing.") for entry in history]
    assert kinds == [
        "product.defined",
        "price.added",
        "product.defined",
        "price.added",
        "price.archived",
        "product.archived",
    ]
    assert (await manager.get("/v1/admin/products/none")).json()["code"] == "product_unknown"


async def test_a_manager_may_ask_what_became_of_the_own_command(product: Product, manager: Manager) -> None:
    account = product.account()
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex)
    path = f"/v1/admin/accounts/{account}/grants"
    sent = await product.http.post(path, json={"resource": "film:x", "reason": "?"}, headers=headers)
    assert sent.status_code == 202
    where = sent.headers["Location"]
    for name, roles, status in (("boss", ("manager",), 200), ("other", ("manager",), 404), ("boss", ("user",), 404)):
        answer = await product.until(
            lambda name=name, roles=roles: product.http.get(where, headers=product.headers(name, *roles)),  # type: ignore[misc]
            lambda answer, status=status: answer.status_code == status,  # type: ignore[misc]
        )
        assert (answer.get("type") == "billing.grant.give") == (status == 200)
