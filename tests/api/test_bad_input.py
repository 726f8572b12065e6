"""Numbers, currencies, months and dates that cannot be: each with a code that says which of them it was."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.product import is_problem, usd
from tests.api.subscribing import Subscriber, plans

if TYPE_CHECKING:
    from tests.api.managing import Manager
    from tests.api.product import Product

HUGE = 10**30
"""More than 64 bits hold."""


@pytest.mark.parametrize("months", [0, -1, 37, 10_000, HUGE, -HUGE])
async def test_months(product: Product, months: int) -> None:
    body = {"items": [{"price_id": await product.plan(), "months": months}]}
    for path in ("/v1/quotes", "/v1/orders"):
        headers = product.headers(product.account(), key=uuid.uuid4().hex, wait=30)
        is_problem(await product.http.post(path, json=body, headers=headers), 422, "months_invalid")


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (usd(-1), "amount_out_of_range"),
        (usd(10**18), "amount_out_of_range"),
        (usd(HUGE), "amount_out_of_range"),
        (usd(-HUGE), "amount_out_of_range"),
        ({"amount": 1, "currency": "XXX"}, "currency_unknown"),
        ({"amount": 1, "currency": "usd"}, "currency_unknown"),
        ({"amount": 1, "currency": "dollars"}, "currency_unknown"),
    ],
)
async def test_amounts(product: Product, manager: Manager, amount: dict[str, Any], code: str) -> None:
    credits_of = f"/v1/admin/accounts/{product.account()}/credits"
    film = {"kind": "film", "title": "A film", "prices": [{"id": "zero:buy", "amount": amount}]}
    answers = (
        await product.order(await product.film(), expected_total=amount),
        await manager.put("/v1/admin/products/zero", film),
        await manager.put("/v1/admin/promo-codes/ZERO", {"amount": amount}),
        await manager.post(credits_of, {"amount": amount, "reason": "?"}),
        await manager.post(f"{credits_of}/take-back", {"amount": amount, "reason": "?"}),
    )
    for answer in answers:
        is_problem(answer, 422, code)


async def test_numbers_of_what_managers_define(product: Product, manager: Manager, subscriber: Subscriber) -> None:
    held = await subscriber.subscribe(f"{await plans(product)}:monthly")

    def plan(**price: Any) -> dict[str, Any]:
        one = {"id": "zero:monthly", "amount": usd(1), "period": {"count": 1, "unit": "month"}, **price}
        return {"kind": "subscription", "title": "A plan", "role": "zero", "prices": [one]}

    for number in (0, -1, 1_000_000, HUGE):
        step = {"months": number, "basis_points": 1}
        period = {"count": number, "unit": "month"}
        film = {"kind": "film", "title": "?", "validity_days": number, "prices": [{"id": "zero:buy", "amount": usd(1)}]}
        give = {"basis_points": number, "reason": "?"}
        rows = (
            (await manager.put("/v1/admin/products/zero", plan(period=period)), "price_invalid"),
            (await manager.put("/v1/admin/products/zero", plan(trial_days=number)), "price_invalid"),
            (await manager.put("/v1/admin/products/zero", film), "product_invalid"),
            (await manager.put("/v1/admin/months-discounts", {"steps": [step]}), "discount_invalid"),
            (await manager.post("/v1/admin/accounts/ada/personal-discounts", give), "discount_invalid"),
            (await manager.put("/v1/admin/promo-codes/ZERO", {"basis_points": number}), "promo_code_invalid"),
            (
                await manager.put("/v1/admin/promo-codes/ZERO", {"basis_points": 1, "months_min": number}),
                "promo_code_invalid",
            ),
            (
                await manager.post(f"/v1/admin/subscriptions/{held['id']}/extend", {"days": number, "reason": "?"}),
                "extension_invalid",
            ),
        )
        for answer, code in rows:
            is_problem(answer, 422, code)


async def test_refunds(product: Product, manager: Manager, subscriber: Subscriber) -> None:
    order = (await product.order(await product.film(), subscriber.account)).json()
    own, managers = (f"{root}/payments/{order['payment']['id']}/refunds" for root in ("/v1", "/v1/admin"))
    for ask in (subscriber.post(own), manager.post(managers, {})):
        is_problem(await ask, 409, "payment_not_refundable")
    await subscriber.pay(order, order["total"])
    for amount, status, code in (
        (0, 422, "refund_amount_invalid"),
        (-1, 422, "refund_amount_invalid"),
        (1_000, 409, "refund_exceeds_payment"),
        (10**18, 409, "refund_exceeds_payment"),
        (HUGE, 422, "amount_out_of_range"),
        (-HUGE, 422, "amount_out_of_range"),
    ):
        for ask in (subscriber.post(own, {"amount": amount}), manager.post(managers, {"amount": amount})):
            is_problem(await ask, status, code)
    assert (await manager.post(managers, {"amount": 600})).status_code == 201
    left = is_problem(await manager.post(managers, {"amount": 600}), 409, "refund_exceeds_payment")
    assert left["facts"]["left_amount"] == "399"
    assert (await manager.post(managers, {})).status_code == 201
    for ask in (subscriber.post(own), manager.post(managers, {})):
        is_problem(await ask, 409, "nothing_to_refund")


async def test_refund_of_a_failed_payment(product: Product, manager: Manager, subscriber: Subscriber) -> None:
    name = f"film-{uuid.uuid4().hex[:12]}"
    dinars = {"amount": 899, "currency": "KWD"}
    film = {"kind": "film", "title": "A film", "prices": [{"id": f"{name}:buy", "amount": dinars}]}
    await product.define(name, film)
    product.provider.refused_currencies = frozenset({"KWD"})
    order = (await product.order(f"{name}:buy", subscriber.account)).json()
    payment = await subscriber.until(f"/v1/payments/{order['payment']['id']}", "status", "failed")
    for ask in (
        subscriber.post(f"/v1/payments/{payment['id']}/refunds"),
        manager.post(f"/v1/admin/payments/{payment['id']}/refunds", {}),
    ):
        assert is_problem(await ask, 409, "payment_not_refundable")["facts"]["status"] == "failed"


@pytest.mark.parametrize(
    "moment",
    [
        "10000-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00+99:00",
    ],
)
async def test_moments_that_there_are_not(manager: Manager, moment: str) -> None:
    rows: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("PUT", "promo-codes/NEVER", {"basis_points": 1, "valid_from": moment}),
        ("POST", "accounts/ada/personal-discounts", {"basis_points": 1, "reason": "?", "valid_until": moment}),
        ("POST", "accounts/ada/grants", {"resource": "film:x", "reason": "?", "until": moment}),
        ("POST", "subscriptions/1/migrate", {"price_id": "x:y", "effective_at": moment}),
    )
    for method, path, body in rows:
        ask = manager.put if method == "PUT" else manager.post
        is_problem(await ask(f"/v1/admin/{path}", body), 422, "moment_out_of_range")


@pytest.mark.parametrize("moment", ["2026-01-01", "2026-01-01T00:00:00", "tomorrow", "", 1_800_000_000, None, "1e9"])
async def test_what_is_no_moment_at_all(manager: Manager, moment: Any) -> None:
    body = {"price_id": "x:y", "effective_at": moment}
    problem = is_problem(await manager.post("/v1/admin/subscriptions/1/migrate", body), 422, "body_invalid")
    assert [error["pointer"] for error in problem["errors"]] == ["/effective_at"]


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("ledger/balances?at=10000-01-01T00:00:00Z", "at"),
        ("ledger/balances?at=2026-02-30T00:00:00Z", "at"),
        ("ledger/balances?at=0001-01-01T00:00:00%2B14:00", "at"),
        ("ledger/balances?at=9999-12-31T23:59:59-14:00", "at"),
        ("disputes?due_before=2026-13-01T00:00:00Z", "due_before"),
        ("disputes?due_before=0001-01-01T00:00:00%2B14:00", "due_before"),
        ("disputes?due_before=2026-01-01T00:00:00", "due_before"),
        ("reports/revenue?since=2026-02-30", "since"),
        ("reports/revenue?until=10000-01-01", "until"),
        ("reports/revenue?until=9999-12-31", "until"),
        ("reports/revenue?until=0001-01-01", "until"),
        ("reports/dunning?since=2026-02-02&until=2026-02-02", "until"),
        ("reports/dunning?since=2026-02-02&until=2026-02-01", "until"),
        ("reports/subscriptions?since=0001-01-01&until=9999-12-30", "until"),
    ],
)
async def test_dates_in_addresses(manager: Manager, path: str, parameter: str) -> None:
    problem = is_problem(await manager.get(f"/v1/admin/{path}"), 400, "query_invalid")
    assert [error["parameter"] for error in problem["errors"]] == [parameter]


async def test_a_plan_changed_to_itself(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    for at in ("now", "period_end"):
        wish = {"price_id": f"{name}:monthly", "at": at}
        answer = await subscriber.post(f"/v1/subscriptions/{held['id']}/change-plan", wish)
        is_problem(answer, 409, "plan_unchanged")


async def test_cancelled_and_taken_back_twice(product: Product, manager: Manager, subscriber: Subscriber) -> None:
    """An order, a grant or a discount is gone after the first time. That a subscription renews no more stays true."""
    order = (await product.order(await product.film(), subscriber.account)).json()
    cancel = f"/v1/orders/{order['id']}/cancel"
    assert (await subscriber.post(cancel)).status_code == 200
    is_problem(await subscriber.post(cancel), 409, "order_cancelled")

    grants = f"/v1/admin/accounts/{subscriber.account}/grants"
    assert (await manager.post(grants, {"resource": "film:x", "reason": "?"})).status_code == 201
    assert (await manager.post(f"{grants}/film:x/revoke", {"reason": "?"})).status_code == 200
    is_problem(await manager.post(f"{grants}/film:x/revoke", {"reason": "?"}), 404, "grant_unknown")

    discount = (await manager.grant(subscriber.account, basis_points=1000, reason="?")).json()["id"]
    revoke = f"/v1/admin/accounts/{subscriber.account}/personal-discounts/{discount}/revoke"
    assert (await manager.post(revoke)).status_code == 200
    is_problem(await manager.post(revoke), 404, "discount_unknown")

    held = await subscriber.subscribe(f"{await plans(product)}:monthly")
    for at, status in (("period_end", "active"), ("period_end", "active"), ("now", "ended"), ("now", "ended")):
        answer = await subscriber.post(f"/v1/subscriptions/{held['id']}/cancel", {"at": at})
        assert (answer.status_code, answer.json()["status"], answer.json()["auto_renew"]) == (200, status, False)
