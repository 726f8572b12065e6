"""Reading Stripe's webhooks: only signed bytes, only what is about a payment of ours, no exception of another kind."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from domain.effects import AnswerStatus
from domain.money import Money
from infra.stripe.names import HANDLED_EVENTS
from infra.stripe.webhooks import WebhookRejectedError, read
from tests.contracts.sandbox_kit import wait_for
from tests.contracts.stripe_kit import ACCOUNT, checkout, provider_of

if TYPE_CHECKING:
    from tests.contracts.sandbox_kit import Receiver, SandboxUnderTest

SECRET = "whsec_test"
SECRETS = ("whsec_new", SECRET)


def event(type_: str = "checkout.session.completed", **changes: Any) -> bytes:
    body = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 2697,
        "currency": "usd",
        "customer": "cus_1",
        "metadata": {"payment_id": "payment-1", "account": ACCOUNT},
        **changes,
    }
    return json.dumps(
        {"id": "evt_1", "object": "event", "type": type_, "created": 1_800_000_000, "data": {"object": body}}
    ).encode()


def signed(payload: bytes, secret: str = SECRET, age_s: int = 0) -> str:
    stamp = int(time.time()) - age_s
    header: str = stripe.WebhookSignature.generate_signature_header(payload.decode("utf-8", "replace"), secret, stamp)
    return header


def report(payload: bytes) -> Any:
    found = read(payload, signed(payload), SECRETS)
    return found.report if found else None


def test_a_paid_session_is_money() -> None:
    payload = event()
    found = read(payload, signed(payload), SECRETS)
    assert found is not None
    assert found.account == ACCOUNT
    assert (found.report.payment_id, found.report.provider, found.report.report_id) == ("payment-1", "stripe", "evt_1")
    answer = found.report.answer
    assert answer.status is AnswerStatus.SUCCEEDED
    assert (answer.reference, answer.amount) == ("cs_test_1", Money(amount=2697, currency="USD"))
    assert answer.customer_reference == "cus_1"
    assert answer.paid_at is not None


@pytest.mark.parametrize(
    ("type_", "changes", "status"),
    [
        ("checkout.session.completed", {"payment_status": "unpaid"}, AnswerStatus.PROCESSING),
        ("checkout.session.async_payment_succeeded", {}, AnswerStatus.SUCCEEDED),
        ("checkout.session.async_payment_failed", {"payment_status": "unpaid"}, AnswerStatus.DECLINED),
        ("checkout.session.expired", {"status": "expired", "payment_status": "unpaid"}, AnswerStatus.CLOSED),
        ("payment_intent.payment_failed", {"object": "payment_intent"}, AnswerStatus.DECLINED),
    ],
)
def test_other_ends(type_: str, changes: dict[str, Any], status: AnswerStatus) -> None:
    assert report(event(type_, **changes)).answer.status is status


def test_a_decline_says_why() -> None:
    error = {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}
    answer = report(event("payment_intent.payment_failed", last_payment_error=error)).answer
    assert (answer.decline_reason, answer.hard, answer.reference) == ("lost_card", True, None)


@pytest.mark.parametrize(
    "payload",
    [
        event("customer.created"),
        event(metadata={}),
        event(metadata={"payment_id": "payment-1"}),
        event(metadata={"payment_id": "", "account": ACCOUNT}),
        event(metadata={"payment_id": 7, "account": ACCOUNT}),
        event(metadata=None),
        event(currency="nonsense"),
        event(amount_total="2697"),
        event(amount_total=1050, currency="isk"),
        event(status="open"),
        event(id=None),
        b'{"id": "evt_1", "object": "event", "type": "checkout.session.completed", "data": null}',
        b'{"id": "evt_1", "object": "event", "type": "checkout.session.completed", "data": {"object": []}}',
        b'{"id": "evt_1", "object": "event", "type": {}, "data": {"object": {}}}',
    ],
)
def test_what_is_not_about_our_payments_says_nothing(payload: bytes) -> None:
    assert read(payload, signed(payload), SECRETS) is None


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"object": "event"}'])
def test_signed_nonsense_is_rejected(payload: bytes) -> None:
    with pytest.raises(WebhookRejectedError):
        read(payload, signed(payload), SECRETS)


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        "t=abc,v1=00",
        "t=99999999999999999999999999,v1=00",
        "v1=00",
        "t=1",
        signed(event(), "whsec_other"),
        signed(event(), SECRET, age_s=301),
        signed(event() + b" "),
        "t=1,v1=ü",
    ],
)
def test_without_a_fresh_signature_nothing_is_read(signature: str | None) -> None:
    with pytest.raises(WebhookRejectedError) as caught:
        read(event(), signature, SECRETS)
    assert SECRET not in str(caught.value)


def test_bytes_that_are_not_text_are_rejected() -> None:
    with pytest.raises(WebhookRejectedError):
        read(b"\xff\xfe", "t=1,v1=00", SECRETS)


def test_while_a_secret_is_rotated_both_work_and_without_any_none_does() -> None:
    payload = event()
    for secret in SECRETS:
        assert read(payload, signed(payload, secret), SECRETS) is not None
    for secrets in ((), ("",), ("whsec_new",)):
        with pytest.raises(WebhookRejectedError):
            read(payload, signed(payload), secrets)


async def test_the_sandboxs_webhooks_are_read(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    provider = provider_of(sandbox)
    paid, declined, left = (checkout(sandbox.clock.now()) for _ in range(3))
    urls = [
        (await provider.create_checkout(effect, account=ACCOUNT)).confirmation_url for effect in (paid, declined, left)
    ]
    await provider.close()
    sandbox.pay(str(urls[0]))
    sandbox.pay(str(urls[1]), "4000000000009995")
    sandbox.act(str(urls[2]), "abandon")
    wait_for(
        lambda: len([item for item in receiver.delivered if item.event["type"] in HANDLED_EVENTS]) == 3,
        what="3 reports",
    )

    reports = [read(item.payload, item.signature, (sandbox.settings.webhook_secret,)) for item in receiver.delivered]

    told = {found.report.payment_id: found.report.answer for found in reports if found is not None}
    assert told[paid.payment_id].status is AnswerStatus.SUCCEEDED
    assert told[paid.payment_id].amount == paid.amount
    assert told[declined.payment_id].decline_reason == "insufficient_funds"
    assert told[left.payment_id].status is AnswerStatus.CLOSED
