"""Requests that nobody in their right mind would send: each gets a clear problem, and nothing of us is shown."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from api.app import create_app
from infra.settings import Settings
from tests.api.product import is_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.product import Product

ITEM = '{"price_id":"dune:buy"}'
JSON = {"Content-Type": "application/json"}


async def _post(product: Product, content: Any, headers: dict[str, str] = JSON) -> httpx.Response:
    known = product.headers("mallory", key=uuid.uuid4().hex)
    return await product.http.post("/v1/orders", content=content, headers=known | headers)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"items": [{"price_id": "a"}]} trailing',
        b'{"items": NaN}x',
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"items":[{"price_id":"\\ud800"}]}',
        b'{"items":[{"price_id":"\xc3\x28"}]}',
        b"\x00",
    ],
)
async def test_malformed_json(product: Product, content: bytes) -> None:
    is_problem(await _post(product, content), 400, "body_malformed")


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ("", "/items"),
        ("{}", "/items"),
        ("[]", ""),
        ("null", ""),
        ('"text"', ""),
        ('{"items": null}', "/items"),
        ('{"items": {}}', "/items"),
        ('{"items": ["dune:buy"]}', "/items/0"),
        ('{"items": [{}]}', "/items/0/price_id"),
        ('{"items": [{"price_id": 7}]}', "/items/0/price_id"),
        ('{"items": [{"price_id": ""}]}', "/items/0/price_id"),
        ('{"items": [{"price_id": "a\\u0000b"}]}', "/items/0/price_id"),
        ('{"items": [{"price_id": "a\\nb"}]}', "/items/0/price_id"),
        (f'{{"items": [{{"price_id": "{"a" * 201}"}}]}}', "/items/0/price_id"),
        ('{"items": [{"price_id": "a", "months": true}]}', "/items/0/months"),
        ('{"items": [{"price_id": "a", "months": "3"}]}', "/items/0/months"),
        ('{"items": [{"price_id": "a", "months": 1.5}]}', "/items/0/months"),
        ('{"items": [{"price_id": "a", "months": 3.0}]}', "/items/0/months"),
        (f'{{"items": [{ITEM}], "account": "alice"}}', "/account"),
        (f'{{"items": [{ITEM}], "a~b/c": 1}}', "/a~0b~1c"),
        (f'{{"items": [{ITEM}], "auto_renew": 1}}', "/auto_renew"),
        (f'{{"items": [{ITEM}], "auto_renew": "true"}}', "/auto_renew"),
        (f'{{"items": [{ITEM}], "expected_total": 999}}', "/expected_total"),
        (f'{{"items": [{ITEM}], "expected_total": {{"amount": 9.99, "currency": "USD"}}}}', "/expected_total/amount"),
        (f'{{"items": [{ITEM}], "expected_total": {{"amount": "999", "currency": "USD"}}}}', "/expected_total/amount"),
        (f'{{"items": [{ITEM}], "return_url": "javascript:alert(1)"}}', "/return_url"),
        (f'{{"items": [{ITEM}], "return_url": "//shop.example"}}', "/return_url"),
        (f'{{"items": [{ITEM}], "return_url": "https://"}}', "/return_url"),
        (f'{{"items": [{ITEM}], "return_url": "https://user:secret@shop.example"}}', "/return_url"),
        (f'{{"items": [{ITEM}], "return_url": "https://shop.example/a b"}}', "/return_url"),
        (f'{{"items": [{ITEM}], "return_url": "https://shop.example/{"a" * 2000}"}}', "/return_url"),
        (f'{{"items": [{",".join([ITEM] * 101)}]}}', "/items"),
    ],
)
async def test_field_that_is_not_as_it_must_be(product: Product, content: str, pointer: str) -> None:
    problem = is_problem(await _post(product, content), 422, "body_invalid")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_many_wrong_fields_make_no_huge_answer(product: Product) -> None:
    content = "{" + ",".join(f'"{name}": 1' for name in range(5000)) + "}"
    problem = is_problem(await _post(product, content), 422, "body_invalid")
    assert len(problem["errors"]) == 20


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx", ""],
)
async def test_wrong_content_type(product: Product, content_type: str) -> None:
    answer = await _post(product, f'{{"items":[{ITEM}]}}', {"Content-Type": content_type})
    is_problem(answer, 415, "content_type_unsupported")
    without = await _post(product, f'{{"items":[{ITEM}]}}', {})
    is_problem(without, 415, "content_type_unsupported")
    packed = await _post(product, b"x", JSON | {"Content-Encoding": "gzip"})
    is_problem(packed, 415, "content_type_unsupported")


async def test_huge_body_with_its_length(product: Product) -> None:
    is_problem(await _post(product, b" " * 65_537), 413, "body_too_large")
    is_problem(await _post(product, b" " * 65_534 + b"{}"), 422, "body_invalid")
    is_problem(await _post(product, b"{}", JSON | {"Content-Length": "9" * 30}), 413, "body_too_large")


async def test_huge_body_without_its_length_is_not_read_to_its_end(product: Product) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024

    answer = await _post(product, endless())
    is_problem(answer, 413, "body_too_large")
    assert sent <= 66
    assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("key", [b"", b" ", b"a" * 256, "schlüssel".encode(), b"a\tb", b"\x7f", b"a\x01b"])
async def test_idempotency_key_that_cannot_be(product: Product, key: bytes) -> None:
    token = product.token("mallory").encode()
    answer = await product.http.post(
        "/v1/orders", json={}, headers=[(b"authorization", b"Bearer " + token), (b"idempotency-key", key)]
    )
    is_problem(answer, 400, "idempotency_key_invalid" if key.strip() else "idempotency_key_missing")


async def test_idempotency_key_is_needed(product: Product) -> None:
    for method, path in (("POST", "/v1/orders"), ("POST", "/v1/orders/1/cancel"), ("PUT", "/v1/admin/products/dune")):
        answer = await product.http.request(method, path, json={}, headers=product.headers("boss", "manager"))
        is_problem(answer, 400, "idempotency_key_missing")


async def test_longest_idempotency_key(product: Product) -> None:
    answer = await product.http.post(
        "/v1/orders", json={"items": [{"price_id": "x"}]}, headers=product.headers("mallory", key="~" * 255, wait=30)
    )
    is_problem(answer, 422, "price_unknown")


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=100", "wait=30"),
        ("respond-async, wait=7; x", "wait=7"),
        ('Wait="5"', "wait=5"),
        ("wait=99999999999999999999", "wait=30"),
        ("wait=abc", None),
        ("wait=-1", None),
        ("wait", None),
        ("wait=0", None),
        (";;;,,,=", None),
    ],
)
async def test_preferences(product: Product, prefer: str, applied: str | None) -> None:
    headers = product.headers("mallory", key=uuid.uuid4().hex) | {"Prefer": prefer}
    command = await product.http.post("/v1/orders/unknown/cancel", headers=headers)
    assert command.status_code == (202 if applied is None else 404)
    assert command.headers.get("Preference-Applied") == applied


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=-1", "limit=1.5", "limit=x", "limit=", "limit=99999999999999999999", "limit=1e1"],
)
async def test_limit_that_cannot_be(product: Product, query: str) -> None:
    for path in ("/v1/orders", "/v1/products", "/v1/payments", "/v1/subscriptions"):
        answer = await product.http.get(f"{path}?{query}", headers=product.headers("mallory"))
        problem = is_problem(answer, 400, "query_invalid")
        assert problem["errors"][0]["parameter"] == "limit"


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "%ff",
        "W10",
        "bnVsbA",
        "WyIiXQ",
        "eyJhIjoxfQ",
        "A" * 5000,
        "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsIlx1MDAwMCJd",
    ],
)
async def test_cursor_that_is_not_ours(product: Product, cursor: str) -> None:
    for path in ("/v1/orders", "/v1/products", "/v1/payments", "/v1/subscriptions"):
        answer = await product.http.get(f"{path}?cursor={cursor}", headers=product.headers("mallory"))
        assert answer.status_code == 400
        assert answer.json()["code"] in {"cursor_invalid", "query_invalid"}


@pytest.mark.parametrize(
    "name", ["1", "%00", "%ff%fe", "..%2f..", "a" * 5000, "'; drop table orders; --", "%F0%9F%8E%AC"]
)
async def test_id_that_names_nothing(product: Product, name: str) -> None:
    paths = ["orders", "payments", "subscriptions", "entitlements", "commands", "products"]
    for path in paths:
        answer = await product.http.get(f"/v1/{path}/{name}", headers=product.headers("mallory"))
        assert answer.status_code == 404
        assert answer.headers["Content-Type"] == "application/problem+json"
    headers = product.headers("mallory", key=uuid.uuid4().hex, wait=30)
    cancelled = await product.http.post(f"/v1/orders/{name}/cancel", headers=headers)
    assert cancelled.status_code in {404, 422}


@pytest.mark.parametrize("name", ["UPPER", "-dash", "a b", "%00", "a" * 64, "dune:buy", "..%2Fx"])
async def test_product_id_that_becomes_no_key(product: Product, name: str) -> None:
    headers = product.headers("boss", "manager", key=uuid.uuid4().hex, wait=30)
    body = {"kind": "film", "title": "x", "prices": [{"id": "x:y", "amount": {"amount": 1, "currency": "USD"}}]}
    answer = await product.http.put(f"/v1/admin/products/{name}", json=body, headers=headers)
    assert answer.status_code in {404, 422}
    if answer.status_code == 422:
        is_problem(answer, 422, "product_invalid")


async def test_wrong_address_and_method(product: Product) -> None:
    for path in (
        "/",
        "/v1",
        "/v1/",
        "/v1/orders/",
        "/v2/orders",
        "/v1/orders/1/2/3",
        "/.env",
        "//",
        "/v1//orders",
        "/%00",
    ):
        is_problem(await product.http.get(f"http://api.test{path}"), 404, "not_found")
    for method, path in (
        ("DELETE", "/v1/orders"),
        ("PATCH", "/v1/orders/1"),
        ("POST", "/v1/products"),
        ("GET", "/v1/orders/1/cancel"),
        ("GET", "/v1/webhooks/stripe"),
        ("OPTIONS", "/v1/orders"),
        ("TRACE", "/v1/orders"),
        ("BREW", "/v1/orders"),
    ):
        answer = await product.http.request(method, path)
        is_problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"]


async def test_headers_of_safety_are_on_every_answer(product: Product) -> None:
    for path in ("/health/live", "/v1/orders", "/v1/products", "/nowhere"):
        headers = (await product.http.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Request-Id"]
        assert "server" not in headers


async def test_client_that_stops_sending_is_told(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.bodies._DEADLINE_S", 0.2)
    begun = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        begun.set()
        await asyncio.Event().wait()
        yield b"}"

    is_problem(await _post(product, stalled()), 408, "body_too_slow")
    assert begun.is_set()


async def test_a_bug_of_ours_is_told_without_what_it_was() -> None:
    app = create_app(Settings(_env_file=None))

    async def bug() -> None:
        raise RuntimeError("a secret")

    app.add_api_route("/bug", bug)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        answer = await http.get("/bug")
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]
    assert "secret" not in answer.text
