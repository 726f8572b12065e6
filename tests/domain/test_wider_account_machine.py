"""The account machine again, with more that may happen and more that must hold: currencies, prices, longer gifts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from domain.ids import PriceId
from domain.orders.state import OPEN_STATUSES
from domain.payments.state import Ended
from domain.subscriptions.commands import ExtendSubscription, MigratePrice
from domain.subscriptions.state import SubscriptionStatus
from tests.domain.test_account_machine import CODES, AccountMachine

if TYPE_CHECKING:
    from domain.subscriptions.state import Subscription

BASKETS = (("cinema:eur",), ("kids:month", "cinema:month"), ("cinema:new",), ("cinema:quarter",))
UNPAID = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.GRACE})


class WiderMachine(AccountMachine):
    """What the narrower machine does, and more."""

    @rule(basket=st.sampled_from(BASKETS), auto_renew=st.booleans(), code=CODES)
    def the_customer_buys_something_else(self, basket: tuple[str, ...], auto_renew: bool, code: str | None) -> None:  # noqa: FBT001
        self.the_customer_orders_and_pays(basket=basket, auto_renew=auto_renew, code=code)

    @precondition(lambda self: self.running())
    @rule(data=st.data(), days=st.sampled_from([30, 31, 60]), price=st.sampled_from(["cinema:new", "cinema:newer"]))
    def a_manager_announces_one_of_two_prices(self, data: Any, days: int, price: str) -> None:
        self.world.do(
            MigratePrice(
                subscription_id=self.pick(data, self.running(), "subscription").id,
                price_id=PriceId(price),
                effective_at=self.world.now + timedelta(days=days),
            )
        )

    @precondition(lambda self: self.running())
    @rule(data=st.data(), days=st.sampled_from([1, 30, 400]))
    def a_manager_extends(self, data: Any, days: int) -> None:
        held = self.pick(data, self.running(), "subscription")
        self.world.do(ExtendSubscription(subscription_id=held.id, days=days, reason="kindness"))

    def with_access(self) -> list[Subscription]:
        """Those whose access is not over: what is over ends as soon as somebody looks."""
        return [held for held in self.running() if self.world.now < held.access_end]

    @invariant()
    def a_subscription_is_paid_in_one_currency(self) -> None:
        payments = self.world.account.payments
        for held in self.world.account.subscriptions.values():
            currencies = {payments[source.payment_id].amount.currency for each in held.paid for source in each.sources}
            assert currencies <= {held.price.currency}

    @invariant()
    def the_order_of_a_renewal_can_be_paid(self) -> None:
        for held in self.with_access():
            if held.renewal_order_id is not None:
                assert self.world.account.orders[held.renewal_order_id].status in OPEN_STATUSES

    @invariant()
    def what_renews_is_tried_or_was_tried_in_vain(self) -> None:
        for held in self.with_access():
            if held.auto_renew and held.paused_at is None and held.renew_at is None:
                assert held.renewal_order_id is not None or held.status in UNPAID, held

    @invariant()
    def an_order_holds_the_balance_while_it_can_be_paid(self) -> None:
        for order in self.world.account.orders.values():
            payment = self.world.account.payments.get(order.payment_id)
            if order.status in OPEN_STATUSES and payment is not None and isinstance(payment.phase, Ended):
                assert order.balance_used == 0, order


TestWiderAccount = WiderMachine.TestCase
TestWiderAccount.settings = settings(max_examples=40, stateful_step_count=40)
