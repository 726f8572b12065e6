"""Banks that take money back, from outside: disputes won and lost, a refund that bounces, and refunds at once."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.e2e.customer import Customer
from tests.e2e.running_up import RunningUp, billing, wait_until

if TYPE_CHECKING:
    import httpx

REFUND_BOUNCES_CARD = "4000000000005126"
DISPUTED_AT_ONCE_CARD = "4000000000000259"


def _bought(customer: Customer, price: str, *options: str) -> dict[str, Any]:
    order: dict[str, Any] = customer.order(price).json()
    customer.at_the_page("pay", order, *options)
    customer.wait_for_status(order, "fulfilled")
    return order


def _page_of(order: dict[str, Any]) -> str:
    return str(order["payment"]["confirmation_url"]).rpartition("/")[2]


def _payment(customer: Customer, order: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = customer.http.get(f"/v1/payments/{order['payment']['id']}").json()
    return found


def _wait_for_payment(customer: Customer, order: dict[str, Any], status: str) -> None:
    wait_until(lambda: _payment(customer, order)["status"] == status, what=f"a payment that is {status}")


def _disputed(up: RunningUp, manager: httpx.Client, customer: Customer, order: dict[str, Any]) -> dict[str, Any]:
    """The bank disputes the payment, and a manager sees it."""
    done = billing("sandbox", "dispute", _page_of(order), data_dir=up.data_dir)
    reference = json.loads(done.stdout)["id"]
    _wait_for_payment(customer, order, "disputed")
    (found,) = manager.get("/v1/admin/disputes", params={"account": customer.account}).json()["items"]
    assert (found["reference"], found["status"], found["access"]) == (reference, "needs_response", "lost")
    assert found["payment_id"] == order["payment"]["id"]
    assert found["evidence_due_at"] is not None
    dispute: dict[str, Any] = found
    return dispute


def _decided(up: RunningUp, manager: httpx.Client, dispute: dict[str, Any], outcome: str) -> dict[str, Any]:
    billing("sandbox", "verdict", dispute["reference"], outcome, data_dir=up.data_dir)
    path = f"/v1/admin/disputes/{dispute['id']}"
    wait_until(lambda: manager.get(path).json()["status"] == outcome, what=f"a dispute that is {outcome}")
    found: dict[str, Any] = manager.get(path).json()
    return found


def _refund(customer: Customer, order: dict[str, Any], body: dict[str, Any] | None = None) -> httpx.Response:
    path = f"/v1/payments/{order['payment']['id']}/refunds"
    return customer.http.post(path, json=body or {}, headers={"idempotency-key": uuid.uuid4().hex})


def _verify(up: RunningUp) -> None:
    verified = billing("audit", "verify", data_dir=up.data_dir)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_lost_ends_the_access_and_the_card(up: RunningUp, manager: httpx.Client, customer: Customer) -> None:
    order = _bought(customer, "premium:monthly")
    methods = "/v1/payment-methods"
    wait_until(lambda: customer.http.get(methods).json()["items"] != [], what="a saved card")
    dispute = _disputed(up, manager, customer, order)
    assert customer.entitlements() != [], "by default access goes when the dispute is lost"
    assert _refund(customer, order).json()["code"] == "payment_disputed"
    assert _refundable(customer) == []

    lost = _decided(up, manager, dispute, "lost")
    assert lost["closed_at"] is not None
    types = [change["event_type"] for change in lost["history"]]
    assert (types[0], types[-1]) == ("billing.dispute.opened", "billing.dispute.lost")
    wait_until(lambda: customer.entitlements() == [], what="the end of the access")
    (subscription,) = customer.http.get("/v1/subscriptions").json()["items"]
    assert (subscription["status"], subscription["auto_renew"]) == ("ended", False)
    wait_until(lambda: customer.http.get(methods).json()["items"] == [], what="a forgotten card")
    assert _payment(customer, order)["disputed"] == order["total"]
    story = billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout
    assert "The customer's bank took" in story
    assert "are gone, and the access with them" in story
    _verify(up)


def test_won_changes_nothing(up: RunningUp, manager: httpx.Client, customer: Customer) -> None:
    order = _bought(customer, "nosferatu:usd")
    dispute = _disputed(up, manager, customer, order)
    _decided(up, manager, dispute, "won")
    _wait_for_payment(customer, order, "succeeded")
    assert customer.entitlements() != []
    listed = manager.get("/v1/admin/disputes", params={"status": "won", "payment_id": order["payment"]["id"]}).json()
    assert [item["id"] for item in listed["items"]] == [dispute["id"]]
    assert _refund(customer, order).status_code == 201
    _wait_for_payment(customer, order, "refunded")
    _verify(up)


def test_a_dispute_that_comes_with_the_charge(up: RunningUp, manager: httpx.Client, customer: Customer) -> None:
    order = _bought(customer, "nosferatu:usd", "--card", DISPUTED_AT_ONCE_CARD)
    _wait_for_payment(customer, order, "disputed")
    assert customer.entitlements() != []
    (found,) = manager.get("/v1/admin/disputes", params={"account": customer.account}).json()["items"]
    _decided(up, manager, found, "lost")
    wait_until(lambda: customer.entitlements() == [], what="the end of the access")
    _verify(up)


def test_disputes_are_for_managers(customer: Customer, manager: httpx.Client) -> None:
    assert customer.http.get("/v1/admin/disputes").status_code == 403
    assert customer.http.get("/v1/admin/disputes/x").status_code == 403
    assert manager.get("/v1/admin/disputes/x").json()["code"] == "dispute_unknown"
    for query in ({"status": "lovely"}, {"due_before": "2030-01-31T12:00:00"}, {"due_before": "soon"}, {"limit": "0"}):
        assert manager.get("/v1/admin/disputes", params=query).json()["code"] == "query_invalid"


def test_a_refund_that_bounces(up: RunningUp, customer: Customer) -> None:
    order = _bought(customer, "nosferatu:usd", "--card", REFUND_BOUNCES_CARD)
    refund = _refund(customer, order).json()
    _wait_for_payment(customer, order, "refunded")
    assert customer.entitlements() == []

    up.advance("1m")
    path = f"/v1/refunds/{refund['id']}"
    wait_until(lambda: customer.http.get(path).json()["status"] == "failed", what="a refund that bounced")
    assert customer.http.get(path).json()["failure_reason"] == "expired_or_canceled_card"
    payment = _payment(customer, order)
    assert (payment["status"], payment["refunded"]["amount"]) == ("succeeded", 0)
    wait_until(lambda: customer.entitlements() != [], what="the film again")
    up.advance("2h")
    owed = "an earlier refund did not reach the customer"
    assert _refundable(customer) == [(order["payment"]["id"], order["total"]["amount"], owed)]
    assert _refund(customer, order).status_code == 201, "it may be asked for again, however late"
    _verify(up)


def test_three_refunds_at_once_are_one(up: RunningUp, customer: Customer) -> None:
    order = _bought(customer, "nosferatu:usd")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: _refund(customer, order), range(3)))
    codes = sorted(answer.json().get("code", "") for answer in answers)
    assert codes == ["", "nothing_to_refund", "nothing_to_refund"]
    _wait_for_payment(customer, order, "refunded")
    assert _returned(up, customer) == [order["total"]["amount"]]
    _verify(up)


def test_two_of_sixty_from_a_hundred_are_one(up: RunningUp, customer: Customer) -> None:
    order = _bought(customer, "premium:monthly")
    part = {"amount": order["total"]["amount"] * 6 // 10}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: _refund(customer, order, part), range(2)))
    assert sorted(answer.json().get("code", "") for answer in answers) == ["", "refund_exceeds_payment"]
    _wait_for_payment(customer, order, "partially_refunded")
    assert _returned(up, customer) == [part["amount"]]
    rest = order["total"]["amount"] - part["amount"]
    assert _refundable(customer) == [(order["payment"]["id"], rest, "within the refund window")]
    assert _refund(customer, order).status_code == 201
    _wait_for_payment(customer, order, "refunded")
    assert _refundable(customer) == []
    assert _refund(customer, order).json()["code"] == "nothing_to_refund"


def _refundable(customer: Customer) -> list[tuple[str, int, str]]:
    items = customer.http.get("/v1/payments", params={"refundable": "true"}).json()["items"]
    return [(item["id"], item["refundable"]["amount"], item["refund_rule"]) for item in items]


def test_each_impossible_refund_has_its_own_code(customer: Customer, up: RunningUp) -> None:
    order = _bought(customer, "nosferatu:usd")
    total = order["total"]["amount"]
    assert _refund(customer, order, {"amount": 0}).json()["code"] == "refund_amount_invalid"
    assert _refund(customer, order, {"amount": total + 1}).json()["code"] == "refund_exceeds_payment"
    other = Customer(up)
    theirs = _refund(other, order)
    assert (theirs.status_code, theirs.json()["code"]) == (404, "payment_unknown")
    failed = other.order("nosferatu:usd").json()
    other.at_the_page("pay", failed, "--card", "4000000000000002")
    other.wait_for_status(failed, "failed")
    assert _refund(other, failed).json()["code"] == "payment_not_refundable"
    assert _refund(customer, order).status_code == 201
    assert _refund(customer, order).json()["code"] == "nothing_to_refund"
    other.http.close()


def _returned(up: RunningUp, customer: Customer) -> list[int]:
    """What the provider's books say that the customer got back."""
    lines = billing("sandbox", "books", "--json", data_dir=up.data_dir).stdout.splitlines()
    entries = [json.loads(line) for line in lines if line]
    return [
        entry["amount"]
        for entry in entries
        if entry["object"] == "refund" and entry["metadata"].get("account") == customer.account
    ]
