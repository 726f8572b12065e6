"""The books over HTTP: a purchase stands in them as soon as the read models have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.api.managing import Manager
from tests.api.subscribing import Subscriber

if TYPE_CHECKING:
    from tests.api.product import Product


async def test_a_sale_stands_in_the_books(product: Product) -> None:
    buyer, boss = Subscriber(product), Manager(product)
    account = buyer.account
    order = (await product.order(await product.film(), account)).json()
    await buyer.pay(order, order["total"])
    page = (await boss.get("/v1/admin/ledger/entries", account=account)).json()
    assert page["next_cursor"] is None
    legs = [(leg["debit"], leg["credit"]) for entry in reversed(page["items"]) for leg in entry["postings"]]
    assert legs == [
        ("provider_cash:stripe", "receivables"),
        ("receivables", "deferred_revenue"),
        ("deferred_revenue", "earned_revenue"),
    ]
    first = (await boss.get("/v1/admin/ledger/entries", account=account, limit=1)).json()
    rest = await boss.get("/v1/admin/ledger/entries", account=account, limit=2, cursor=first["next_cursor"])
    assert [*first["items"], *rest.json()["items"]] == page["items"]
    balances = (await boss.get("/v1/admin/ledger/balances")).json()["items"]
    for currency in {row["currency"] for row in balances}:
        of = [row for row in balances if row["currency"] == currency]
        assert sum(row["debits"] for row in of) == sum(row["credits"] for row in of)
    assert (await boss.get("/v1/admin/ledger/balances", at="2000-01-01T00:00:00Z")).json()["items"] == []
    days = (await boss.get("/v1/admin/reports/revenue")).json()["items"]
    assert sum(row["earned"] for row in days) > 0
    report = (await boss.get("/v1/admin/reports/subscriptions")).json()
    assert report["started"] >= 0
    assert (await boss.get("/v1/admin/reports/dunning")).status_code == 200


async def test_days_that_cannot_be(product: Product) -> None:
    boss = Manager(product)
    for query in (
        {"since": "2026-02-01", "until": "2026-02-01"},
        {"since": "2026-02-02", "until": "2026-02-01"},
        {"since": "2020-01-01", "until": "2026-01-01"},
        {"until": "0001-01-05"},
        {"until": "9999-12-31"},
        {"since": "yesterday"},
    ):
        answer = await boss.get("/v1/admin/reports/revenue", **query)
        assert (answer.status_code, answer.json()["code"]) == (400, "query_invalid"), query
    for path, name, value in (
        ("balances", "at", "2026-01-01T00:00:00"),
        ("entries", "cursor", "x"),
        ("entries", "account", ""),
        ("entries", "limit", "0"),
    ):
        assert (await boss.get(f"/v1/admin/ledger/{path}", **{name: value})).status_code == 400
