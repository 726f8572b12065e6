"""What Stripe told and is asked for again: the same commands as its webhooks became, and what it does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.stripe.webhooks import DisputeWebhook, read, report_of
from tests.contracts.money_suite import paid_page
from tests.contracts.report_suite import bounced, told
from tests.contracts.sandbox_kit import wait_for
from tests.contracts.stripe_kit import StripeWorld

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams

    from tests.contracts.sandbox_kit import Delivered, Receiver, SandboxUnderTest

SWEPT = ("charge.dispute.", "refund.failed")


async def disputed(world: StripeWorld) -> str:
    """A dispute of a new payment."""
    _, paid = await paid_page(world)
    return world.bank_disputes(str(paid.reference))


async def test_the_sweep_tells_what_the_webhooks_told(sandbox: SandboxUnderTest, receiver: Receiver) -> None:
    world = StripeWorld(sandbox)
    world.bank_decides(await disputed(world), won=True)
    await bounced(world)
    swept = {report.report_id: report.command for report in await told(world)}
    await world.provider.close()
    wait_for(lambda: len(_delivered(receiver)) == len(swept), what="all webhooks")
    secrets = (sandbox.settings.webhook_secret,)
    for item in _delivered(receiver):
        brought = read(item.payload, item.signature, secrets)
        assert brought is not None
        command = swept.pop(brought.report_id)
        if isinstance(brought, DisputeWebhook):
            assert getattr(command, "dispute", None) == brought.dispute
        else:
            assert command == brought.command
    assert swept == {}


def _delivered(receiver: Receiver) -> list[Delivered]:
    return [item for item in list(receiver.delivered) if item.event["type"].startswith(SWEPT)]


async def test_a_payment_whose_owner_is_not_told_holds_nothing_back(sandbox: SandboxUnderTest) -> None:
    world = StripeWorld(sandbox)
    await disputed(world)
    refund_id, _ = await bounced(world)
    sandbox.fault("refuse", method="GET", path="/v1/payment_intents", count=1)
    page = await world.provider.reports(None)
    assert page.trouble == "Stripe did not say whose 1 disputed payment(s) are"
    assert [getattr(report.command, "refund_id", None) for report in page.reports] == [refund_id]
    assert len(await told(world)) == 3
    await world.provider.close()


async def test_what_others_sell_at_the_same_stripe_is_not_ours(sandbox: SandboxUnderTest) -> None:
    world = StripeWorld(sandbox)
    card: PaymentIntentCreateParams = {
        "amount": 100,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "confirm": True,
    }
    strange = sandbox.client.v1.payment_intents.create(card)
    sandbox.control("POST", "disputes", {"payment_intent": strange.id})
    assert await told(world) == []
    await world.provider.close()


def test_an_event_that_is_garbage_is_none_of_ours() -> None:
    for garbage in (
        {},
        {"type": "refund.failed"},
        {"type": "charge.dispute.created", "data": {"object": {"id": "du"}}},
    ):
        assert report_of(garbage) is None
