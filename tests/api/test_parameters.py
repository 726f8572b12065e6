"""Parameters in addresses: what a route does not name is refused on every route, and OpenAPI says what it names."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.product import is_problem
from tests.api.routes import KNOWN, address, document

if TYPE_CHECKING:
    from tests.api.product import Product


def named(method: str, path: str) -> list[str]:
    """The parameters that OpenAPI promises."""
    parameters = document()["paths"][path][method.lower()]["parameters"]
    return [parameter["name"] for parameter in parameters if parameter["in"] == "query"]


async def _ask(product: Product, method: str, path: str, query: str) -> dict[str, Any]:
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex)
    return is_problem(
        await product.http.request(method, f"{address(path)}?{query}", headers=headers), 400, "query_invalid"
    )


@pytest.mark.parametrize(("method", "path"), [route for route in KNOWN if route != ("GET", "/metrics")])
async def test_what_a_route_does_not_name_is_refused(product: Product, method: str, path: str) -> None:
    names = named(method, path)
    problem = await _ask(product, method, path, "".join(f"{name}=1&" for name in names) + "offset=1")
    assert sorted(problem["allowed"]) == sorted(names)
    assert [error["parameter"] for error in problem["errors"]] == ["offset"]
    assert all(name in problem["detail"] for name in names), problem["detail"]
    responses = document()["paths"][path][method.lower()]["responses"]
    assert "application/problem+json" in responses["400"]["content"]


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("Limit=1", ["Limit"]),
        ("limit%20=1", ["limit "]),
        ("limit[]=1", ["limit[]"]),
        ("limit", []),
        ("limit=1&limit=2", ["limit"]),
        ("limit=1&%6Cimit=1", ["limit"]),
        ("limit=1&x=1&cursor=a&cursor=b&a=1", ["a", "x", "cursor"]),
        ("=1", [""]),
        ("account", ["account"]),
        ("%ff=1", ["\ufffd"]),
        ("%00=1", ["\x00"]),
        ("a" * 5000, ["a" * 100]),
        ("&".join(f"p{number:04}" for number in range(5000)), [f"p{number:04}" for number in range(20)]),
    ],
)
async def test_each_parameter_is_one_that_is_named_and_comes_once(
    product: Product, query: str, refused: list[str]
) -> None:
    problem = await _ask(product, "GET", "/v1/orders", query)
    assert [error["parameter"] for error in problem["errors"] if refused] == refused
    assert len(str(problem)) < 10_000


async def test_a_refused_address_does_nothing(product: Product) -> None:
    account, price = product.account(), await product.film()
    headers = product.headers(account, key="once", wait=30)
    body = {"items": [{"price_id": price}]}
    is_problem(await product.http.post("/v1/orders?dry_run=true", json=body, headers=headers), 400, "query_invalid")
    orders = await product.http.get("/v1/orders", headers=product.headers(account))
    assert orders.json()["items"] == []
    answer = await product.http.post("/v1/orders?", json=body, headers=headers)
    assert answer.status_code == 201, "the key is not used up"
