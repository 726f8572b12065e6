"""The README's story from outside: buy, pay, watch; be declined; ask twice. Only HTTP and the console script."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.running_up import billing, wait_until

if TYPE_CHECKING:
    from tests.e2e.customer import Customer
    from tests.e2e.running_up import RunningUp

CARD_WITH_3D_SECURE = "4000002760003184"
DECLINED_CARD = "4000000000000002"


def test_film_is_bought_paid_and_may_be_watched(up: RunningUp, customer: Customer) -> None:
    assert customer.entitlements() == []
    answer = customer.order("nosferatu:usd")
    assert answer.status_code == 201
    order = answer.json()
    assert order["total"] == {"amount": 999, "currency": "USD"}
    assert customer.entitlements() == [], "no access before the money"

    assert customer.at_the_page("pay", order)["outcome"] == "paid"
    paid = customer.wait_for_status(order, "fulfilled")
    assert paid["payment"]["status"] == "succeeded"
    (entitlement,) = customer.entitlements()
    assert (entitlement["resource"], entitlement["until"]) == ("film:nosferatu", None)

    story = billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout
    for sentence in ("was placed", "asked to collect it", "arrived for payment", "Access to film:nosferatu was given"):
        assert sentence in story


def test_subscription_runs_for_its_period(customer: Customer) -> None:
    order = customer.order("premium:monthly").json()
    customer.at_the_page("pay", order)
    customer.wait_for_status(order, "fulfilled")
    current = customer.http.get("/v1/subscriptions/current")
    assert current.status_code == 200
    assert current.json()["status"] == "active"
    (entitlement,) = customer.entitlements()
    assert entitlement["resource"] == "role:premium"
    assert entitlement["until"] is not None


def test_declined_card_gives_nothing(customer: Customer) -> None:
    order = customer.order("nosferatu:usd").json()
    assert customer.at_the_page("pay", order, "--card", DECLINED_CARD)["outcome"] == "declined"
    failed = customer.wait_for_status(order, "failed")
    assert failed["payment"]["status"] == "failed"
    assert customer.entitlements() == []

    again = customer.order("nosferatu:usd", key="second").json()
    assert again["id"] != order["id"]
    customer.at_the_page("pay", again)
    customer.wait_for_status(again, "fulfilled")


def test_3d_secure_has_to_be_passed(customer: Customer) -> None:
    order = customer.order("nosferatu:usd").json()
    left = customer.at_the_page("pay", order, "--card", CARD_WITH_3D_SECURE, "--authentication", "leave")
    assert left["outcome"] == "authentication_required"
    assert customer.entitlements() == []
    assert customer.at_the_page("pay", order, "--card", CARD_WITH_3D_SECURE)["outcome"] == "paid"
    customer.wait_for_status(order, "fulfilled")


def test_abandoned_order_ends_without_access(customer: Customer) -> None:
    order = customer.order("nosferatu:usd").json()
    assert customer.at_the_page("abandon", order)["outcome"] == "abandoned"
    wait_until(
        lambda: customer.http.get(f"/v1/orders/{order['id']}").json()["status"] in {"expired", "cancelled", "failed"},
        what="the end of the order",
    )
    assert customer.entitlements() == []


def test_same_key_twice_is_one_order(customer: Customer) -> None:
    first, second = customer.order("nosferatu:usd"), customer.order("nosferatu:usd")
    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"
    assert len(customer.http.get("/v1/orders").json()["items"]) == 1
    assert customer.order("metropolis:usd").json()["code"] == "idempotency_key_reused"


def test_everything_agrees_in_the_end(up: RunningUp, customer: Customer) -> None:
    order = customer.order("the-general:usd").json()
    customer.at_the_page("pay", order)
    customer.wait_for_status(order, "fulfilled")
    verified = billing("audit", "verify", data_dir=up.data_dir)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert up.doctor()["ok"]
