"""The Stripe adapter against the sandbox: every status of the port, and every way not to know."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from domain.effects import AnswerStatus
from domain.money import Money
from tests.contracts.effects_kit import ACCOUNT, checkout, closing, fetch
from tests.contracts.stripe_kit import RETURN_URL, provider_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from domain.effects import CreateCheckout
    from infra.stripe.adapter import StripeProvider
    from tests.contracts.sandbox_kit import SandboxUnderTest


@pytest.fixture
async def provider(sandbox: SandboxUnderTest) -> AsyncIterator[StripeProvider]:
    found = provider_of(sandbox)
    yield found
    await found.close()


async def opened(provider: StripeProvider, effect: CreateCheckout) -> tuple[str, str]:
    """Reference and address of the page."""
    answer = await provider.create_checkout(effect, account=ACCOUNT)
    assert answer.status is AnswerStatus.ACTION_REQUIRED, answer
    assert answer.reference is not None
    assert answer.confirmation_url is not None
    return answer.reference, answer.confirmation_url


async def test_paid(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    reference, url = await opened(provider, effect)
    sandbox.pay(url)

    answer = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)

    assert answer.status is AnswerStatus.SUCCEEDED
    assert answer.amount == Money(amount=999, currency="USD")
    assert answer.reference == reference
    assert answer.paid_at is not None
    assert abs(answer.paid_at - sandbox.clock.now()) < timedelta(minutes=1)
    assert answer.method_label == "visa •••• 4242"
    assert answer.provider_request_id is not None
    assert answer.method_reference is not None
    assert answer.customer_reference is not None
    (charge,) = sandbox.charges()
    assert charge["checkout_session"] == reference
    assert charge["metadata"] == {
        "payment_id": effect.payment_id,
        "order_id": effect.order_id,
        "account": ACCOUNT,
    }


async def test_a_method_is_saved_only_if_wanted(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now(), save_method=False, return_url="https://shop.example/other")
    reference, url = await opened(provider, effect)
    assert sandbox.pay(url).headers["location"] == "https://shop.example/other"
    answer = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert (answer.status, answer.customer_reference) == (AnswerStatus.SUCCEEDED, None)


async def test_the_same_effect_opens_the_same_page(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    pages = await asyncio.gather(*[provider.create_checkout(effect, account=ACCOUNT) for _ in range(10)])
    known = {page.reference for page in pages if page.status is AnswerStatus.ACTION_REQUIRED}
    others = {page.status for page in pages} - {AnswerStatus.ACTION_REQUIRED}
    assert len(known) == 1
    assert others <= {AnswerStatus.UNKNOWN}
    assert await opened(provider, effect) == await opened(provider, effect)
    assert len(sandbox.client.v1.checkout.sessions.list().data) == 1


@pytest.mark.parametrize(
    ("card", "reason", "hard"),
    [
        ("4000000000000002", "generic_decline", False),
        ("4000000000009995", "insufficient_funds", False),
        ("4000000000009987", "lost_card", True),
        ("4000000000000069", "expired_card", True),
    ],
)
async def test_declined(
    sandbox: SandboxUnderTest, provider: StripeProvider, card: str, reason: str, *, hard: bool
) -> None:
    effect = checkout(sandbox.clock.now())
    reference, url = await opened(provider, effect)
    sandbox.pay(url, card)
    answer = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert (answer.status, answer.decline_reason, answer.hard) == (AnswerStatus.DECLINED, reason, hard)
    closed = await provider.close_checkout(closing(effect.payment_id, reference), account=ACCOUNT)
    assert closed.status is AnswerStatus.CLOSED
    assert "expired" in sandbox.pay(url).text


async def test_three_d_secure(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    reference, url = await opened(provider, effect)
    challenge = sandbox.pay(url, "4000002760003184").headers["location"]
    waiting = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert (waiting.status, waiting.confirmation_url) == (AnswerStatus.ACTION_REQUIRED, url)
    assert sandbox.act(challenge, "authenticate").headers["location"] == RETURN_URL
    paid = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert paid.status is AnswerStatus.SUCCEEDED


async def test_abandoned(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    reference, url = await opened(provider, effect)
    sandbox.act(url, "abandon")
    answer = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert answer.status is AnswerStatus.CLOSED


async def test_closing_what_was_paid_tells_of_the_money(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    reference, url = await opened(provider, effect)
    sandbox.pay(url)
    answer = await provider.close_checkout(closing(effect.payment_id, reference), account=ACCOUNT)
    assert (answer.status, answer.amount) == (AnswerStatus.SUCCEEDED, Money(amount=999, currency="USD"))


async def test_closing_twice_and_closing_what_nobody_knows(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    effect = checkout(sandbox.clock.now())
    reference, _ = await opened(provider, effect)
    for name in (reference, reference, "cs_test_nobody", None):
        answer = await provider.close_checkout(closing(effect.payment_id, name), account=ACCOUNT)
        assert answer.status is AnswerStatus.CLOSED
    for name in ("cs_test_nobody", None):
        answer = await provider.fetch(fetch("nobody", name), account=ACCOUNT)
        assert answer.status is AnswerStatus.CLOSED


async def test_a_payment_is_found_without_its_reference(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    open_, paid = checkout(sandbox.clock.now()), checkout(sandbox.clock.now())
    reference, _ = await opened(provider, open_)
    _, url = await opened(provider, paid)
    sandbox.pay(url)
    found = await provider.fetch(fetch(open_.payment_id, None), account=ACCOUNT)
    assert (found.status, found.reference) == (AnswerStatus.ACTION_REQUIRED, reference)
    found = await provider.fetch(fetch(paid.payment_id, None), account=ACCOUNT)
    assert (found.status, found.method_label) == (AnswerStatus.SUCCEEDED, "visa •••• 4242")
    closed = await provider.close_checkout(closing(open_.payment_id, None), account=ACCOUNT)
    assert (closed.status, closed.reference) == (AnswerStatus.CLOSED, reference)


@pytest.mark.parametrize(
    "kind", ["refuse", "error", "error_after", "timeout", "timeout_before", "reset", "reset_after"]
)
async def test_trouble_is_unknown_and_the_repeat_opens_one_page(sandbox: SandboxUnderTest, kind: str) -> None:
    hasty = provider_of(sandbox, deadline_s=2.0)
    effect = checkout(sandbox.clock.now())
    sandbox.fault(kind, count=1)
    first = await hasty.create_checkout(effect, account=ACCOUNT)
    await hasty.close()
    assert first.status is AnswerStatus.UNKNOWN
    assert first.reference is None

    provider = provider_of(sandbox)
    _, url = await opened(provider, effect)

    sandbox.pay(url)
    assert len(sandbox.charges()) == 1
    assert len(sandbox.client.v1.checkout.sessions.list().data) == 1
    await provider.close()


@pytest.mark.parametrize("status", [429, 409, 500, 502, 503])
async def test_statuses_that_say_nothing(sandbox: SandboxUnderTest, provider: StripeProvider, status: int) -> None:
    sandbox.fault("refuse", status=status, method="*")
    effect = checkout(sandbox.clock.now())
    for answer in (
        await provider.create_checkout(effect, account=ACCOUNT),
        await provider.fetch(fetch(effect.payment_id, "cs_test_1"), account=ACCOUNT),
        await provider.close_checkout(closing(effect.payment_id, "cs_test_1"), account=ACCOUNT),
    ):
        assert answer.status is AnswerStatus.UNKNOWN


async def test_an_unreachable_provider_is_unknown(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    sandbox.stop()
    answer = await provider.create_checkout(checkout(sandbox.clock.now()), account=ACCOUNT)
    assert answer.status is AnswerStatus.UNKNOWN


async def test_our_own_wrong_key_refuses_no_payment(sandbox: SandboxUnderTest, provider: StripeProvider) -> None:
    del provider
    sandbox.settings = type(sandbox.settings)(
        data_dir=sandbox.settings.data_dir, port=sandbox.settings.port, secret_key="sk_test_wrong"
    )
    mistaken = provider_of(sandbox)
    answer = await mistaken.create_checkout(checkout(sandbox.clock.now()), account=ACCOUNT)
    await mistaken.close()
    assert answer.status is AnswerStatus.UNKNOWN


@pytest.mark.parametrize(
    ("amount", "currency"), [(10, "USD"), (1001, "KWD"), (10**12, "ISK"), (1234, "MGA"), (100, "XXX")]
)
async def test_what_stripe_would_not_take_is_refused(
    sandbox: SandboxUnderTest, provider: StripeProvider, amount: int, currency: str
) -> None:
    effect = checkout(sandbox.clock.now(), amount=Money(amount=amount, currency=currency))
    answer = await provider.create_checkout(effect, account=ACCOUNT)
    assert answer.status is AnswerStatus.REFUSED
    assert answer.detail
    assert sandbox.client.v1.checkout.sessions.list().data == []


@pytest.mark.parametrize(
    ("amount", "currency", "at_stripe"),
    [(500, "JPY", 500), (500, "ISK", 50000), (500, "UGX", 50000), (50000, "MGA", 500), (1230, "KWD", 1230)],
)
async def test_amounts_are_ours_inside_and_stripes_outside(
    sandbox: SandboxUnderTest, provider: StripeProvider, amount: int, currency: str, at_stripe: int
) -> None:
    effect = checkout(sandbox.clock.now(), amount=Money(amount=amount, currency=currency))
    reference, url = await opened(provider, effect)
    sandbox.pay(url)
    assert [charge["amount"] for charge in sandbox.charges()] == [at_stripe]
    answer = await provider.fetch(fetch(effect.payment_id, reference), account=ACCOUNT)
    assert answer.amount == Money(amount=amount, currency=currency)


async def test_after_a_day_it_looks_before_it_opens_another_page(
    sandbox: SandboxUnderTest, provider: StripeProvider
) -> None:
    effect = checkout(sandbox.clock.now())
    _, url = await opened(provider, effect)
    sandbox.pay(url)
    sandbox.clock.advance(hours=30)

    repeated = await provider.create_checkout(effect, account=ACCOUNT)
    never_opened = await provider.create_checkout(checkout(sandbox.clock.now() - timedelta(hours=30)), account=ACCOUNT)

    assert repeated.status is AnswerStatus.SUCCEEDED
    assert never_opened.status is AnswerStatus.REFUSED
    assert len(sandbox.client.v1.checkout.sessions.list().data) == 1


async def test_changed_parameters_of_an_old_call_open_no_second_page(
    sandbox: SandboxUnderTest, provider: StripeProvider
) -> None:
    effect = checkout(sandbox.clock.now())
    reference, _ = await opened(provider, effect)
    changed = checkout(
        effect.created_at, effect_id=effect.effect_id, payment_id=effect.payment_id, description="Another name"
    )
    assert (await opened(provider, changed))[0] == reference


async def test_every_life_of_a_page_is_one_that_stripe_allows(
    sandbox: SandboxUnderTest, provider: StripeProvider
) -> None:
    for life in (timedelta(minutes=1), timedelta(hours=23), timedelta(days=30)):
        now = sandbox.clock.now()
        await opened(provider, checkout(now, expires_at=now + life))
