"""What the port `PaymentProvider` promises of saved methods and of money back. Adapters inherit these tests too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import pytest

from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.money import Money
from tests.contracts.effects_kit import ACCOUNT, charge, checkout, closing, fetch, refund
from tests.contracts.provider_suite import World

if TYPE_CHECKING:
    from domain.effects import ChargeMethod, ProviderAnswer, RefundAnswer, RefundPayment

PRICE = Money(amount=999, currency="USD")
SOON_OR_LATE = pytest.mark.parametrize("later", [{"minutes": 1}, {"days": 2}])
"""After a day, providers have forgotten what they were asked by which key."""


class MoneyWorld(World, Protocol):
    """Also the bank, and time. `pay` confirms a charge that waits for its owner."""

    def advance(self, **parts: int) -> None:
        """Let time pass, for the adapter and its provider."""

    def refuse(self, asked: ProviderAnswer) -> None:
        """Let the owner of the method not confirm the charge."""

    def spoil(self, method: str, *, declines: str | None = None, authenticates: bool = False) -> None:
        """From now on the saved method declines so, or wants its owner, or (with neither) pays."""

    def slow_refunds(self, *, fail: bool) -> None:
        """Let the next refund be pending until it is settled, and then fail or succeed."""

    def settle(self, refund_reference: str) -> None:
        """Let the bank end what is pending."""

    def returned(self, payment_id: str) -> int:
        """Return the minor units that went back or are on their way, from the provider's own books."""


async def page(world: MoneyWorld) -> tuple[str, ProviderAnswer]:
    """A page that a customer may pay at: the payment's id, and the answer with the address."""
    effect = checkout(world.now())
    answer = await world.provider.create_checkout(effect, account=ACCOUNT)
    assert answer.status is AnswerStatus.ACTION_REQUIRED
    return effect.payment_id, answer


async def ask(world: MoneyWorld, payment_id: str, reference: str | None, customer: str | None = None) -> ProviderAnswer:
    """How the payment stands."""
    return await world.provider.fetch(fetch(payment_id, reference, customer), account=ACCOUNT)


async def close(
    world: MoneyWorld, payment_id: str, reference: str | None, customer: str | None = None
) -> ProviderAnswer:
    """Make the payment unpayable."""
    return await world.provider.close_checkout(closing(payment_id, reference, customer), account=ACCOUNT)


async def paid_page(world: MoneyWorld) -> tuple[str, ProviderAnswer]:
    """A payment that the customer made at a page, whose method was saved."""
    payment_id, asked = await page(world)
    world.pay(asked)
    paid = await ask(world, payment_id, asked.reference)
    assert (paid.status, paid.amount) == (AnswerStatus.SUCCEEDED, PRICE)
    return payment_id, paid


async def saved(world: MoneyWorld) -> tuple[str, str]:
    """The names of a customer and a saved method."""
    _, paid = await paid_page(world)
    assert paid.customer_reference is not None
    assert paid.method_reference is not None
    return paid.customer_reference, paid.method_reference


async def charged(world: MoneyWorld, effect: ChargeMethod) -> ProviderAnswer:
    """The answer to a charge."""
    return await world.provider.charge(effect, account=ACCOUNT)


async def refunded(world: MoneyWorld, effect: RefundPayment) -> RefundAnswer:
    """The answer to a refund."""
    return await world.provider.refund(effect, account=ACCOUNT)


class ChargeContract:
    """Inherit it, and give it a fixture `world`."""

    async def test_a_charge_takes_the_money_once_however_often_it_is_asked_for(self, world: MoneyWorld) -> None:
        effect = charge(world.now(), *await saved(world))
        answers = await asyncio.gather(*(charged(world, effect) for _ in range(5)))
        assert {answer.status for answer in answers} <= {AnswerStatus.SUCCEEDED, AnswerStatus.UNKNOWN}
        answers = [await charged(world, effect) for _ in range(2)]
        assert {(answer.status, answer.amount) for answer in answers} == {(AnswerStatus.SUCCEEDED, PRICE)}
        assert len({answer.reference for answer in answers}) == 1
        assert all(answer.paid_at is not None for answer in answers)
        assert world.charges(effect.payment_id) == [PRICE]
        told = await ask(world, effect.payment_id, answers[0].reference)
        assert (told.status, told.amount, told.reference) == (AnswerStatus.SUCCEEDED, PRICE, answers[0].reference)

    @SOON_OR_LATE
    async def test_a_charge_whose_answer_was_lost_is_not_repeated(
        self, world: MoneyWorld, later: dict[str, int]
    ) -> None:
        effect = charge(world.now(), *await saved(world))
        world.lose_next_answer()
        assert (await charged(world, effect)).status is AnswerStatus.UNKNOWN
        world.advance(**later)
        assert (await charged(world, effect)).status is AnswerStatus.SUCCEEDED
        assert world.charges(effect.payment_id) == [PRICE]

    @SOON_OR_LATE
    async def test_a_charge_that_never_arrived_is_made_later(self, world: MoneyWorld, later: dict[str, int]) -> None:
        effect = charge(world.now(), *await saved(world))
        world.drop_next_call()
        assert (await charged(world, effect)).status is AnswerStatus.UNKNOWN
        assert world.charges(effect.payment_id) == []
        world.advance(**later)
        assert (await charged(world, effect)).status is AnswerStatus.SUCCEEDED
        assert world.charges(effect.payment_id) == [PRICE]

    @pytest.mark.parametrize(("reason", "hard"), [("insufficient_funds", False), ("lost_card", True)])
    @SOON_OR_LATE
    async def test_a_decline_is_final_and_the_next_attempt_is_another_charge(
        self, world: MoneyWorld, later: dict[str, int], reason: str, *, hard: bool
    ) -> None:
        customer, method = await saved(world)
        world.spoil(method, declines=reason)
        effect = charge(world.now(), customer, method)
        answer = await charged(world, effect)
        assert (answer.status, answer.decline_reason, answer.hard) == (AnswerStatus.DECLINED, reason, hard)
        told = await ask(world, effect.payment_id, answer.reference)
        assert (told.status, told.decline_reason, told.hard) == (AnswerStatus.DECLINED, reason, hard)

        world.spoil(method)
        world.advance(**later)
        again = await charged(world, effect)
        assert (again.status, again.decline_reason) == (AnswerStatus.DECLINED, reason)
        assert world.charges(effect.payment_id) == []
        other = charge(world.now(), customer, method)
        assert (await charged(world, other)).status is AnswerStatus.SUCCEEDED
        assert (await close(world, effect.payment_id, answer.reference)).status is AnswerStatus.CLOSED

    async def test_the_owner_confirms(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        world.spoil(method, authenticates=True)
        effect = charge(world.now(), customer, method)
        asked = await charged(world, effect)
        assert asked.status is AnswerStatus.ACTION_REQUIRED
        assert asked.confirmation_url is not None
        repeated = await charged(world, effect)
        assert (repeated.status, repeated.reference) == (AnswerStatus.ACTION_REQUIRED, asked.reference)
        assert (await ask(world, effect.payment_id, asked.reference)).status is AnswerStatus.ACTION_REQUIRED
        assert world.charges(effect.payment_id) == []

        world.pay(asked)
        for answer in (await ask(world, effect.payment_id, asked.reference), await charged(world, effect)):
            assert (answer.status, answer.amount, answer.reference) == (
                AnswerStatus.SUCCEEDED,
                PRICE,
                asked.reference,
            )
        assert world.charges(effect.payment_id) == [PRICE]

    async def test_the_owner_refuses(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        world.spoil(method, authenticates=True)
        effect = charge(world.now(), customer, method)
        asked = await charged(world, effect)
        world.refuse(asked)
        for answer in (await ask(world, effect.payment_id, asked.reference), await charged(world, effect)):
            assert (answer.status, answer.hard) == (AnswerStatus.DECLINED, False)
            assert answer.decline_reason
        assert world.charges(effect.payment_id) == []

    async def test_a_charge_that_waits_for_its_owner_can_be_closed(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        world.spoil(method, authenticates=True)
        effect = charge(world.now(), customer, method)
        asked = await charged(world, effect)
        for _ in range(2):
            assert (await close(world, effect.payment_id, asked.reference)).status is AnswerStatus.CLOSED
        world.pay(asked)
        assert (await ask(world, effect.payment_id, asked.reference)).status is AnswerStatus.CLOSED
        assert world.charges(effect.payment_id) == []

    async def test_a_paid_charge_cannot_be_closed(self, world: MoneyWorld) -> None:
        effect = charge(world.now(), *await saved(world))
        paid = await charged(world, effect)
        closed = await close(world, effect.payment_id, paid.reference)
        assert (closed.status, closed.amount) == (AnswerStatus.SUCCEEDED, PRICE)

    async def test_a_charge_is_found_without_its_name(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        effect = charge(world.now(), customer, method)
        paid = await charged(world, effect)
        closed = await close(world, effect.payment_id, None, customer)
        asked_for = await ask(world, effect.payment_id, None, customer)
        for found in (await ask(world, effect.payment_id, None), asked_for, closed):
            assert (found.status, found.reference) == (AnswerStatus.SUCCEEDED, paid.reference)
        world.spoil(method, authenticates=True)
        waiting = charge(world.now(), customer, method)
        asked = await charged(world, waiting)
        assert (await close(world, waiting.payment_id, None, customer)).status is AnswerStatus.CLOSED
        world.pay(asked)
        assert world.charges(waiting.payment_id) == []
        never = charge(world.now(), customer, method)
        assert (await ask(world, never.payment_id, None, customer)).status is AnswerStatus.CLOSED
        assert (await close(world, never.payment_id, None, customer)).status is AnswerStatus.CLOSED

    async def test_a_charge_is_not_made_after_its_time(self, world: MoneyWorld) -> None:
        effect = charge(world.now(), *await saved(world))
        world.drop_next_call()
        await charged(world, effect)
        world.advance(days=5)
        for _ in range(2):
            assert (await charged(world, effect)).status is AnswerStatus.CLOSED
        assert world.charges(effect.payment_id) == []

    async def test_a_charge_that_was_made_in_time_is_found_after_it(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        effect = charge(world.now(), customer, method)
        world.lose_next_answer()
        await charged(world, effect)
        world.spoil(method, authenticates=True)
        waiting = charge(world.now(), customer, method)
        asked = await charged(world, waiting)
        world.advance(days=65)
        found = await charged(world, effect)
        assert (found.status, found.amount) == (AnswerStatus.SUCCEEDED, PRICE)
        assert world.charges(effect.payment_id) == [PRICE]
        still = await charged(world, waiting)
        assert (still.status, still.reference) == (AnswerStatus.ACTION_REQUIRED, asked.reference)

    async def test_a_method_that_nobody_saved_is_refused(self, world: MoneyWorld) -> None:
        customer, _ = await saved(world)
        effect = charge(world.now(), customer, "pm_nobody")
        answer = await charged(world, effect)
        assert answer.status is AnswerStatus.REFUSED
        assert answer.detail


async def paid_charge(world: MoneyWorld) -> tuple[str, ProviderAnswer]:
    """A payment that was collected from a saved method."""
    effect = charge(world.now(), *await saved(world))
    return effect.payment_id, await charged(world, effect)


PAID = pytest.mark.parametrize("paid", [paid_page, paid_charge])


class RefundContract:
    """Inherit it, and give it a fixture `world`."""

    @staticmethod
    async def _wanted(world: MoneyWorld, paid: object, **changes: object) -> RefundPayment:
        assert callable(paid)
        payment_id, answer = await paid(world)
        return refund(world.now(), payment_id, str(answer.reference), **changes)

    @PAID
    async def test_all_of_it_once_however_often_it_is_asked_for(self, world: MoneyWorld, paid: object) -> None:
        effect = await self._wanted(world, paid)
        answers = await asyncio.gather(*(refunded(world, effect) for _ in range(5)))
        assert {answer.status for answer in answers} <= {RefundAnswerStatus.SUCCEEDED, RefundAnswerStatus.UNKNOWN}
        answers = [await refunded(world, effect) for _ in range(2)]
        assert {answer.status for answer in answers} == {RefundAnswerStatus.SUCCEEDED}
        assert len({answer.reference for answer in answers}) == 1
        assert world.returned(effect.payment_id) == 999
        other = refund(world.now(), effect.payment_id, effect.payment_reference)
        assert (await refunded(world, other)).status is RefundAnswerStatus.FAILED
        assert world.returned(effect.payment_id) == 999

    @PAID
    async def test_in_parts_and_never_more_than_was_paid(self, world: MoneyWorld, paid: object) -> None:
        first = await self._wanted(world, paid, amount=Money(amount=600, currency="USD"))
        assert (await refunded(world, first)).status is RefundAnswerStatus.SUCCEEDED
        for amount, status, returned in (
            (400, RefundAnswerStatus.FAILED, 600),
            (399, RefundAnswerStatus.SUCCEEDED, 999),
            (1, RefundAnswerStatus.FAILED, 999),
        ):
            money = Money(amount=amount, currency="USD")
            effect = refund(world.now(), first.payment_id, first.payment_reference, amount=money)
            answer = await refunded(world, effect)
            assert answer.status is status
            assert answer.detail is not None or status is RefundAnswerStatus.SUCCEEDED
            assert world.returned(first.payment_id) == returned

    async def test_two_at_once_never_give_more_than_was_paid(self, world: MoneyWorld) -> None:
        payment_id, paid = await paid_page(world)
        money = Money(amount=600, currency="USD")
        effects = [refund(world.now(), payment_id, str(paid.reference), amount=money) for _ in range(3)]
        answers = await asyncio.gather(*(refunded(world, effect) for effect in effects))
        assert sorted(answer.status for answer in answers) == ["failed", "failed", "succeeded"]
        assert world.returned(payment_id) == 600

    @SOON_OR_LATE
    @pytest.mark.parametrize("trouble", ["lose_next_answer", "drop_next_call"])
    @PAID
    async def test_a_refund_in_doubt_is_given_once(
        self, world: MoneyWorld, paid: object, trouble: str, later: dict[str, int]
    ) -> None:
        effect = await self._wanted(world, paid, amount=Money(amount=300, currency="USD"))
        getattr(world, trouble)()
        assert (await refunded(world, effect)).status is RefundAnswerStatus.UNKNOWN
        world.advance(**later)
        assert (await refunded(world, effect)).status is RefundAnswerStatus.SUCCEEDED
        assert world.returned(effect.payment_id) == 300

    async def test_a_whole_refund_whose_answer_was_lost_is_not_called_failed(self, world: MoneyWorld) -> None:
        effect = await self._wanted(world, paid_page)
        world.lose_next_answer()
        await refunded(world, effect)
        world.advance(days=2)
        assert (await refunded(world, effect)).status is RefundAnswerStatus.SUCCEEDED

    @PAID
    async def test_one_that_takes_its_time(self, world: MoneyWorld, paid: object) -> None:
        effect = await self._wanted(world, paid)
        world.slow_refunds(fail=False)
        answer = await refunded(world, effect)
        assert answer.status is RefundAnswerStatus.PENDING
        assert answer.reference is not None
        question = refund(world.now(), effect.payment_id, effect.payment_reference, reference=answer.reference)
        assert (await refunded(world, question)).status is RefundAnswerStatus.PENDING
        world.settle(answer.reference)
        told = await refunded(world, question)
        assert (told.status, told.reference) == (RefundAnswerStatus.SUCCEEDED, answer.reference)
        assert world.returned(effect.payment_id) == 999

    @PAID
    async def test_one_that_fails_leaves_the_money_where_it_was(self, world: MoneyWorld, paid: object) -> None:
        effect = await self._wanted(world, paid)
        world.slow_refunds(fail=True)
        answer = await refunded(world, effect)
        assert answer.reference is not None
        world.settle(answer.reference)
        question = refund(world.now(), effect.payment_id, effect.payment_reference, reference=answer.reference)
        told = await refunded(world, question)
        assert told.status is RefundAnswerStatus.FAILED
        assert told.detail
        assert world.returned(effect.payment_id) == 0
        other = refund(world.now(), effect.payment_id, effect.payment_reference)
        assert (await refunded(world, other)).status is RefundAnswerStatus.SUCCEEDED
        assert world.returned(effect.payment_id) == 999

    async def test_what_was_never_paid_cannot_be_given_back(self, world: MoneyWorld) -> None:
        customer, method = await saved(world)
        world.spoil(method, declines="insufficient_funds")
        effect = charge(world.now(), customer, method)
        declined = await charged(world, effect)
        payment_id, opened = await page(world)
        for payment, reference in ((effect.payment_id, declined.reference), (payment_id, opened.reference)):
            answer = await refunded(world, refund(world.now(), payment, str(reference)))
            assert answer.status is RefundAnswerStatus.FAILED
            assert answer.detail
            assert world.returned(payment) == 0

    async def test_a_refund_that_nobody_knows_is_not_called_failed(self, world: MoneyWorld) -> None:
        payment_id, paid = await paid_page(world)
        question = refund(world.now(), payment_id, str(paid.reference), reference="re_nobody")
        assert (await refunded(world, question)).status is RefundAnswerStatus.UNKNOWN
