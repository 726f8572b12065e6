"""Webhooks of the sandbox: signed, repeated, and, on bad days, lost, doubled and late."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import stripe

from infra.sandbox.settings import DEFAULT_WEBHOOK_SECRET
from tests.contracts.sandbox_kit import receiving, served, session_params, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contracts.sandbox_kit import Delivered, Receiver, SandboxUnderTest

COMPLETED = "checkout.session.completed"


def paid_session(sandbox: SandboxUnderTest, payment_id: str = "payment-1") -> stripe.checkout.Session:
    session = sandbox.client.v1.checkout.sessions.create(session_params(payment_id))
    sandbox.pay(str(session.url))
    return session


def arrived(receiver: Receiver, type_: str = COMPLETED, count: int = 1) -> list[Delivered]:
    wait_for(lambda: len(receiver.of_type(type_)) >= count, what=f"{count} × {type_} arrive")
    return receiver.of_type(type_)


def quiet(sandbox: SandboxUnderTest) -> None:
    wait_for(lambda: sandbox.control("GET", "health")["webhooks_waiting"] == 0, what="the outbox is empty")


def test_the_sdk_verifies_the_signature(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    session = paid_session(sandbox)
    (delivered,) = arrived(receiver)
    event = stripe.Webhook.construct_event(delivered.payload, delivered.signature, DEFAULT_WEBHOOK_SECRET)
    assert event.type == COMPLETED
    assert event.data.object.id == session.id
    assert event.data.object.metadata["payment_id"] == "payment-1"
    for payload, signature, secret in (
        (delivered.payload + b" ", delivered.signature, DEFAULT_WEBHOOK_SECRET),
        (delivered.payload, delivered.signature, "whsec_other"),
        (delivered.payload, delivered.signature.replace("t=", "t=1"), DEFAULT_WEBHOOK_SECRET),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(payload, signature, secret)


def test_the_signature_is_fresh_whatever_the_clock_says(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    sandbox.clock.advance(days=400)
    paid_session(sandbox)
    (delivered,) = arrived(receiver)
    stripe.Webhook.construct_event(delivered.payload, delivered.signature, DEFAULT_WEBHOOK_SECRET)
    assert delivered.event["created"] > time.time() + 300 * 24 * 3600


def test_a_purchase_tells_its_story(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    paid_session(sandbox)
    arrived(receiver)
    quiet(sandbox)
    listed = [event.type for event in sandbox.client.v1.events.list({"limit": 100}).data]
    assert listed == [
        "checkout.session.completed",
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_method.attached",
        "payment_intent.created",
        "customer.created",
    ]
    assert sorted(item.event["type"] for item in receiver.delivered) == sorted(listed)
    one = sandbox.client.v1.events.list({"types": [COMPLETED]}).data[0]
    assert sandbox.client.v1.events.retrieve(one.id).pending_webhooks == 0


def test_repeated_until_it_is_taken(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    sandbox.client.v1.customers.create()
    arrived(receiver, "customer.created")
    receiver.statuses[:] = [500, 503, 302, 404]
    sandbox.client.v1.customers.create()
    attempts = arrived(receiver, "customer.created", count=6)
    quiet(sandbox)
    assert [item.status for item in attempts] == [200, 500, 503, 302, 404, 200]
    assert len({item.event["id"] for item in attempts[1:]}) == 1
    assert len({item.payload for item in attempts[1:]}) == 1


def test_lost_doubled_and_late(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    sandbox.fault("webhook_lost", path=COMPLETED, count=1)
    paid_session(sandbox, "lost")
    quiet(sandbox)
    assert receiver.of_type(COMPLETED) == []
    assert sandbox.client.v1.events.list({"type": COMPLETED}).data != []

    sandbox.fault("webhook_doubled", path=COMPLETED, count=1)
    paid_session(sandbox, "doubled")
    first, second = arrived(receiver, count=2)
    assert first.payload == second.payload

    receiver.delivered.clear()
    sandbox.fault("webhook_late", path=COMPLETED, count=1, delay_ms=700)
    paid_session(sandbox, "late")
    paid_session(sandbox, "punctual")
    order = [item.event["data"]["object"]["client_reference_id"] for item in arrived(receiver, count=2)]
    assert order == ["punctual", "late"]


def test_endpoints_are_made_and_removed_by_the_api(sandbox: SandboxUnderTest) -> None:
    with receiving() as other:
        endpoint = sandbox.client.v1.webhook_endpoints.create(
            {"url": other.url, "enabled_events": ["customer.created"], "metadata": {"for": "us"}}
        )
        assert endpoint.secret is not None
        sandbox.client.v1.customers.create()
        sandbox.client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
        (delivered,) = arrived(other, "customer.created")
        stripe.Webhook.construct_event(delivered.payload, delivered.signature, endpoint.secret)
        assert sandbox.client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict().get("secret") is None
        assert len(sandbox.client.v1.webhook_endpoints.list().data) == 2
        sandbox.client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
        sandbox.client.v1.customers.create()
        sandbox.client.v1.webhook_endpoints.delete(endpoint.id)
        quiet(sandbox)
        assert len(other.delivered) == 1
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.client.v1.webhook_endpoints.create({"url": "file:///etc/passwd", "enabled_events": ["*"]})


def test_what_was_not_delivered_goes_out_after_a_restart(tmp_path: Path) -> None:
    with receiving() as receiver:
        nowhere = "http://127.0.0.1:9/hook"
        with served(tmp_path, receiver, webhook_url=nowhere) as sandbox:
            paid_session(sandbox)
        assert receiver.delivered == []
        with served(tmp_path, receiver) as sandbox:
            arrived(receiver)
            quiet(sandbox)
