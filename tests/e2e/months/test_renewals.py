"""Months in minutes: the development clock is moved, and subscriptions renew, are dunned, end, and are paid back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.e2e.customer import Customer
from tests.e2e.running_up import RunningUp, billing, wait_until

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def _methods(customer: Customer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = customer.http.get("/v1/payment-methods").json()["items"]
    return items


def _subscription(customer: Customer) -> dict[str, Any]:
    found: dict[str, Any] = customer.http.get("/v1/subscriptions").json()["items"][0]
    return found


def _payments(customer: Customer, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = customer.http.get("/v1/payments").json()["items"]
    return [payment for payment in items if payment["status"] == status]


def _advance_to_the_end(up: RunningUp, customer: Customer, plus: timedelta) -> None:
    """Of the paid period, whatever month it is."""
    up.advance_to(datetime.fromisoformat(_subscription(customer)["period_end"]) + plus)


def _wait_for(customer: Customer, status: str) -> None:
    wait_until(lambda: _subscription(customer)["status"] == status, what=f"a subscription that is {status}")


def test_renewed_once_ahead_of_time(up: RunningUp, subscriber: Customer) -> None:
    first_end = _subscription(subscriber)["period_end"]
    _advance_to_the_end(up, subscriber, -DAY)
    wait_until(lambda: _subscription(subscriber)["period_end"] > first_end, what="a renewal")
    renewed = _subscription(subscriber)
    assert (renewed["status"], renewed["period_start"]) == ("active", first_end)
    assert len(_payments(subscriber, "succeeded")) == 2
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0


def test_declined_dunned_in_grace_and_blocked(up: RunningUp, subscriber: Customer) -> None:
    card = _methods(subscriber)[0]["id"]
    billing("sandbox", "card", card, "--decline", data_dir=up.data_dir)
    _advance_to_the_end(up, subscriber, -DAY)
    _wait_for(subscriber, "past_due")
    assert _subscription(subscriber)["renewal_failure"] == "insufficient_funds"
    assert subscriber.entitlements() != [], "the paid period still runs"
    renewal = subscriber.http.get("/v1/orders").json()["items"][0]["id"]
    headers = {"idempotency-key": f"{subscriber.account}-cancel"}
    by_itself = subscriber.http.post(f"/v1/orders/{renewal}/cancel", json={}, headers=headers)
    assert (by_itself.status_code, by_itself.json()["code"]) == (409, "order_is_renewal")
    _advance_to_the_end(up, subscriber, HOUR)
    _wait_for(subscriber, "grace")
    assert subscriber.entitlements() != [], "the grace runs"
    _advance_to_the_end(up, subscriber, 3 * DAY)
    _wait_for(subscriber, "ended")
    assert subscriber.entitlements() == []
    assert len(_payments(subscriber, "succeeded")) == 1
    story = billing("audit", "history", "--account", subscriber.account, data_dir=up.data_dir).stdout
    assert story.count("was blocked") == 1


def test_paid_in_the_grace_was_never_interrupted(up: RunningUp, subscriber: Customer) -> None:
    card = _methods(subscriber)[0]["id"]
    billing("sandbox", "card", card, "--decline", data_dir=up.data_dir)
    first_end = _subscription(subscriber)["period_end"]
    _advance_to_the_end(up, subscriber, HOUR)
    _wait_for(subscriber, "grace")
    order = subscriber.order("premium:monthly", key="again").json()
    subscriber.at_the_page("pay", order)
    subscriber.wait_for_status(order, "fulfilled")
    _wait_for(subscriber, "active")
    assert _subscription(subscriber)["period_start"] == first_end


def test_a_new_card_after_a_lost_one_pays_the_renewal_once(up: RunningUp, subscriber: Customer) -> None:
    card, plan = _methods(subscriber)[0]["id"], _subscription(subscriber)["id"]
    billing("sandbox", "card", card, "--decline", "--reason", "lost_card", data_dir=up.data_dir)
    _advance_to_the_end(up, subscriber, -DAY)
    _wait_for(subscriber, "past_due")
    assert _subscription(subscriber)["renew_at"] is None, "a lost card is not tried again"
    other = subscriber.order("basic:monthly", key="other").json()
    subscriber.at_the_page("pay", other)

    def subscription() -> dict[str, Any]:
        found: dict[str, Any] = subscriber.http.get(f"/v1/subscriptions/{plan}").json()
        return found

    wait_until(lambda: subscription()["status"] == "active", what="the renewal by the new card")
    assert len(_payments(subscriber, "succeeded")) == 3, "two plans bought, one of them renewed"
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0


def test_cancelled_in_time_is_not_charged(up: RunningUp, subscriber: Customer) -> None:
    path = f"/v1/subscriptions/{_subscription(subscriber)['id']}/cancel"
    cancelled = subscriber.http.post(path, json={}, headers={"idempotency-key": f"{subscriber.account}-cancel"})
    assert (cancelled.status_code, cancelled.json()["auto_renew"]) == (200, False)
    _advance_to_the_end(up, subscriber, HOUR)
    _wait_for(subscriber, "ended")
    assert subscriber.entitlements() == []
    assert len(_payments(subscriber, "succeeded")) == 1


def test_refunded_in_parts_and_never_more_than_paid(up: RunningUp, subscriber: Customer) -> None:
    (payment,) = _payments(subscriber, "succeeded")
    path, paid = f"/v1/payments/{payment['id']}/refunds", payment["amount"]["amount"]
    before = _subscription(subscriber)
    part = paid * 6 // 10

    def refund(amount: int, key: str) -> Any:
        headers = {"idempotency-key": f"{subscriber.account}-{key}"}
        return subscriber.http.post(path, json={"amount": amount}, headers=headers)

    assert refund(part, "one").status_code == 201
    wait_until(lambda: not _subscription(subscriber)["auto_renew"], what="a subscription that is shorter")
    (shorter,) = subscriber.entitlements()
    assert shorter["until"] == _subscription(subscriber)["period_end"] < before["period_end"]
    assert refund(part, "two").json()["code"] == "refund_exceeds_payment"
    assert refund(0, "nothing").json()["code"] == "refund_amount_invalid"
    assert refund(paid - part, "rest").status_code == 201
    wait_until(lambda: len(_payments(subscriber, "refunded")) == 1, what="all of it")
    assert subscriber.entitlements() == []
    assert refund(1, "more").json()["code"] == "nothing_to_refund"
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0


def test_a_film_is_paid_back_whole(up: RunningUp) -> None:
    customer = Customer(up)
    order = customer.order("nosferatu:usd").json()
    customer.at_the_page("pay", order)
    customer.wait_for_status(order, "fulfilled")
    path, headers = f"/v1/payments/{order['payment']['id']}/refunds", {"idempotency-key": f"{customer.account}-part"}
    assert (
        customer.http.post(path, json={"amount": 600}, headers=headers).json()["code"] == "refund_partial_unavailable"
    )
    assert customer.http.post(path, json={}, headers={**headers, "idempotency-key": "all"}).status_code == 201
    wait_until(lambda: len(_payments(customer, "refunded")) == 1, what="all of it")
    assert customer.entitlements() == []
    customer.http.close()
