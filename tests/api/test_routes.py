"""Rules that hold on every route: what is another's, who needs which role, and that commands need a key."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Mount

from api.app import ROUTERS, create_app
from infra.settings import Settings
from tests.api.routes import COMMANDS, EXPLAINED, KNOWN, OWN, STAFF, address, document
from tests.api.subscribing import Subscriber, plans

if TYPE_CHECKING:
    from tests.api.product import Product

OF_SOMEBODY = [(method, path) for method, path in OWN + EXPLAINED if "{" in path]


def test_every_route_is_in_the_table() -> None:
    """Those of the application itself are its documents; all others come by its routers."""
    app = create_app(Settings(_env_file=None))
    own = {route.path for route in app.routes if isinstance(route, APIRoute | Mount)}
    assert own == {"/docs", "/docs/assets"}
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) == sum(len(router.routes) for router in ROUTERS)
    found = [(method, route.path_format) for route in routes for method in route.methods or ()]
    assert sorted(found) == sorted(KNOWN)
    documented = {(method.upper(), path) for path, operations in document()["paths"].items() for method in operations}
    assert set(found) - documented == {("GET", "/metrics")}


class Victim(Subscriber):
    """Somebody who has one of everything that an address can name."""

    async def names(self) -> dict[str, str]:
        """What is theirs, as addresses name it."""
        plan = await plans(self.product)
        held = await self.subscribe(f"{plan}:monthly")
        order = (await self.product.order(await self.product.film(), self.account)).json()
        await self.pay(order, order["total"])
        refund = await self.post(f"/v1/payments/{order['payment']['id']}/refunds")
        rejected = await self.post("/v1/orders", {"items": []})
        saved = await self.product.until(
            lambda: self.product.http.get("/v1/payment-methods", headers=self.product.headers(self.account)),
            lambda answer: answer.json()["items"] != [],
        )
        return {
            "order_id": order["id"],
            "payment_id": order["payment"]["id"],
            "refund_id": refund.json()["id"],
            "subscription_id": held["id"],
            "method_id": saved["items"][0]["id"],
            "command_id": rejected.json()["command_id"],
            "resource": f"role:{plan}",
        }


@pytest.fixture(scope="module")
async def victim(product: Product) -> tuple[Victim, dict[str, str]]:
    found = Victim(product)
    return found, await found.names()


@pytest.mark.parametrize(("method", "path"), OF_SOMEBODY)
async def test_what_is_anothers_is_not_there(
    product: Product, victim: tuple[Victim, dict[str, str]], method: str, path: str
) -> None:
    """To another user, nor to a manager but where managers look at everything: they have addresses of their own."""
    owner, names = victim
    url, stranger = address(path, **names), product.account()
    assert "/1/" not in f"{url}/", "the victim has one of these"
    body = {"price_id": "x:y", "at": "now"} if path.endswith("change-plan") else {}
    for roles in (["user"], ["manager"], ["admin"]):
        headers = product.headers(stranger, *roles, key=uuid.uuid4().hex, wait=30)
        answer = await product.http.request(method, url, json=body if method == "POST" else None, headers=headers)
        may_see = (method, path) in EXPLAINED and roles != ["user"]
        assert answer.status_code == (200 if may_see else 404), answer.text
    if method == "GET":
        theirs = await product.http.get(url, headers=product.headers(owner.account))
        assert theirs.status_code == 200, theirs.text


@pytest.mark.parametrize("path", sorted({path for method, path in OWN if method == "GET" and "{" not in path}))
async def test_lists_have_nothing_of_others(product: Product, victim: tuple[Victim, dict[str, str]], path: str) -> None:
    answer = await product.http.get(path, headers=product.headers(product.account()))
    assert not [name for name in victim[1].values() if name in answer.text]
    assert answer.json().get("items", []) == []


@pytest.mark.parametrize(("method", "path"), STAFF)
async def test_managers_and_admins_are_let_in(product: Product, method: str, path: str) -> None:
    """As far as the body, which is none that any command takes."""
    for role in ("manager", "admin"):
        headers = product.headers("boss", role, key=uuid.uuid4().hex)
        content = None if method == "GET" else "[]"
        answer = await product.http.request(
            method, path, content=content, headers=headers | {"Content-Type": "application/json"}
        )
        assert answer.status_code in ({200, 404} if method == "GET" else {422}), answer.text


@pytest.mark.parametrize(("method", "path"), COMMANDS)
async def test_a_command_needs_its_key(product: Product, method: str, path: str) -> None:
    for key, code in (
        (None, "idempotency_key_missing"),
        (" ", "idempotency_key_missing"),
        ("é", "idempotency_key_invalid"),
    ):
        headers = {name.encode(): value.encode() for name, value in product.headers("boss", "manager").items()}
        if key is not None:
            headers[b"Idempotency-Key"] = key.encode()
        answer = await product.http.request(method, path, headers=list(headers.items()))
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text


def test_openapi_says_which_need_a_key() -> None:
    paths = document()["paths"]
    asking = {
        (method.upper(), address(path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if any(each["name"] == "Idempotency-Key" and each["required"] for each in operation["parameters"])
    }
    assert asking == set(COMMANDS)
