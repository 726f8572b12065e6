"""The same scenarios at our sandbox and at localstripe, where it has the feature: what a shop sees is the same.

Where they are known to differ (localstripe ignores `Idempotency-Key`, gives back more than was paid, does not tell what
an intent received, has neither pages nor disputes) Stripe's documents decide, and nothing is compared here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stripe

from domain.effects import RefundAnswerStatus
from domain.money import Money
from infra.stripe.adapter import StripeOptions, StripeProvider
from infra.stripe.webhooks import WebhookRejectedError, verify
from tests.contracts.effects_kit import ACCOUNT, refund
from tests.contracts.sandbox_kit import MovableClock, client_of, free_port, receiving, served, wait_for
from tests.contracts.stripe_kit import RETURN_URL
from tests.judges import localstripe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "sk_test_localstripe"
PRICE = Money(amount=1000, currency="USD")


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    """The address of a running localstripe."""
    port = free_port()
    process = localstripe.start(port)
    url = f"http://127.0.0.1:{port}"

    def answers_now() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(url, timeout=1).status_code > 0
        except httpx.TransportError:
            return False

    try:
        wait_for(answers_now, what="localstripe answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of our sandbox."""
    with served(tmp_path_factory.mktemp("sandbox"), secret_key=KEY) as sandbox:
        yield sandbox.settings.base_url


def saved(client: stripe.StripeClient, token: str = "pm_card_visa") -> tuple[str, str]:
    """A customer and a card of theirs."""
    customer = client.v1.customers.create({"email": "alice@example.com", "metadata": {"account": ACCOUNT}})
    method = client.v1.payment_methods.attach(token, {"customer": customer.id})
    return customer.id, method.id


def charged(client: stripe.StripeClient, token: str = "pm_card_visa") -> stripe.PaymentIntent:
    """A charge of a saved card, without the customer."""
    customer, method = saved(client, token)
    return client.v1.payment_intents.create(
        {
            "amount": PRICE.amount,
            "currency": PRICE.currency.lower(),
            "customer": customer,
            "payment_method": method,
            "off_session": True,
            "confirm": True,
            "metadata": {"payment_id": "payment-1"},
        }
    )


def refused(call: Callable[[], object]) -> tuple[str, int | None]:
    """The exception of the SDK that a call ends in, and the status."""
    with pytest.raises(stripe.StripeError) as caught:
        call()
    return type(caught.value).__name__, caught.value.http_status


def a_card_is_saved(client: stripe.StripeClient) -> Any:
    customer, _ = saved(client)
    methods = client.v1.payment_methods.list({"customer": customer, "type": "card"}).data
    account = client.v1.customers.retrieve(customer)
    return [(one.type, one.customer == customer, one.card and one.card.last4) for one in methods], account.metadata


def a_saved_card_is_charged(client: stripe.StripeClient) -> Any:
    intent = client.v1.payment_intents.retrieve(charged(client).id, {"expand": ["latest_charge"]})
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    return (
        (intent.object, intent.status, intent.amount, intent.currency, intent.metadata, intent.last_payment_error),
        (charge.object, charge.status, charge.amount, charge.paid, charge.payment_intent == intent.id),
    )


def a_card_declines_the_charge(client: stripe.StripeClient) -> Any:
    with pytest.raises(stripe.CardError) as caught:
        charged(client, "pm_card_chargeCustomerFail")
    return caught.value.code, caught.value.http_status


def a_card_declines_to_be_saved(client: stripe.StripeClient) -> Any:
    with pytest.raises(stripe.CardError) as caught:
        saved(client, "pm_card_visa_chargeDeclined")
    return caught.value.code, caught.value.http_status


def money_goes_back_in_parts(client: stripe.StripeClient) -> Any:
    intent = charged(client)
    for amount in (600, 400):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": amount, "metadata": {"refund_id": "r"}})
    found = client.v1.refunds.list({"payment_intent": intent.id}).data
    charge = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]}).latest_charge
    assert isinstance(charge, stripe.Charge)
    return (
        sorted((one.object, one.status, one.amount, one.currency, one.payment_intent == intent.id) for one in found),
        (charge.amount_refunded, charge.refunded),
    )


def all_of_it_goes_back(client: stripe.StripeClient) -> Any:
    given = client.v1.refunds.create({"payment_intent": charged(client).id})
    return given.status, given.amount, given.currency


def an_intent_is_cancelled(client: stripe.StripeClient) -> Any:
    waiting = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    cancelled = client.v1.payment_intents.cancel(waiting.id)
    return waiting.status, cancelled.status, cancelled.latest_charge


def what_was_paid_is_not_cancelled(client: stripe.StripeClient) -> Any:
    return refused(lambda: client.v1.payment_intents.cancel(charged(client).id))


def nothing_of_a_failed_charge_goes_back(client: stripe.StripeClient) -> Any:
    intent = client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    return refused(lambda: client.v1.refunds.create({"payment_intent": intent.id}))


def what_nobody_made_is_not_found(client: stripe.StripeClient) -> Any:
    return [
        refused(lambda: client.v1.payment_intents.retrieve("pi_nobody")),
        refused(lambda: client.v1.customers.retrieve("cus_nobody")),
        refused(lambda: client.v1.refunds.retrieve("re_nobody")),
    ]


def amounts_that_are_none(client: stripe.StripeClient) -> Any:
    return [
        refused(partial(client.v1.payment_intents.create, {"amount": amount, "currency": "usd"})) for amount in (0, -5)
    ]


SCENARIOS = (
    a_card_is_saved,
    a_saved_card_is_charged,
    a_card_declines_the_charge,
    a_card_declines_to_be_saved,
    money_goes_back_in_parts,
    all_of_it_goes_back,
    an_intent_is_cancelled,
    what_was_paid_is_not_cancelled,
    nothing_of_a_failed_charge_goes_back,
    what_nobody_made_is_not_found,
    amounts_that_are_none,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_shop_sees_the_same(scenario: Callable[[stripe.StripeClient], Any], ours: str, other: str) -> None:
    assert scenario(client_of(ours, KEY)) == scenario(client_of(other, KEY))


async def test_the_adapter_gives_money_back_there(other: str) -> None:
    provider = StripeProvider(KEY, MovableClock(), StripeOptions(return_url=RETURN_URL, api_base=other))
    client = client_of(other, KEY)
    intent = charged(client)
    effect = refund(datetime.now(UTC), "payment-1", intent.id, amount=Money(amount=300, currency="USD"))
    given = await provider.refund(effect, account=ACCOUNT)
    assert given.status is RefundAnswerStatus.SUCCEEDED
    found = client.v1.refunds.list({"payment_intent": intent.id}).data
    assert [(one.id, one.amount, one.status) for one in found] == [(given.reference, 300, "succeeded")]
    await provider.close()


def test_its_webhooks_are_verified(other: str) -> None:
    with receiving() as receiver:
        told = httpx.post(f"{other}/_config/webhooks/ours", data={"url": receiver.url, "secret": "whsec_other"})
        assert told.status_code == 200
        charged(client_of(other, KEY))
        webhook = wait_for(lambda: receiver.of_type("payment_intent.succeeded"), what="localstripe tells")[0]
    verify(webhook.payload, webhook.signature, ["whsec_other"])
    for changed, secret in ((webhook.payload + b" ", "whsec_other"), (webhook.payload, "whsec_ours")):
        with pytest.raises(WebhookRejectedError):
            verify(changed, webhook.signature, [secret])
