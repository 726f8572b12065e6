"""stripe-mock, made by Stripe, takes every request that the adapter sends, and refuses what Stripe would refuse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from domain.effects import AnswerStatus
from domain.money import Money
from infra.stripe.adapter import StripeOptions, StripeProvider
from infra.stripe.http import BoundedHttpClient
from infra.stripe.names import API_VERSION
from tests.contracts.effects_kit import ACCOUNT, charge, checkout, closing, fetch, refund
from tests.contracts.sandbox_kit import MovableClock
from tests.contracts.stripe_kit import RETURN_URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

KEY = "sk_test_123"


class Watched(BoundedHttpClient):
    """The adapter's own client, which also notes what was asked and how it was answered."""

    def __init__(self) -> None:
        super().__init__(timeout_s=10)
        self.calls: list[tuple[str, str, int]] = []

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Sends and notes."""
        body, status, answered = await super().request_async(method, url, headers, post_data)
        self.calls.append((method.upper(), url.partition("?")[0].partition("/v1/")[2], status))
        return body, status, answered


@pytest.fixture
async def watched(stripe_mock: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[StripeProvider, Watched]]:
    client = Watched()
    monkeypatch.setattr("infra.stripe.adapter.BoundedHttpClient", lambda **_: client)
    provider = StripeProvider(KEY, MovableClock(), StripeOptions(return_url=RETURN_URL, api_base=stripe_mock))
    yield provider, client
    await provider.close()


async def test_every_request_of_the_adapter_is_taken(watched: tuple[StripeProvider, Watched]) -> None:
    provider, client = watched
    now = datetime.now(UTC)
    for effect in (
        checkout(now),
        checkout(now, save_method=False, return_url="https://shop.example/other", description=""),
        checkout(now, amount=Money(amount=500, currency="JPY")),
        checkout(now - timedelta(hours=22, minutes=50)),
    ):
        await provider.create_checkout(effect, account=ACCOUNT)
    for reference in ("cs_test_1", "pi_1", None):
        await provider.fetch(fetch("payment-1", reference), account=ACCOUNT)
        await provider.close_checkout(closing("payment-1", reference), account=ACCOUNT)
    for age in (timedelta(0), timedelta(days=2)):
        await provider.charge(charge(now - age, "cus_1", "pm_1"), account=ACCOUNT)
        for paid in ("cs_test_1", "pi_1"):
            await provider.refund(refund(now - age, "payment-1", paid), account=ACCOUNT)
    await provider.refund(refund(now, "payment-1", "pi_1", reference="re_1"), account=ACCOUNT)

    assert {status for _, _, status in client.calls} == {200}
    assert {(method, path) for method, path, _ in client.calls} >= {
        ("POST", "checkout/sessions"),
        ("GET", "checkout/sessions"),
        ("GET", "checkout/sessions/cs_test_1"),
        ("POST", "checkout/sessions/cs_test_1/expire"),
        ("GET", "payment_intents/search"),
        ("POST", "payment_intents"),
        ("GET", "payment_intents"),
        ("GET", "payment_intents/pi_1"),
        ("POST", "payment_intents/pi_1/cancel"),
        ("POST", "refunds"),
        ("GET", "refunds"),
        ("GET", "refunds/re_1"),
    }


async def test_an_opened_page_is_understood(watched: tuple[StripeProvider, Watched]) -> None:
    provider, _ = watched
    answer = await provider.create_checkout(checkout(datetime.now(UTC)), account=ACCOUNT)
    assert answer.status in {AnswerStatus.ACTION_REQUIRED, AnswerStatus.DECLINED}
    assert answer.reference is not None


def test_the_judge_refuses(stripe_mock: str) -> None:
    client = stripe.StripeClient(
        KEY, base_addresses={"api": stripe_mock}, max_network_retries=0, stripe_version="2020-08-27"
    )
    with pytest.raises(stripe.InvalidRequestError, match="doesn't match version"):
        client.v1.customers.list()
    wrong: Any = {"mode": "payment", "success_url": RETURN_URL, "colour": "red"}
    pinned = stripe.StripeClient(
        KEY, base_addresses={"api": stripe_mock}, max_network_retries=0, stripe_version=API_VERSION
    )
    with pytest.raises(stripe.InvalidRequestError):
        pinned.v1.checkout.sessions.create(wrong)
