"""Stripe's disputes: what each status means to us, whose they are, and those of the sandbox to their end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from domain.disputes.commands import DisputeReport, ReportDispute
from domain.disputes.state import DisputeStatus
from domain.money import Money
from infra.stripe.disputes import Owner, Owners, OwnerUnknownError
from infra.stripe.webhooks import DisputeWebhook, read
from tests.contracts.effects_kit import ACCOUNT, charge, checkout, fetch
from tests.contracts.sandbox_kit import free_port, wait_for
from tests.contracts.stripe_kit import provider_of
from tests.contracts.test_stripe_webhooks import event, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contracts.sandbox_kit import Receiver, SandboxUnderTest

NEEDS, REVIEW = DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW
DISPUTE: dict[str, Any] = {
    "object": "dispute",
    "id": "du_1",
    "status": "needs_response",
    "amount": 2697,
    "currency": "usd",
    "reason": "fraudulent",
    "created": 1_799_999_000,
    "payment_intent": "pi_1",
    "evidence_details": {"due_by": 1_800_604_800},
    "metadata": {},
}


def disputed(type_: str = "charge.dispute.created", **changes: Any) -> bytes:
    return event(type_, **{**DISPUTE, **changes})


def test_a_dispute_says_all_that_matters() -> None:
    assert report(disputed()) == DisputeWebhook(
        intent="pi_1",
        report_id="evt_1",
        dispute=DisputeReport(
            reference="du_1",
            status=NEEDS,
            is_inquiry=False,
            amount=Money(amount=2697, currency="USD"),
            reason="fraudulent",
            evidence_due_at=datetime.fromtimestamp(1_800_604_800, UTC),
            opened_at=datetime.fromtimestamp(1_799_999_000, UTC),
            told_at=datetime.fromtimestamp(1_800_000_000, UTC),
        ),
    )


@pytest.mark.parametrize(
    ("said", "status", "is_inquiry"),
    [
        ("warning_needs_response", NEEDS, True),
        ("warning_under_review", REVIEW, True),
        ("warning_closed", DisputeStatus.CLOSED, True),
        ("needs_response", NEEDS, False),
        ("under_review", REVIEW, False),
        ("won", DisputeStatus.WON, False),
        ("lost", DisputeStatus.LOST, False),
        ("prevented", DisputeStatus.CLOSED, False),
    ],
)
@pytest.mark.parametrize("type_", ["created", "updated", "closed", "funds_withdrawn", "funds_reinstated"])
def test_every_status_of_stripes(type_: str, said: str, status: DisputeStatus, *, is_inquiry: bool) -> None:
    found = report(disputed(f"charge.dispute.{type_}", status=said)).dispute
    assert (found.status, found.is_inquiry) == (status, is_inquiry)


@pytest.mark.parametrize("due", [None, {}, {"due_by": None}, {"due_by": "soon"}, {"due_by": 10**30}])
def test_there_may_be_nothing_to_be_done(due: Any) -> None:
    assert report(disputed(evidence_details=due)).dispute.evidence_due_at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"status": "new"},
        {"status": []},
        {"amount": "2697"},
        {"amount": None},
        {"currency": "nonsense"},
        {"created": None},
        {"created": 10**30},
        {"payment_intent": None},
        {"payment_intent": ""},
        {"payment_intent": "ch_1"},
        {"payment_intent": {"id": "pi_1"}},
        {"payment_intent": "pi_" + "1" * 300},
    ],
)
def test_what_cannot_be_read_says_nothing(changes: dict[str, Any]) -> None:
    assert report(disputed(**changes)) is None


@pytest.fixture
async def owners(sandbox: SandboxUnderTest) -> AsyncIterator[Owners]:
    found = Owners(sandbox.settings.secret_key, api_base=sandbox.settings.base_url)
    yield found
    await found.close()


async def test_whose_a_payment_is(sandbox: SandboxUnderTest, owners: Owners) -> None:
    provider = provider_of(sandbox)
    page = checkout(sandbox.clock.now())
    opened = await provider.create_checkout(page, account=ACCOUNT)
    sandbox.pay(str(opened.confirmation_url))
    paid = await provider.fetch(fetch(page.payment_id, opened.reference), account=ACCOUNT)
    renewal = charge(sandbox.clock.now(), str(paid.customer_reference), str(paid.method_reference))
    await provider.charge(renewal, account=ACCOUNT)
    await provider.close()
    intents = [entry["payment_intent"] for entry in sandbox.charges()]
    found = [await owners.find(intent) for intent in intents]
    assert found == [
        Owner(account=ACCOUNT, payment_id=page.payment_id),  # type: ignore[arg-type]  # an account is a text
        Owner(account=ACCOUNT, payment_id=renewal.payment_id),  # type: ignore[arg-type]
    ]
    strange = sandbox.client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
    assert await owners.find(strange.id) is None
    assert await owners.find("pi_nobodys") is None


async def test_what_stripe_does_not_say_is_not_known(sandbox: SandboxUnderTest, owners: Owners) -> None:
    sandbox.fault("refuse", method="*", count=1)
    with pytest.raises(OwnerUnknownError):
        await owners.find("pi_1")
    for stranger in (
        Owners(sandbox.settings.secret_key, api_base=f"http://127.0.0.1:{free_port()}"),
        Owners("sk_test_of_another", api_base=sandbox.settings.base_url),
    ):
        with pytest.raises(OwnerUnknownError):
            await stranger.find("pi_1")
        await stranger.close()


def disputes(sandbox: SandboxUnderTest, receiver: Receiver) -> list[DisputeWebhook]:
    """What the webhooks that arrived so far say of disputes."""
    found = [read(item.payload, item.signature, (sandbox.settings.webhook_secret,)) for item in receiver.delivered]
    return [webhook for webhook in found if isinstance(webhook, DisputeWebhook)]


@pytest.mark.parametrize("outcome", ["won", "lost"])
async def test_the_sandboxs_disputes_are_read(
    outcome: str, sandbox: SandboxUnderTest, receiver: Receiver, owners: Owners
) -> None:
    provider = provider_of(sandbox)
    page = checkout(sandbox.clock.now())
    opened = await provider.create_checkout(page, account=ACCOUNT)
    await provider.close()
    sandbox.pay(str(opened.confirmation_url))
    dispute = sandbox.control("POST", "disputes", {"checkout_session": opened.reference})
    sandbox.client.v1.disputes.update(dispute["id"], {"evidence": {"customer_name": "Ann"}})
    sandbox.control("POST", f"disputes/{dispute['id']}", {"outcome": outcome})
    count = 5 if outcome == "won" else 4
    wait_for(lambda: len(disputes(sandbox, receiver)) == count, what="the whole story")
    told = disputes(sandbox, receiver)
    assert {webhook.dispute.status for webhook in told} == {NEEDS, REVIEW, DisputeStatus(outcome)}
    assert {webhook.dispute.amount for webhook in told} == {page.amount}
    assert {webhook.dispute.reference for webhook in told} == {dispute["id"]}
    owner = await owners.find(told[0].intent)
    assert owner is not None
    found = told[0].report_for(owner)
    assert found.account == ACCOUNT
    assert isinstance(found.command, ReportDispute)
    assert (found.command.payment_id, found.command.provider) == (page.payment_id, "stripe")


async def test_an_inquiry_of_the_sandbox(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    provider = provider_of(sandbox)
    opened = await provider.create_checkout(checkout(sandbox.clock.now()), account=ACCOUNT)
    await provider.close()
    sandbox.pay(str(opened.confirmation_url), "4000000000001976")
    wait_for(lambda: len(disputes(sandbox, receiver)) == 1, what="an inquiry")
    (asked,) = disputes(sandbox, receiver)
    assert (asked.dispute.status, asked.dispute.is_inquiry) == (NEEDS, True)
    sandbox.control("POST", f"disputes/{asked.dispute.reference}", {"outcome": "lost"})
    wait_for(lambda: len(disputes(sandbox, receiver)) == 2, what="its end")
    assert disputes(sandbox, receiver)[1].dispute.status is DisputeStatus.CLOSED
