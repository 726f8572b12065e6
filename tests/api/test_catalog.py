"""Products over HTTP: managers define them, anyone sees what is on sale."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product


MONTH = {"count": 1, "unit": "month"}


def _film(name: str, *prices: tuple[str, int, str]) -> dict[str, Any]:
    return {
        "kind": "film",
        "title": "Дюна",
        "description": "Sand.\nMore sand.",
        "validity_days": 30,
        "prices": [
            {"id": f"{name}:{price}", "amount": {"amount": amount, "currency": currency}}
            for price, amount, currency in prices
        ],
    }


async def _define(product: Product, name: str, body: dict[str, Any]) -> httpx.Response:
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex, wait=30)
    return await product.http.put(f"/v1/admin/products/{name}", json=body, headers=headers)


async def test_defined_product_is_on_sale_until_it_is_archived(product: Product) -> None:
    name = f"dune-{uuid.uuid4().hex[:8]}"
    answer = await _define(product, name, _film(name, ("full", 1500, "JPY"), ("sale", 900, "JPY")))
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["title"], shown["description"], shown["validity_days"]) == ("Дюна", "Sand.\nMore sand.", 30)
    assert [(price["id"], price["amount"]["amount"]) for price in shown["prices"]] == [
        (f"{name}:sale", 900),
        (f"{name}:full", 1500),
    ]
    position = {"Billing-Position": answer.headers["Billing-Position"]}
    assert (await product.http.get(f"/v1/products/{name}", headers=position)).json() == shown
    films = await product.other.get("/v1/products?kind=film&limit=100", headers=position)
    assert shown in films.json()["items"]
    plans = await product.other.get("/v1/products?kind=subscription&limit=100", headers=position)
    assert name not in {item["id"] for item in plans.json()["items"]}

    # A price that is not named goes off sale; what is published stays as it is.
    answer = await _define(product, name, _film(name, ("full", 1500, "JPY")))
    assert [price["id"] for price in answer.json()["prices"]] == [f"{name}:full"]
    answer = await _define(product, name, _film(name, ("full", 1501, "JPY")))
    assert (answer.status_code, answer.json()["code"]) == (409, "price_immutable")

    archive = f"/v1/admin/products/{name}/archive"
    answer = await product.http.post(archive, headers=product.headers("boss", "admin", key="archive " + name, wait=30))
    assert (answer.status_code, answer.json()) == (200, {"id": name, "active": False})
    gone = await product.http.get(
        f"/v1/products/{name}", headers={"Billing-Position": answer.headers["Billing-Position"]}
    )
    assert (gone.status_code, gone.json()["code"]) == (404, "product_unknown")


async def test_rules_of_the_catalogue_are_problems(product: Product) -> None:
    name = f"dune-{uuid.uuid4().hex[:8]}"
    good = _film(name, ("buy", 1, "USD"))
    for change, code in (
        ({"role": "viewer"}, "product_invalid"),
        ({"kind": "subscription", "validity_days": None}, "product_invalid"),
        ({"prices": [{"id": "another:buy", "amount": {"amount": 1, "currency": "USD"}}]}, "price_invalid"),
        ({"prices": [{"id": f"{name}:buy", "amount": {"amount": 0, "currency": "USD"}}]}, "amount_out_of_range"),
        ({"prices": [{"id": f"{name}:buy", "amount": {"amount": -1, "currency": "USD"}}]}, "amount_out_of_range"),
        ({"prices": [{"id": f"{name}:buy", "amount": {"amount": 10**18, "currency": "USD"}}]}, "amount_out_of_range"),
        ({"prices": [{"id": f"{name}:buy", "amount": {"amount": 1, "currency": "XXX"}}]}, "currency_unknown"),
        ({"validity_days": 0}, "product_invalid"),
        ({"validity_days": 10**18}, "product_invalid"),
        ({"title": "a\x00b"}, "body_invalid"),
        ({"description": "a\x07"}, "body_invalid"),
    ):
        answer = await _define(product, name, good | change)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    unknown = await product.http.post(
        f"/v1/admin/products/{name}/archive", headers=product.headers("boss", "manager", key=name, wait=30)
    )
    assert (unknown.status_code, unknown.json()["code"]) == (404, "product_unknown")


async def test_terms_of_a_product_are_for_managers_and_for_its_orders(product: Product) -> None:
    name = f"plan-{uuid.uuid4().hex[:8]}"
    price = {"id": f"{name}:monthly", "amount": {"amount": 999, "currency": "USD"}, "period": MONTH}
    plan = {"kind": "subscription", "title": "A plan", "role": name, "prices": [price]}
    terms = {"grace": "P5D", "refund_window": "PT12H", "refund_unused": False, "renewal_offsets": ["-P2D", "PT0S"]}
    answer = await _define(product, name, {**plan, "terms": terms})
    assert answer.status_code == 200, answer.text
    assert "terms" not in answer.json(), "what is on sale is told without them"
    manager = product.headers("boss", "manager") | {"Billing-Position": answer.headers["Billing-Position"]}
    shown = (await product.http.get(f"/v1/admin/products/{name}", headers=manager)).json()
    assert shown["terms"] == terms
    history = (await product.http.get(f"/v1/admin/products/{name}/history", headers=manager)).json()["items"]
    assert history[0]["changes"]["terms"]["grace"] == "P5D"

    answer = await _define(product, name, plan)
    manager |= {"Billing-Position": answer.headers["Billing-Position"]}
    shown = (await product.http.get(f"/v1/admin/products/{name}", headers=manager)).json()
    assert shown["terms"] is None

    for wrong, code, said in (
        ({"grace": "-P1D"}, "product_terms_invalid", "grace must be 0 to 36525 days, not -1 days"),
        ({"renewal_offsets": ["-P29D"]}, "product_terms_invalid", "longer than the shortest month, 28 days"),
        ({"grace": "soon"}, "body_invalid", "/terms/grace"),
        ({"grace": "P1M"}, "body_invalid", "/terms/grace"),
        ({"grace": 5}, "body_invalid", "/terms/grace"),
        ({"refund_unused": "no"}, "body_invalid", "/terms/refund_unused"),
        ({"pause_max": "P5D"}, "body_invalid", "/terms/pause_max"),
    ):
        refused = await _define(product, name, {**plan, "terms": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, code)
        assert said in refused.text, refused.text
    daily = {**price, "id": f"{name}:daily", "period": {"count": 1, "unit": "day"}}
    refused = await _define(product, name, {**plan, "prices": [price, daily]})
    assert refused.json()["code"] == "product_terms_invalid"
    assert "longer than the shortest period, 1 days" in refused.text


async def test_commands_of_the_catalogue_are_seen_by_managers_alone(product: Product) -> None:
    name = f"dune-{uuid.uuid4().hex[:8]}"
    headers = product.headers("boss", "manager", key=name)
    answer = await product.http.put(f"/v1/admin/products/{name}", json=_film(name, ("buy", 1, "USD")), headers=headers)
    assert answer.status_code == 202
    position = {"Billing-Position": answer.headers["Billing-Position"]}
    for roles, status in ((["manager"], 200), (["admin"], 200), (["user"], 404)):
        seen = await product.http.get(
            answer.headers["Location"], headers=product.headers("another-boss", *roles) | position
        )
        assert seen.status_code == status
