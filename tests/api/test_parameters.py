"""Parameters in addresses: what a route does not name is refused on every route, and OpenAPI says what it names."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from api.app import create_app
from infra.settings import Settings

if TYPE_CHECKING:
    import httpx

    from tests.api.product import Product

DOCUMENT = create_app(Settings(_env_file=None)).openapi()
OPERATIONS = [(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations]


def named(method: str, path: str) -> list[str]:
    """The parameters that OpenAPI promises."""
    parameters = DOCUMENT["paths"][path][method.lower()]["parameters"]
    return [parameter["name"] for parameter in parameters if parameter["in"] == "query"]


async def _ask(product: Product, method: str, path: str, query: str) -> dict[str, Any]:
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex)
    url = f"{re.sub(r'{[^}]+}', 'stripe', path)}?{query}"
    return _is_refused(await product.http.request(method, url, headers=headers))


def _is_refused(answer: httpx.Response) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "query_invalid"), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    return problem


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_what_a_route_does_not_name_is_refused(product: Product, method: str, path: str) -> None:
    names = named(method, path)
    problem = await _ask(product, method, path, "".join(f"{name}=1&" for name in names) + "offset=1")
    assert sorted(problem["allowed"]) == sorted(names)
    assert [error["parameter"] for error in problem["errors"]] == ["offset"]
    assert all(name in problem["detail"] for name in names), problem["detail"]
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
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
    _is_refused(await product.http.post("/v1/orders?dry_run=true", json=body, headers=headers))
    orders = await product.http.get("/v1/orders", headers=product.headers(account))
    assert orders.json()["items"] == []
    answer = await product.http.post("/v1/orders?", json=body, headers=headers)
    assert answer.status_code == 201, "the key is not used up"
