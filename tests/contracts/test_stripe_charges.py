"""What is Stripe's own about charges of saved methods and refunds, beside what every provider promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import stripe

from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.money import Money
from infra.stripe.declines import HARD_DECLINES
from tests.contracts.effects_kit import ACCOUNT, charge, refund
from tests.contracts.money_suite import PRICE, charged, paid_page, refunded, saved
from tests.contracts.stripe_kit import RETURN_URL, StripeWorld, provider_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.contracts.sandbox_kit import SandboxUnderTest


@pytest.fixture
async def world(sandbox: SandboxUnderTest) -> AsyncIterator[StripeWorld]:
    """A sandbox of one's own."""
    found = StripeWorld(sandbox)
    yield found
    await found.provider.close()


async def test_a_charge_says_whose_it_is(world: StripeWorld) -> None:
    effect = charge(world.now(), *await saved(world))
    answer = await charged(world, effect)
    intent = world.sandbox.client.v1.payment_intents.retrieve(str(answer.reference))
    assert intent.metadata.to_dict() == {
        "payment_id": effect.payment_id,
        "order_id": effect.order_id,
        "account": ACCOUNT,
        "kind": "charge",
    }
    assert intent.description == "A month"
    back = refund(world.now(), effect.payment_id, str(answer.reference))
    await refunded(world, back)
    (entry,) = [entry for entry in world.sandbox.books() if entry["object"] == "refund"]
    assert entry["metadata"] == {
        "refund_id": back.refund_id,
        "payment_id": effect.payment_id,
        "account": ACCOUNT,
    }


@pytest.mark.parametrize("step", ["/v1/payment_intents", "/v1/payment_intents/"])
@pytest.mark.parametrize("kind", ["refuse", "error", "error_after", "reset", "reset_after"])
async def test_trouble_on_the_way_to_the_owner(world: StripeWorld, kind: str, step: str) -> None:
    customer, method = await saved(world)
    world.spoil(method, authenticates=True)
    effect = charge(world.now(), customer, method)
    world.sandbox.fault(kind, count=1, path=step)
    first = await charged(world, effect)
    assert first.status in {AnswerStatus.UNKNOWN, AnswerStatus.ACTION_REQUIRED}
    asked = await charged(world, effect)
    assert asked.status is AnswerStatus.ACTION_REQUIRED
    world.pay(asked)
    assert (await charged(world, effect)).status is AnswerStatus.SUCCEEDED
    assert world.charges(effect.payment_id) == [PRICE]
    assert len(world.sandbox.client.v1.payment_intents.list({"customer": customer}).data) == 2


@pytest.mark.parametrize("kind", ["error", "error_after", "timeout", "timeout_before"])
async def test_trouble_with_a_charge(world: StripeWorld, kind: str) -> None:
    effect = charge(world.now(), *await saved(world))
    hasty = provider_of(world.sandbox, deadline_s=2.0)
    world.sandbox.fault(kind, count=1)
    assert (await hasty.charge(effect, account=ACCOUNT)).status is AnswerStatus.UNKNOWN
    await hasty.close()
    assert (await charged(world, effect)).status is AnswerStatus.SUCCEEDED
    assert world.charges(effect.payment_id) == [PRICE]


@pytest.mark.parametrize("kind", ["error", "error_after", "timeout", "timeout_before"])
async def test_trouble_with_a_refund(world: StripeWorld, kind: str) -> None:
    payment_id, paid = await paid_page(world)
    effect = refund(world.now(), payment_id, str(paid.reference))
    hasty = provider_of(world.sandbox, deadline_s=2.0)
    world.sandbox.fault(kind, count=1)
    assert (await hasty.refund(effect, account=ACCOUNT)).status is RefundAnswerStatus.UNKNOWN
    await hasty.close()
    assert (await refunded(world, effect)).status is RefundAnswerStatus.SUCCEEDED
    assert world.returned(payment_id) == 999


@pytest.mark.parametrize("status", [401, 403, 409, 429, 500, 503])
async def test_statuses_that_say_nothing(world: StripeWorld, status: int) -> None:
    effect = charge(world.now(), *await saved(world))
    back = refund(world.now(), effect.payment_id, "pi_1")
    named = refund(world.now(), effect.payment_id, "pi_1", reference="re_1")
    world.sandbox.fault("refuse", status=status, method="*")
    assert (await charged(world, effect)).status is AnswerStatus.UNKNOWN
    for question in (back, named):
        assert (await refunded(world, question)).status is RefundAnswerStatus.UNKNOWN


@pytest.mark.parametrize("reason", ["expired_card", "lost_card", "stolen_card", "processing_error", "do_not_honor"])
async def test_reasons_of_declines(world: StripeWorld, reason: str) -> None:
    customer, method = await saved(world)
    world.spoil(method, declines=reason)
    answer = await charged(world, charge(world.now(), customer, method))
    assert (answer.status, answer.decline_reason) == (AnswerStatus.DECLINED, reason)
    assert answer.hard == (reason in HARD_DECLINES)
    assert answer.reference is not None


async def test_a_detached_card_is_a_decline_that_no_retry_helps(world: StripeWorld) -> None:
    customer, method = await saved(world)
    world.sandbox.client.v1.payment_methods.detach(method)
    answer = await charged(world, charge(world.now(), customer, method))
    assert (answer.status, answer.hard) == (AnswerStatus.DECLINED, True)
    assert answer.decline_reason == "payment_method_unexpected_state"


async def test_changed_parameters_of_an_old_call_charge_no_second_time(world: StripeWorld) -> None:
    effect = charge(world.now(), *await saved(world))
    first = await charged(world, effect)
    changed = charge(
        effect.created_at,
        effect.customer_reference,
        effect.method_reference,
        effect_id=effect.effect_id,
        payment_id=effect.payment_id,
        description="Another name",
    )
    assert (await charged(world, changed)).reference == first.reference
    assert world.charges(effect.payment_id) == [PRICE]


async def test_an_old_charge_is_found_among_many(world: StripeWorld) -> None:
    customer, method = await saved(world)
    effect = charge(world.now(), customer, method)
    first = await charged(world, effect)
    world.advance(days=2)
    for _ in range(105):
        world.sandbox.client.v1.payment_intents.create(
            {"amount": 999, "currency": "usd", "customer": customer, "metadata": {"payment_id": effect.payment_id}}
        )
    assert (await charged(world, effect)).reference == first.reference
    assert world.charges(effect.payment_id) == [PRICE]


@pytest.mark.parametrize(("amount", "currency"), [(1001, "KWD"), (100, "XXX")])
async def test_what_stripe_cannot_carry_is_refused(world: StripeWorld, amount: int, currency: str) -> None:
    customer, method = await saved(world)
    money = Money(amount=amount, currency=currency)
    answer = await charged(world, charge(world.now(), customer, method, amount=money))
    assert answer.status is AnswerStatus.REFUSED
    back = await refunded(world, refund(world.now(), "payment-1", "pi_1", amount=money))
    assert back.status is RefundAnswerStatus.FAILED
    assert back.detail


async def test_money_in_other_currencies_goes_and_comes(world: StripeWorld) -> None:
    customer, method = await saved(world)
    for amount, currency, at_stripe in ((500, "JPY", 500), (500, "ISK", 50_000), (1230, "KWD", 1230)):
        money = Money(amount=amount, currency=currency)
        effect = charge(world.now(), customer, method, amount=money)
        answer = await charged(world, effect)
        assert answer.amount == money
        assert [taken.amount for taken in world.charges(effect.payment_id)] == [at_stripe]
        back = refund(world.now(), effect.payment_id, str(answer.reference), amount=money)
        assert (await refunded(world, back)).status is RefundAnswerStatus.SUCCEEDED
        assert world.returned(effect.payment_id) == at_stripe


async def test_the_owner_comes_back_to_the_shop(world: StripeWorld) -> None:
    customer, method = await saved(world)
    world.spoil(method, authenticates=True)
    asked = await charged(world, charge(world.now(), customer, method))
    answer = world.sandbox.act(str(asked.confirmation_url), "authenticate")
    assert answer.headers["location"].startswith(f"{RETURN_URL}?payment_intent={asked.reference}")


async def test_a_bank_that_is_content_after_all_is_paid(world: StripeWorld) -> None:
    """The owner's step is asked for, and the second confirmation goes through without it: frictionless."""
    customer, method = await saved(world)
    world.spoil(method, authenticates=True)
    effect = charge(world.now(), customer, method)
    world.sandbox.fault("reset", count=1, path="/v1/payment_intents/")
    assert (await charged(world, effect)).status is AnswerStatus.UNKNOWN
    world.spoil(method)
    answer = await charged(world, effect)
    assert (answer.status, answer.amount) == (AnswerStatus.SUCCEEDED, effect.amount)
    assert world.charges(effect.payment_id) == [PRICE]


async def test_a_refund_of_a_disputed_charge_fails(world: StripeWorld) -> None:
    payment_id, paid = await paid_page(world)
    world.sandbox.control("POST", "disputes", {"checkout_session": paid.reference})
    answer = await refunded(world, refund(world.now(), payment_id, str(paid.reference)))
    assert answer.status is RefundAnswerStatus.FAILED
    assert "charged back" in str(answer.detail)
    assert world.returned(payment_id) == 0


async def test_the_books_of_stripe_say_what_we_say(world: StripeWorld) -> None:
    payment_id, paid = await paid_page(world)
    half = refund(world.now(), payment_id, str(paid.reference), amount=Money(amount=500, currency="USD"))
    answer = await refunded(world, half)
    found = world.sandbox.client.v1.refunds.retrieve(str(answer.reference))
    assert (found.amount, found.currency, found.status) == (500, "usd", "succeeded")
    intent = world.sandbox.client.v1.payment_intents.retrieve(str(found.payment_intent), {"expand": ["latest_charge"]})
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.amount_refunded == 500
