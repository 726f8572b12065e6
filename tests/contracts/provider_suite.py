"""What the port `PaymentProvider` promises. Every adapter inherits these tests and brings a world to play in."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pytest

from domain.effects import AnswerStatus, ProviderAnswer
from schemas.codec import decode, encode
from schemas.messages import COMMANDS
from tests.contracts.effects_kit import ACCOUNT, checkout, closing, fetch

if TYPE_CHECKING:
    from datetime import datetime

    from domain.effects import CreateCheckout
    from domain.money import Money
    from domain.ports import PaymentProvider

OPEN = {AnswerStatus.ACTION_REQUIRED, AnswerStatus.DECLINED}
"""A page on which a card was declined may still be paid by another."""


class World(Protocol):
    """An adapter, the customer at its page, the provider's bad days and its books."""

    @property
    def provider(self) -> PaymentProvider:
        """The adapter under test."""

    def now(self) -> datetime:
        """Tell the provider's time."""

    def pay(self, page: ProviderAnswer) -> None:
        """Pay at the page, or try to."""

    def decline(self, page: ProviderAnswer) -> None:
        """Try to pay with a card that is declined."""

    def lapse(self, page: ProviderAnswer) -> None:
        """Let the page end by itself."""

    def lose_next_answer(self) -> None:
        """Let the next call that changes something do its work, and its answer be lost."""

    def drop_next_call(self) -> None:
        """Let the next call that changes something not arrive."""

    def refused(self) -> Money:
        """Return an amount that this provider does not take."""

    def charges(self, payment_id: str) -> list[Money]:
        """Return all that was ever taken for a payment, from the provider's own books."""


class ProviderContract:
    """Inherit it, and give it a fixture `world`."""

    async def open_page(self, world: World, effect: CreateCheckout) -> ProviderAnswer:
        page = await world.provider.create_checkout(effect, account=ACCOUNT)
        assert page.status is AnswerStatus.ACTION_REQUIRED, page
        assert page.reference
        assert page.confirmation_url
        return page

    def effect(self, world: World) -> CreateCheckout:
        return replace(checkout(world.now()), provider=world.provider.name)

    async def test_it_has_a_name(self, world: World) -> None:
        assert world.provider.name.isidentifier()

    async def test_the_same_effect_opens_the_same_page(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        again = await self.open_page(world, replace(effect, attempt=2))
        assert (again.reference, again.confirmation_url) == (page.reference, page.confirmation_url)

    async def test_other_effects_open_other_pages(self, world: World) -> None:
        pages = [await self.open_page(world, self.effect(world)) for _ in range(3)]
        assert len({page.reference for page in pages}) == 3

    async def test_an_open_page_stands_open(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        told = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        assert (told.status, told.reference) == (AnswerStatus.ACTION_REQUIRED, page.reference)
        assert told.confirmation_url == page.confirmation_url

    async def test_money_is_told_with_its_amount_and_time(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.pay(page)
        told = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        assert (told.status, told.reference, told.amount) == (AnswerStatus.SUCCEEDED, page.reference, effect.amount)
        assert told.paid_at is not None
        assert told.paid_at.tzinfo is not None
        assert told.method_reference
        assert told.method_label
        assert world.charges(effect.payment_id) == [effect.amount]

    async def test_paying_twice_takes_the_money_once(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.pay(page)
        world.pay(page)
        assert world.charges(effect.payment_id) == [effect.amount]

    async def test_a_decline_takes_no_money_and_leaves_the_page(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.decline(page)
        told = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        assert told.status in OPEN
        assert world.charges(effect.payment_id) == []
        world.pay(page)
        assert world.charges(effect.payment_id) == [effect.amount]

    async def test_a_closed_page_cannot_be_paid(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        for _ in range(2):
            closed = await world.provider.close_checkout(closing(effect.payment_id, page.reference), account=ACCOUNT)
            assert closed.status is AnswerStatus.CLOSED
        world.pay(page)
        assert world.charges(effect.payment_id) == []
        told = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        assert told.status is AnswerStatus.CLOSED

    async def test_closing_what_was_paid_tells_of_the_money(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.pay(page)
        told = await world.provider.close_checkout(closing(effect.payment_id, page.reference), account=ACCOUNT)
        assert (told.status, told.amount) == (AnswerStatus.SUCCEEDED, effect.amount)

    async def test_a_page_that_ended_by_itself_is_closed(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.lapse(page)
        told = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        assert told.status is AnswerStatus.CLOSED

    @pytest.mark.parametrize("reference", ["nobody", None])
    async def test_what_it_never_heard_of_is_closed(self, world: World, reference: str | None) -> None:
        payment_id = str(uuid.uuid4())
        told = await world.provider.fetch(fetch(payment_id, reference), account=ACCOUNT)
        assert told.status is AnswerStatus.CLOSED
        told = await world.provider.close_checkout(closing(payment_id, reference), account=ACCOUNT)
        assert told.status is AnswerStatus.CLOSED

    async def test_a_page_is_found_without_its_name(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        told = await world.provider.fetch(fetch(effect.payment_id, None), account=ACCOUNT)
        assert (told.status, told.reference) == (AnswerStatus.ACTION_REQUIRED, page.reference)
        world.pay(page)
        told = await world.provider.fetch(fetch(effect.payment_id, None), account=ACCOUNT)
        assert told.status is AnswerStatus.SUCCEEDED

    async def test_an_amount_that_it_does_not_take_is_refused(self, world: World) -> None:
        effect = replace(self.effect(world), amount=world.refused())
        told = await world.provider.create_checkout(effect, account=ACCOUNT)
        assert (told.status, told.reference) == (AnswerStatus.REFUSED, None)
        assert told.detail

    async def test_a_lost_answer_is_unknown_and_the_repeat_finds_the_page(self, world: World) -> None:
        effect = self.effect(world)
        world.lose_next_answer()
        lost = await world.provider.create_checkout(effect, account=ACCOUNT)
        assert lost.status is AnswerStatus.UNKNOWN
        page = await self.open_page(world, replace(effect, attempt=2))
        world.pay(page)
        assert world.charges(effect.payment_id) == [effect.amount]

    async def test_a_lost_call_is_unknown_and_the_repeat_opens_the_page(self, world: World) -> None:
        effect = self.effect(world)
        world.drop_next_call()
        lost = await world.provider.create_checkout(effect, account=ACCOUNT)
        assert lost.status is AnswerStatus.UNKNOWN
        await self.open_page(world, replace(effect, attempt=2))

    async def test_a_lost_answer_to_closing_is_unknown_and_the_repeat_finds_it_closed(self, world: World) -> None:
        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.lose_next_answer()
        close = closing(effect.payment_id, page.reference)
        assert (await world.provider.close_checkout(close, account=ACCOUNT)).status is AnswerStatus.UNKNOWN
        again = await world.provider.close_checkout(replace(close, attempt=2), account=ACCOUNT)
        assert again.status is AnswerStatus.CLOSED

    async def test_many_calls_at_once(self, world: World) -> None:
        effects = [self.effect(world) for _ in range(20)]
        pages = await asyncio.gather(*(self.open_page(world, effect) for effect in effects))
        assert len({page.reference for page in pages}) == 20

    async def test_every_answer_survives_the_wire(self, world: World) -> None:
        from domain.payments.commands import AnswerCall

        effect = self.effect(world)
        page = await self.open_page(world, effect)
        world.pay(page)
        paid = await world.provider.fetch(fetch(effect.payment_id, page.reference), account=ACCOUNT)
        for told in (page, paid):
            call = AnswerCall(payment_id=effect.payment_id, effect_id=effect.effect_id, attempt=1, answer=told)
            assert decode("billing.payment.answer_call", encode(call), COMMANDS) == call
