"""A provider's bad day on the real stack: what is stuck is listed with its cause, gone on with, and paid once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.running_up import RunningUp, billing, wait_until

if TYPE_CHECKING:
    import httpx

    from tests.e2e.customer import Customer


def _run(up: RunningUp, *arguments: str) -> None:
    done = billing(*arguments, data_dir=up.data_dir)
    assert done.returncode == 0, done.stdout + done.stderr


def _overdue(manager: httpx.Client, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manager.get("/v1/admin/overdue").json()["items"]
    return [item for item in found if item["account"] == account]


def _charges(up: RunningUp, account: str) -> list[dict[str, Any]]:
    """What the provider's own books have of the account."""
    lines = billing("sandbox", "books", "--json", data_dir=up.data_dir).stdout.splitlines()
    entries = [json.loads(line) for line in lines]
    return [
        entry
        for entry in entries
        if entry["object"] == "charge" and entry["paid"] and entry["metadata"].get("account") == account
    ]


def _payments(customer: Customer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = customer.http.get("/v1/payments").json()["items"]
    return items


@pytest.mark.usefixtures("mended")
def test_a_renewal_whose_charge_is_never_answered(up: RunningUp, subscriber: Customer, manager: httpx.Client) -> None:
    assert up.doctor()["ok"]
    assert _overdue(manager, subscriber.account) == []
    _run(up, "sandbox", "faults", "add", "reset_after", "--path", "/v1/payment_intents")
    _run(up, "sandbox", "faults", "add", "webhook_lost")
    up.advance("29d")
    wait_until(lambda: len(_payments(subscriber)) == 2, what="the renewal's payment")
    payment_id = _payments(subscriber)[0]["id"]
    wait_until(lambda: len(_charges(up, subscriber.account)) == 2, what="a charge that nobody heard of")
    up.advance("15m")
    wait_until(lambda: bool(_overdue(manager, subscriber.account)), what="the payment on the list")

    (item,) = [item for item in _overdue(manager, subscriber.account) if item["kind"] == "provider_call"]
    assert (item["id"], item["subject"]) == (payment_id, payment_id)
    assert item["age_seconds"] >= 15 * 60
    assert item["cause"].startswith(f"stripe was asked to charge the saved means of payment for payment {payment_id}")
    diagnosis = billing("doctor", "--json", data_dir=up.data_dir)
    assert diagnosis.returncode == 1
    assert payment_id in {late["id"] for late in json.loads(diagnosis.stdout)["overdue"]}

    _run(up, "sandbox", "faults", "clear")
    resumed = manager.post(item["resume"], headers={"idempotency-key": f"resume {payment_id}"})
    assert resumed.status_code == 200, resumed.text
    wait_until(lambda: _payments(subscriber)[0]["status"] == "succeeded", what="the renewal's money")
    _run(up, "resume", payment_id)
    wait_until(lambda: _overdue(manager, subscriber.account) == [], what="an empty list")
    assert len(_charges(up, subscriber.account)) == 2, "one for each period, whatever was repeated"
    _explained(up, subscriber, payment_id)
    _run(up, "audit", "verify")
    assert billing("doctor", data_dir=up.data_dir).returncode == 0


@pytest.mark.usefixtures("mended")
def test_a_charge_that_was_given_up_before_it_was_answered(up: RunningUp, subscriber: Customer) -> None:
    """Made, never answered, asked about in vain until nobody wanted it any more: its money buys what it was for."""
    _run(up, "sandbox", "faults", "add", "reset_after", "--path", "/v1/payment_intents")
    _run(up, "sandbox", "faults", "add", "refuse", "--path", "/v1/payment_intents", "--method", "GET")
    _run(up, "sandbox", "faults", "add", "webhook_lost")
    up.advance("29d")
    wait_until(lambda: len(_charges(up, subscriber.account)) == 2, what="a charge that nobody heard of")
    _run(up, "audit", "verify")
    up.advance("10d")
    wait_until(lambda: _story(up, subscriber).count("unpayable") == 1, what="a payment that is given up")
    up.advance("1d")
    verified = billing("audit", "verify", "--account", subscriber.account, data_dir=up.data_dir)
    assert verified.returncode == 0, verified.stdout
    assert "1 charges are not in the log yet" in verified.stdout
    _run(up, "sandbox", "faults", "clear")
    up.advance("1d")
    wait_until(lambda: _payments(subscriber)[0]["status"] == "succeeded", what="the renewal's money")
    assert len(_charges(up, subscriber.account)) == len(_payments(subscriber)) == 2
    _run(up, "audit", "verify")


def _story(up: RunningUp, customer: Customer) -> str:
    return billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout


def _explained(up: RunningUp, subscriber: Customer, payment_id: str) -> None:
    """The charge leads back to its timer and to the order in which the customer agreed, over HTTP and from the log."""
    answer = subscriber.http.get(f"/v1/payments/{payment_id}/explanation")
    assert answer.status_code == 200, answer.text
    steps = answer.json()["steps"]
    assert steps[0]["text"] == f"The customer {subscriber.account} asked to place an order."
    texts = " ".join(step["text"] for step in steps)
    assert "It was time to renew a subscription, due at" in texts
    assert "as billing.subscription.started (event" in texts
    assert "The price premium:monthly is the one of the subscription" in texts
    assert "A manager asked to go on with what waited too long." in texts
    assert "boss" not in answer.text, "customers do not read who of us it was"
    calls = [step["effect_id"] for step in steps if step["kind"] == "call" and payment_id in step["text"]]
    assert len(calls) > 2, "the first one, the engine's repeats, and the one by hand"
    assert len(set(calls)) == 1, "under one idempotency key"
    told = billing("audit", "explain", payment_id, "--json", data_dir=up.data_dir)
    assert told.returncode == 0, told.stderr
    by_log = json.loads(told.stdout)["steps"]
    assert [step["event_id"] for step in by_log] == [step["event_id"] for step in steps]
    assert any("boss" in step["text"] for step in by_log)
    assert billing("audit", "explain", "nothing", data_dir=up.data_dir).returncode == 1
