"""What customers and managers do: a table of deeds, each with its weight. A new command is a new line of the table.

A customer knows what the read models show, acts at the provider's pages, and sends commands as the API does. It makes
mistakes: it clicks twice, repeats old requests, asks for the impossible.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.ids import DiscountId, OrderId, PaymentId, PriceId, ProductId, SubscriptionId, derive, product_key
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import RemovePaymentMethod
from domain.pricing.commands import GrantPersonalDiscount, RevokePersonalDiscount
from domain.refunds.commands import RequestRefund
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    MigratePrice,
    PauseSubscription,
    ResumeSubscription,
    StartTrial,
)
from tests.simulation import catalogue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from tests.simulation.world import World

PAGE_LOOKS = 12
PAGE_LOOK_S = 5.0
SOFT_DECLINES = ("insufficient_funds", "try_again_later")
HARD_DECLINES = ("card_expired", "lost_card")


@dataclass(slots=True)
class Customer:
    """One account and the person behind it."""

    world: World
    account: str
    random: Random
    sent: list[tuple[str, Any]] = field(default_factory=list)
    """Idempotency keys and commands of earlier requests."""

    def rows(self, model: str) -> list[dict[str, Any]]:
        """Return what a read model shows of this account."""
        return self.world.tables.of(model, self.account)

    def one(self, model: str, **where: Any) -> dict[str, Any] | None:
        """Return one of the rows that fit, or None."""
        found = [row for row in self.rows(model) if all(row.get(name) == value for name, value in where.items())]
        return self.random.choice(found) if found else None

    async def ask(self, data: Any, key: str | None = None) -> str:
        """Send a command as the API does, and return its id."""
        if key is None:
            key = f"key {len(self.sent)}"
            self.sent.append((key, data))
        command_id = derive(self.account, f"command {key}")
        await self.world.send(self.account, data, command_id, actor=self.account)
        return command_id

    async def order(self, *items: OrderItem, promo_code: str | None = None, auto_renew: bool = True) -> None:
        """Order something, perhaps with a double click, and usually see to the payment."""
        data = PlaceOrder(items=items, provider=self.world.provider.name, auto_renew=auto_renew, promo_code=promo_code)
        command_id = await self.ask(data)
        if self.random.random() < 0.1:
            await self.ask(data)
        if self.random.random() < 0.85:
            await self.pay_for(derive(command_id, "payment"))

    async def pay_for(self, payment_id: str) -> None:
        """Look for the page of a payment and act there."""
        for _ in range(PAGE_LOOKS):
            row = self.world.tables.rows.get("payments", {}).get((payment_id,))
            if row is not None and row["status"] == "action_required" and row.get("confirmation_url"):
                await self.act_at(row["reference"])
                return
            if row is not None and row["status"] != "created":
                return
            await asyncio.sleep(PAGE_LOOK_S)

    async def act_at(self, reference: str) -> None:
        """Pay, be declined and pay, pay by something slow, or walk away."""
        provider, chance = self.world.provider, self.random.random()
        await asyncio.sleep(self.random.expovariate(1 / 10))
        if chance < 0.75:
            provider.pay(reference, self.world.clock.now())
            if chance < 0.05:
                provider.pay(reference, self.world.clock.now())
        elif chance < 0.85:
            provider.decline(reference, self.random.choice(SOFT_DECLINES))
            if chance < 0.80:
                await asyncio.sleep(self.random.expovariate(1 / 5))
                provider.pay(reference, self.world.clock.now())
        elif chance < 0.92:
            provider.process(reference)
            self.world.later(self.world.outside.collect, reference)


async def buy_film(customer: Customer) -> None:
    """Buy a film."""
    await customer.order(OrderItem(price_id=customer.world.shelf.any_film(customer.random)))


async def buy_plan(customer: Customer) -> None:
    """Subscribe, or buy further periods."""
    months = customer.random.choice((None, None, 1, 3))
    item = OrderItem(price_id=customer.world.shelf.any_plan(customer.random), months=months)
    await customer.order(item, auto_renew=customer.random.random() < 0.85)


async def buy_both(customer: Customer) -> None:
    """Buy two things at once."""
    shelf = customer.world.shelf
    await customer.order(
        OrderItem(price_id=shelf.any_film(customer.random)), OrderItem(price_id=shelf.any_plan(customer.random))
    )


async def buy_with_promo_code(customer: Customer) -> None:
    """Buy a film with a promo code."""
    code = customer.random.choice(catalogue.CODES_TRIED)
    await customer.order(OrderItem(price_id=customer.world.shelf.any_film(customer.random)), promo_code=code)


async def see_to_payment(customer: Customer) -> None:
    """Act at a page that waits, such as one where a renewal has to be confirmed."""
    row = customer.one("payments", status="action_required")
    if row is not None and row.get("confirmation_url"):
        await customer.act_at(row["reference"])


async def cancel_order(customer: Customer) -> None:
    """Give an order up."""
    row = customer.one("orders", status="awaiting_payment") or customer.one("orders")
    if row is not None:
        await customer.ask(CancelOrder(order_id=OrderId(row["id"])))


async def cancel_subscription(customer: Customer) -> None:
    """Stop renewing, or end at once."""
    row = customer.one("subscriptions")
    if row is not None:
        at = CancelAt.NOW if customer.random.random() < 0.3 else CancelAt.PERIOD_END
        await customer.ask(CancelSubscription(subscription_id=SubscriptionId(row["id"]), at=at))


async def resume_subscription(customer: Customer) -> None:
    """Renew again."""
    row = customer.one("subscriptions", status="paused") or customer.one("subscriptions", auto_renew=False)
    if row is not None:
        await customer.ask(ResumeSubscription(subscription_id=SubscriptionId(row["id"])))


async def extend_subscription(customer: Customer) -> None:
    """A manager gives days."""
    row = customer.one("subscriptions")
    if row is not None:
        days = customer.random.choice((1, 7, 30, 0))
        await customer.ask(
            ExtendSubscription(subscription_id=SubscriptionId(row["id"]), days=days, reason="an apology")
        )


async def start_trial(customer: Customer) -> None:
    """Try a plan."""
    await customer.ask(StartTrial(price_id=customer.world.shelf.any_plan(customer.random)))


async def pause_subscription(customer: Customer) -> None:
    """Let a subscription rest."""
    row = customer.one("subscriptions")
    if row is not None:
        await customer.ask(PauseSubscription(subscription_id=SubscriptionId(row["id"])))


async def change_plan(customer: Customer) -> None:
    """Take another plan, now or later."""
    row = customer.one("subscriptions", ended_at=None) or customer.one("subscriptions")
    if row is None:
        return
    command_id = await customer.ask(
        ChangePlan(
            subscription_id=SubscriptionId(row["id"]),
            price_id=customer.world.shelf.any_plan(customer.random),
            at=customer.random.choice(list(ChangeAt)),
            provider=customer.world.provider.name,
        )
    )
    await customer.pay_for(derive(command_id, "payment"))


async def migrate_price(customer: Customer) -> None:
    """A manager announces another price."""
    row = customer.one("subscriptions", ended_at=None)
    if row is not None:
        await customer.ask(
            MigratePrice(
                subscription_id=SubscriptionId(row["id"]),
                price_id=customer.world.shelf.price(row["product_id"]),
                effective_at=customer.world.clock.now() + timedelta(days=customer.random.choice((5, 31, 60))),
            )
        )


async def ask_refund(customer: Customer) -> None:
    """Ask for money back: all, a part, too much, or twice at once; sometimes a manager does."""
    row = customer.one("payments", status="succeeded") or customer.one("payments")
    if row is None:
        return
    amount = customer.random.choice((None, None, 1, row["amount"] // 2, row["amount"] + 1))
    by_manager = customer.random.random() < 0.5
    data = RequestRefund(payment_id=PaymentId(row["id"]), amount=amount, by_manager=by_manager)
    await customer.ask(data)
    if customer.random.random() < 0.3:
        await customer.ask(data)


async def dispute_payment(customer: Customer) -> None:
    """Have the bank take the money of a payment back, or ask about it."""
    is_known = customer.random.random() < 0.8
    row = customer.one("payments", status="succeeded") if is_known else customer.one("payments")
    if row is not None and row["reference"] is not None:
        customer.world.outside.dispute(row["reference"])


async def spoil_card(customer: Customer) -> None:
    """The saved card begins to decline, or to want a confirmation."""
    method = customer.world.provider.methods.get(f"method of {customer.account}")
    if method is not None:
        chance = customer.random.random()
        method.authenticates = chance < 0.3
        method.hard = chance > 0.8
        if not method.authenticates:
            method.declines = customer.random.choice(HARD_DECLINES if method.hard else SOFT_DECLINES)


async def mend_card(customer: Customer) -> None:
    """The saved card works again."""
    method = customer.world.provider.methods.get(f"method of {customer.account}")
    if method is not None:
        method.declines, method.hard, method.authenticates = None, False, False


async def remove_card(customer: Customer) -> None:
    """Have the saved card forgotten."""
    row = customer.one("payment_methods")
    if row is not None:
        await customer.ask(RemovePaymentMethod(method_reference=f"method of {customer.account}"))


async def get_discount(customer: Customer) -> None:
    """A manager gives a part off."""
    part = customer.random.choice((500, 2500, 10_000))
    await customer.ask(GrantPersonalDiscount(basis_points=part, reason="a good customer"))


async def lose_discount(customer: Customer) -> None:
    """A manager takes a part off back."""
    granted = [key for key, data in customer.sent if isinstance(data, GrantPersonalDiscount)]
    if granted:
        command_id = derive(customer.account, f"command {customer.random.choice(granted)}")
        await customer.ask(RevokePersonalDiscount(discount_id=DiscountId(derive(command_id, "discount"))))


async def repeat(customer: Customer) -> None:
    """Send an earlier request again, key and all."""
    if customer.sent:
        key, data = customer.random.choice(customer.sent)
        await customer.ask(data, key)


async def ask_nonsense(customer: Customer) -> None:
    """Ask for what cannot be."""
    nonsense = (
        CancelOrder(order_id=OrderId("nowhere")),
        RequestRefund(payment_id=PaymentId("nowhere")),
        PlaceOrder(items=(), provider=customer.world.provider.name),
        PlaceOrder(items=(OrderItem(price_id=PriceId("nothing:usd")),), provider=customer.world.provider.name),
        ResumeSubscription(subscription_id=SubscriptionId("nowhere")),
    )
    await customer.ask(customer.random.choice(nonsense))


async def change_price(customer: Customer) -> None:
    """A manager puts a new price on a product; the old one is archived."""
    world = customer.world
    product_id, define = world.shelf.change_price(customer.random)
    await world.send(product_key(ProductId(product_id)), define, world.next_id("price"), actor="manager")


Deed = tuple[str, int, "Callable[[Customer], Awaitable[None]]"]

REPERTOIRE: tuple[Deed, ...] = (
    ("buy a film", 12, buy_film),
    ("buy a plan", 20, buy_plan),
    ("buy both", 4, buy_both),
    ("buy with a promo code", 10, buy_with_promo_code),
    ("see to a payment", 10, see_to_payment),
    ("cancel an order", 5, cancel_order),
    ("cancel a subscription", 5, cancel_subscription),
    ("resume a subscription", 3, resume_subscription),
    ("extend a subscription", 2, extend_subscription),
    ("start a trial", 5, start_trial),
    ("pause a subscription", 4, pause_subscription),
    ("change the plan", 6, change_plan),
    ("migrate a price", 2, migrate_price),
    ("ask for a refund", 10, ask_refund),
    ("dispute a payment", 7, dispute_payment),
    ("spoil the card", 6, spoil_card),
    ("mend the card", 5, mend_card),
    ("remove the card", 1, remove_card),
    ("get a discount", 2, get_discount),
    ("lose a discount", 1, lose_discount),
    ("repeat a request", 5, repeat),
    ("ask nonsense", 2, ask_nonsense),
    ("change a price", 2, change_price),
)
"""Name, weight, deed. Whoever adds a command to the product adds a line here."""

LASTING: tuple[Deed, ...] = (
    ("buy a plan", 12, buy_plan),
    ("buy a film", 6, buy_film),
    ("see to a payment", 20, see_to_payment),
    ("cancel a subscription", 2, cancel_subscription),
    ("resume a subscription", 4, resume_subscription),
    ("pause a subscription", 1, pause_subscription),
    ("change the plan", 1, change_plan),
    ("ask for a refund", 3, ask_refund),
    ("dispute a payment", 1, dispute_payment),
    ("spoil the card", 6, spoil_card),
    ("mend the card", 12, mend_card),
    ("extend a subscription", 1, extend_subscription),
    ("repeat a request", 2, repeat),
    ("buy with a promo code", 2, buy_with_promo_code),
)
"""The same for long runs: customers who mostly stay."""


async def live(customer: Customer, deeds: int, pause_s: float, repertoire: tuple[Deed, ...]) -> None:
    """Do some deeds, with pauses of that mean in between."""
    acts = [deed for _, _, deed in repertoire]
    weights = [weight for _, weight, _ in repertoire]
    first = buy_plan if customer.random.random() < 0.7 else buy_film
    for number in range(deeds):
        await asyncio.sleep(customer.random.expovariate(1 / pause_s))
        act = first if number == 0 else customer.random.choices(acts, weights)[0]
        await act(customer)
