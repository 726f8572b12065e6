"""Discounts on the real stack: what is quoted is what is charged, and a code with ten uses is used ten times."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import yaml

from infra.settings import load_settings
from projections.audit.books import Charge, read_books
from tests.api.product import token
from tests.e2e.customer import Customer
from tests.e2e.running_up import RunningUp, billing, wait_until

USES = 10
BUYERS = 100
WAIT_S = 60


def manage(up: RunningUp, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """A manager's request, answered."""
    headers = {"authorization": f"Bearer {token(load_settings(data_dir=up.data_dir), 'boss', 'manager')}"}
    if method != "GET":
        headers |= {"idempotency-key": f"{method} {path} {body}"[:255], "prefer": "wait=30"}
    answer = httpx.request(method, f"{up.url}/v1/admin{path}", json=body, headers=headers, timeout=WAIT_S)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def charges_of(up: RunningUp, account: str) -> list[Charge]:
    """What the provider's own books say that it took from the customer."""
    settings = load_settings(data_dir=up.data_dir)
    key = settings.stripe_secret_key.get_secret_value()
    charges = asyncio.run(read_books(settings.sandbox_url, secret_key=key)).charges
    return [charge for charge in charges if charge.account == account]


def test_quote_is_order_is_charge(up: RunningUp) -> None:
    manage(up, "PUT", "/months-discounts", {"steps": [{"months": 3, "basis_points": 1000}]})
    customer = Customer(up)
    body = {"items": [{"price_id": "premium:monthly", "months": 3}]}

    def quoted() -> dict[str, Any]:
        found: dict[str, Any] = customer.http.post("/v1/quotes", json=body).json()
        return found

    wait_until(lambda: quoted()["discount"]["amount"] > 0, what="a quote with the discount")
    quote = quoted()
    amounts = [quote[name]["amount"] for name in ("subtotal", "discount", "total")]
    assert amounts == [2997, 300, 2697], "9.99 × 3 − 10 % = 29.97 − 3.00 = 26.97"
    assert quote["applied_discount"]["reason"] == "10 % for 3 months or more takes 3.00 USD off."
    placed = customer.http.post(
        "/v1/orders", json={**body, "expected_total": quote["total"]}, headers={"idempotency-key": "three months"}
    )
    assert placed.status_code == 201, placed.text
    order = placed.json()
    assert [order[name]["amount"] for name in ("subtotal", "discount", "total")] == amounts
    customer.at_the_page("pay", order)
    paid = customer.wait_for_status(order, "fulfilled")
    assert paid["applied_discount"] == quote["applied_discount"]
    (payment,) = customer.http.get("/v1/payments").json()["items"]
    assert payment["amount"] == quote["total"]
    (charge,) = charges_of(up, customer.account)
    assert (charge.amount, charge.currency) == (2697, "USD")
    customer.http.close()


async def _race(up: RunningUp, code: str) -> dict[str, httpx.Response]:
    """Everybody orders at the same moment; answers by account."""
    settings = load_settings(data_dir=up.data_dir)
    accounts = [f"racer-{number}" for number in range(BUYERS)]
    body = {"items": [{"price_id": "metropolis:usd"}], "promo_code": code}
    limits = httpx.Limits(max_connections=BUYERS)
    async with httpx.AsyncClient(base_url=up.url, timeout=WAIT_S, limits=limits) as http:
        answers = await asyncio.gather(
            *(
                http.post(
                    "/v1/orders",
                    json=body,
                    headers={
                        "authorization": f"Bearer {token(settings, account)}",
                        "idempotency-key": "race",
                        "prefer": "wait=30",
                    },
                )
                for account in accounts
            )
        )
    return dict(zip(accounts, answers, strict=True))


def test_ten_uses_and_a_hundred_buyers_at_once(up: RunningUp) -> None:
    code = "TENTIMES"
    manage(up, "PUT", f"/promo-codes/{code}", {"basis_points": 5000, "uses_max": USES})
    first = Customer(up)
    body = {"items": [{"price_id": "metropolis:usd"}], "promo_code": code}
    # Each of the four workers learns of the code by itself: only then it is a race.
    wait_until(lambda: first.http.post("/v1/quotes", json=body).is_success, what="a quote with the code")
    answers = asyncio.run(_race(up, code))
    unknown = [account for account, answer in answers.items() if answer.json().get("code") == "promo_code_unknown"]
    assert not unknown, "every worker knows the code"
    assert Counter((answer.status_code, answer.json().get("code")) for answer in answers.values()) == {
        (201, None): USES,
        (409, "promo_code_used_up"): BUYERS - USES,
    }
    winners = {account: answer.json() for account, answer in answers.items() if answer.status_code == 201}
    assert {order["total"]["amount"] for order in winners.values()} == {649}
    assert manage(up, "GET", f"/promo-codes/{code}")["uses"] == USES
    refused = first.http.post("/v1/quotes", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "promo_code_used_up")

    given_up, kept = sorted(winners)[0], sorted(winners)[1]
    _give_up(up, given_up, winners[given_up])
    wait_until(lambda: manage(up, "GET", f"/promo-codes/{code}")["uses"] == USES - 1, what="a use that is given back")
    placed = first.http.post("/v1/orders", json=body, headers={"idempotency-key": "after all"})
    assert placed.status_code == 201, placed.text
    first.at_the_page("pay", placed.json())
    first.wait_for_status(placed.json(), "fulfilled")
    assert [charge.amount for charge in charges_of(up, first.account)] == [649]
    first.at_the_page("pay", winners[kept])
    wait_until(lambda: len(charges_of(up, kept)) == 1, what="the money of another winner")

    uses = _uses(up, code)
    assert Counter(use["status"] for use in uses) == {"held": USES - 2, "settled": 2, "released": 1, "refused": 90}
    verified = billing("audit", "verify", data_dir=up.data_dir)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    first.http.close()


def test_a_file_that_is_imported_twice_changes_nothing(up: RunningUp) -> None:
    first = up.data_dir / "first.yaml"
    first.write_text(
        "months_discounts: [{months: 4, takes: 12.5 %}]\n"
        "promo_codes: [{code: FILE, takes: 3.00 USD, valid_until: 2999-12-31T00:00:00Z, uses_max: 5}]\n",
        "utf-8",
    )

    def imported(path: object) -> dict[str, Any]:
        done = billing("catalog", "import", str(path), "--json", data_dir=up.data_dir)
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def changes() -> list[str]:
        return [entry["event_type"] for entry in manage(up, "GET", "/promo-codes/FILE/history")["items"]]

    assert imported(first) == {"entries": 2, "changed": 2, "rejected": {}}
    assert imported(first)["changed"] == 0
    assert changes() == ["billing.promo_code.defined"]
    second = up.data_dir / "second.yaml"
    second.write_text(first.read_text("utf-8").replace("3.00 USD", "10 %"), "utf-8")
    assert imported(second)["changed"] == 1
    assert imported(first)["changed"] == 1, "what was changed since is no repeat"
    assert changes() == ["billing.promo_code.defined"] * 3

    exported = billing("catalog", "export", data_dir=up.data_dir)
    assert exported.returncode == 0, exported.stderr
    whole = up.data_dir / "exported.yaml"
    whole.write_text(exported.stdout, "utf-8")
    document = yaml.safe_load(exported.stdout)
    assert document["months_discounts"] == [{"months": 4, "basis_points": 1250}]
    assert {code["code"] for code in document["promo_codes"]} >= {"FILE", "PREMIERE"}
    assert imported(whole)["changed"] == 0, "what is exported is what is there"


def _give_up(up: RunningUp, account: str, order: dict[str, Any]) -> None:
    headers = {
        "authorization": f"Bearer {token(load_settings(data_dir=up.data_dir), account)}",
        "idempotency-key": "give up",
        "prefer": "wait=30",
    }
    answer = httpx.post(f"{up.url}/v1/orders/{order['id']}/cancel", headers=headers, timeout=WAIT_S)
    assert answer.json()["status"] == "cancelled", answer.text


def _uses(up: RunningUp, code: str) -> list[dict[str, Any]]:
    """Every order that asked for the code."""
    uses: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = manage(up, "GET", f"/promo-codes/{code}/uses?limit=100{cursor}")
        uses += page["items"]
        if page["next_cursor"] is None:
            return uses
        cursor = f"&cursor={page['next_cursor']}"
