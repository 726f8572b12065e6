"""Reading Stripe's webhooks: only signed bytes, only what is about a payment of ours, no exception of another kind."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from domain.effects import AnswerStatus, RefundAnswer, RefundAnswerStatus
from domain.ids import RefundId
from domain.money import Money
from domain.payments.commands import ReportPayment
from domain.refunds.commands import AnswerRefund
from domain.reports import ProviderReport
from infra.stripe.webhooks import WebhookRejectedError, read
from tests.contracts.effects_kit import ACCOUNT, charge, checkout, fetch, refund
from tests.contracts.sandbox_kit import wait_for
from tests.contracts.stripe_kit import provider_of

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
    return found.command if isinstance(found, ProviderReport) else found


def test_a_paid_session_is_money() -> None:
    payload = event()
    found = read(payload, signed(payload), SECRETS)
    assert isinstance(found, ProviderReport)
    assert found.account == ACCOUNT
    assert isinstance(found.command, ReportPayment)
    assert (found.command.payment_id, found.command.provider, found.report_id) == ("payment-1", "stripe", "evt_1")
    answer = found.command.answer
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
    ids=[
        "none",
        "empty",
        "words",
        "nothing in it",
        "no number",
        "far too late",
        "no time",
        "no signature",
        "another secret",
        "too old",
        "another body",
        "not ASCII",
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


INTENT = {
    "object": "payment_intent",
    "id": "pi_1",
    "amount_received": 2697,
    "latest_charge": "ch_1",
    "payment_method": "pm_1",
    "metadata": {"payment_id": "payment-1", "account": ACCOUNT, "kind": "charge"},
}


def test_a_charge_of_a_saved_method_is_told_by_its_own_name() -> None:
    answer = report(event("payment_intent.succeeded", **INTENT, status="succeeded")).answer
    assert (answer.status, answer.reference) == (AnswerStatus.SUCCEEDED, "pi_1")
    assert answer.amount == Money(amount=2697, currency="USD")
    assert (answer.customer_reference, answer.method_reference) == ("cus_1", "pm_1")
    assert answer.paid_at is not None

    error = {"type": "card_error", "code": "expired_card", "decline_code": "expired_card"}
    declined = {**INTENT, "status": "requires_payment_method", "last_payment_error": error}
    answer = report(event("payment_intent.payment_failed", **declined)).answer
    assert (answer.status, answer.reference) == (AnswerStatus.DECLINED, "pi_1")
    assert (answer.decline_reason, answer.hard) == ("expired_card", True)


def test_a_bank_that_asks_for_the_customer_ends_no_charge() -> None:
    error = {"type": "card_error", "code": "authentication_required", "decline_code": "authentication_required"}
    asked = {**INTENT, "status": "requires_payment_method", "last_payment_error": error}
    assert report(event("payment_intent.payment_failed", **asked)) is None


def test_a_pages_intent_tells_of_no_money() -> None:
    metadata = {"payment_id": "payment-1", "account": ACCOUNT}
    paid = {**INTENT, "status": "succeeded", "metadata": metadata}
    assert report(event("payment_intent.succeeded", **paid)) is None


@pytest.mark.parametrize("type_", ["refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"status": "succeeded"}, RefundAnswerStatus.SUCCEEDED, None),
        ({"status": "pending"}, RefundAnswerStatus.PENDING, None),
        ({"status": "requires_action"}, RefundAnswerStatus.PENDING, None),
        ({"status": "failed", "failure_reason": "declined"}, RefundAnswerStatus.FAILED, "declined"),
        ({"status": "canceled"}, RefundAnswerStatus.FAILED, "canceled"),
    ],
)
def test_a_refund_is_answered(
    type_: str, changes: dict[str, Any], status: RefundAnswerStatus, detail: str | None
) -> None:
    metadata = {"refund_id": "refund-1", "payment_id": "payment-1", "account": ACCOUNT}
    payload = event(type_, object="refund", id="re_1", metadata=metadata, **changes)
    found = read(payload, signed(payload), SECRETS)
    assert isinstance(found, ProviderReport)
    assert (found.account, found.report_id) == (ACCOUNT, "evt_1")
    assert found.command == AnswerRefund(
        refund_id=RefundId("refund-1"),
        effect_id=None,
        attempt=0,
        answer=RefundAnswer(status=status, reference="re_1", detail=detail),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "new"},
        {"status": []},
        {"metadata": {"account": ACCOUNT}},
        {"metadata": {"refund_id": 7, "account": ACCOUNT}},
        {"metadata": {"refund_id": "refund-1"}},
        {"id": None},
    ],
)
def test_a_refund_that_is_not_ours_or_not_readable_says_nothing(changes: dict[str, Any]) -> None:
    fields = {"object": "refund", "id": "re_1", "status": "failed", "metadata": {"refund_id": "r", "account": ACCOUNT}}
    assert report(event("refund.updated", **{**fields, **changes})) is None


def commands(sandbox: SandboxUnderTest, receiver: Receiver) -> list[Any]:
    """What the webhooks that arrived so far say."""
    found = [read(item.payload, item.signature, (sandbox.settings.webhook_secret,)) for item in receiver.delivered]
    return [webhook.command for webhook in found if isinstance(webhook, ProviderReport)]


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
    wait_for(lambda: len(commands(sandbox, receiver)) == 3, what="3 reports")

    told = {command.payment_id: command.answer for command in commands(sandbox, receiver)}
    assert told[paid.payment_id].status is AnswerStatus.SUCCEEDED
    assert told[paid.payment_id].amount == paid.amount
    assert told[declined.payment_id].decline_reason == "insufficient_funds"
    assert told[left.payment_id].status is AnswerStatus.CLOSED


async def test_the_sandboxs_webhooks_tell_of_charges_and_refunds(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    provider = provider_of(sandbox)
    page = checkout(sandbox.clock.now())
    opened = await provider.create_checkout(page, account=ACCOUNT)
    sandbox.pay(str(opened.confirmation_url))
    paid = await provider.fetch(fetch(page.payment_id, opened.reference), account=ACCOUNT)
    saved = str(paid.customer_reference), str(paid.method_reference)
    collected, declined, asked = (charge(sandbox.clock.now(), *saved) for _ in range(3))
    renewed = await provider.charge(collected, account=ACCOUNT)
    sandbox.control("POST", f"payment_methods/{saved[1]}", {"decline": "lost_card"})
    await provider.charge(declined, account=ACCOUNT)
    sandbox.control("POST", f"payment_methods/{saved[1]}", {"authentication": "always"})
    waiting = await provider.charge(asked, account=ACCOUNT)
    sandbox.act(str(waiting.confirmation_url), "authenticate")
    sandbox.fault("refund_failed", count=1)
    back = refund(sandbox.clock.now(), collected.payment_id, str(renewed.reference))
    await provider.refund(back, account=ACCOUNT)
    sandbox.clock.advance(seconds=11)
    await provider.close()
    wait_for(lambda: len(commands(sandbox, receiver)) == 6, what="the page, 3 charges, a refund told twice")

    found = commands(sandbox, receiver)
    told = {command.payment_id: command.answer for command in found if isinstance(command, ReportPayment)}
    assert (told[collected.payment_id].status, told[collected.payment_id].amount) == (
        AnswerStatus.SUCCEEDED,
        collected.amount,
    )
    assert (told[declined.payment_id].decline_reason, told[declined.payment_id].hard) == ("lost_card", True)
    assert told[asked.payment_id].status is AnswerStatus.SUCCEEDED
    assert told[asked.payment_id].reference == waiting.reference
    refunds = [command for command in found if isinstance(command, AnswerRefund)]
    assert {(command.refund_id, command.answer.status) for command in refunds} == {
        (back.refund_id, RefundAnswerStatus.FAILED)
    }
