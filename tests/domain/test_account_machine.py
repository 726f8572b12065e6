"""Everything that can happen to an account, in any order, late, twice or never: the laws hold at every moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain.balance.commands import GrantCredit, TakeBackCredit
from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.ids import PriceId
from domain.operations.commands import ResumeOverdue
from domain.operations.decider import subject_of
from domain.orders.commands import CancelOrder
from domain.policies.reactions import pending
from domain.policies.settings import DisputeAccess, PlanChangeRemainder, RefundAccess
from domain.policies.terms import Terms
from domain.pricing.commands import GrantPersonalDiscount, RevokePersonalDiscount
from domain.pricing.state import MonthsDiscounts, MonthsStep
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
from tests.domain import laws_of_access, laws_of_money, laws_of_state
from tests.domain.histories import place
from tests.domain.laws_of_money import the_books_agree
from tests.domain.spec import usd
from tests.domain.world import World

if TYPE_CHECKING:
    from domain.effects import Effect

BASKETS = (
    ("solaris:own",),
    ("stalker:rent",),
    ("cinema:month",),
    ("cinema:month",),
    ("cinema:quarter",),
    ("cinema:days",),
    ("cinema-plus:month",),
    ("solaris:own", "cinema:month"),
    ("stalker:rent", "kids:month", "cinema:month"),
    ("arthouse:month",),
)
PLANS = (
    "cinema:month",
    "cinema:quarter",
    "cinema:days",
    "cinema:new",
    "cinema:eur",
    "cinema-plus:month",
    "kids:month",
    "arthouse:month",
)
SPANS = (
    timedelta(seconds=30),
    timedelta(hours=1),
    timedelta(hours=25),
    timedelta(days=3),
    timedelta(days=12),
    timedelta(days=27),
    timedelta(days=65),
)
CODES = st.sampled_from([None, None, None, "HALF", "FREE", "ONCE", "FIVE"])
MONTHS = st.sampled_from([None, None, 3, 6])
TERMS = (
    None,
    Terms(grace=timedelta(0), renewal_offsets=(timedelta(hours=-6),), refund_window=timedelta(0)),
    Terms(grace=timedelta(days=9), renewal_offsets=(timedelta(days=-1), timedelta(days=8)), refund_unused=False),
)
ACTS = ("pay", "pay", "pay", "decline", "process", "nothing")
FOLLOWS_OFTEN = (RefundAccess.FOLLOWS,) * 3
LAWS = (*laws_of_state.LAWS, *laws_of_money.LAWS, *laws_of_access.LAWS)
STATUSES = (RefundAnswerStatus.SUCCEEDED, RefundAnswerStatus.SUCCEEDED, *RefundAnswerStatus)


class AccountMachine(RuleBasedStateMachine):
    """The customer, a manager, the provider, the gateway and the clock take turns."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @initialize(
        dispute_access=st.sampled_from(DisputeAccess),
        refund_access=st.sampled_from((*FOLLOWS_OFTEN, *RefundAccess)),
        remainder=st.sampled_from(PlanChangeRemainder),
    )
    def the_business_decides(
        self, dispute_access: DisputeAccess, refund_access: RefundAccess, remainder: PlanChangeRemainder
    ) -> None:
        self.world.policies = replace(
            self.world.policies,
            dispute_access=dispute_access,
            refund_access=refund_access,
            plan_change_remainder=remainder,
        )

    def pick(self, data: Any, things: Any, label: str) -> Any:
        return data.draw(st.sampled_from(sorted(things, key=repr)), label=label)

    @rule(basket=st.sampled_from(BASKETS), auto_renew=st.booleans(), months=MONTHS, code=CODES)
    def the_customer_orders(
        self,
        basket: tuple[str, ...],
        auto_renew: bool,  # noqa: FBT001  # Hypothesis names what it draws
        months: int | None,
        code: str | None,
    ) -> None:
        monthly = all(name.endswith((":month", ":quarter")) for name in basket)
        self.world.do(place(*basket, auto_renew=auto_renew, months=months if monthly else None, promo_code=code))

    @rule(basket=st.sampled_from(BASKETS), auto_renew=st.booleans(), code=CODES)
    def the_customer_orders_and_pays(self, basket: tuple[str, ...], auto_renew: bool, code: str | None) -> None:  # noqa: FBT001
        self.world.do(place(*basket, auto_renew=auto_renew, promo_code=code))
        self.world.relay_all()
        self.the_gateway_carries_out_all_calls_now()
        for page in tuple(self.world.provider.pages.values()):
            if page.status is AnswerStatus.ACTION_REQUIRED:
                self.world.report(page.payment_id, self.world.provider.pay(page.reference, self.world.now))
        self.the_gateway_carries_out_all_calls_now()

    @precondition(lambda self: self.world.words)
    @rule(everything=st.booleans())
    def the_gateway_relays(self, everything: bool) -> None:  # noqa: FBT001
        if everything:
            self.world.relay_all()
        else:
            self.world.relay(self.world.words.popleft())

    @rule(amount=st.sampled_from([1, 250, 500, 999, 999, 2500, -1, -250, -999]))
    def a_manager_grants_credit_or_takes_it_back(self, amount: int) -> None:
        if amount > 0:
            self.world.do(GrantCredit(amount=usd(amount), reason="kindness"))
        else:
            self.world.do(TakeBackCredit(amount=usd(-amount), reason="a mistake"))

    @rule(part=st.sampled_from([None, 1, 1000, 3333, 10_000]))
    def a_manager_changes_the_personal_discount(self, part: int | None) -> None:
        for discount_id in tuple(self.world.account.personal_discounts):
            self.world.do(RevokePersonalDiscount(discount_id=discount_id))
        if part is not None:
            until = self.world.now + timedelta(days=40)
            self.world.do(GrantPersonalDiscount(basis_points=part, reason="kindness", valid_until=until))

    @rule(table=st.sampled_from([{}, {1: 500}, {3: 1000, 6: 2000}]))
    def a_manager_changes_the_months_discounts(self, table: dict[int, int]) -> None:
        steps = tuple(MonthsStep(months=months, basis_points=part) for months, part in table.items())
        self.world.months = MonthsDiscounts(steps=steps)

    @rule(product=st.sampled_from(["cinema", "kids", "solaris"]), terms=st.sampled_from(TERMS))
    def a_manager_changes_the_terms_of_a_product(self, product: str, terms: Terms | None) -> None:
        is_film = terms is not None and product == "solaris"
        self.world.sell(product, Terms(refund_window=terms.refund_window) if terms and is_film else terms)

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def time_goes_on_to_a_renewal(self, data: Any) -> None:
        held = self.pick(data, self.running(), "subscription")
        if held.renew_at is not None:
            self.world.now = max(self.world.now, held.renew_at)
        self.world.fire_due()

    def running(self) -> list[Any]:
        return [held for held in self.world.account.subscriptions.values() if held.is_running]

    def the_gateway_carries_out_all_calls_now(self) -> None:
        while self.world.unanswered:
            self.world.carry_out(self.world.unanswered[0])

    @precondition(lambda self: self.world.account.orders)
    @rule(data=st.data())
    def the_customer_cancels_an_order(self, data: Any) -> None:
        self.world.do(CancelOrder(order_id=self.pick(data, self.world.account.orders, "order")))

    @precondition(lambda self: self.running())
    @rule(
        data=st.data(),
        how=st.sampled_from([CancelAt.PERIOD_END, CancelAt.NOW, "resume", "resume", "extend", "pause", "pause"]),
    )
    def somebody_changes_a_subscription(self, data: Any, how: str) -> None:
        subscription_id = self.pick(data, self.world.account.subscriptions, "subscription")
        if how == "resume":
            self.world.do(ResumeSubscription(subscription_id=subscription_id))
        elif how == "pause":
            self.world.do(PauseSubscription(subscription_id=subscription_id))
        elif how == "extend":
            self.world.do(ExtendSubscription(subscription_id=subscription_id, days=3, reason="kindness"))
        else:
            self.world.do(CancelSubscription(subscription_id=subscription_id, at=CancelAt(how)))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), plan=st.sampled_from(PLANS), at=st.sampled_from(ChangeAt), pays=st.booleans())
    def the_customer_changes_the_plan(self, data: Any, plan: str, at: ChangeAt, pays: bool) -> None:  # noqa: FBT001
        subscription_id = self.pick(data, self.running(), "subscription").id
        change = ChangePlan(subscription_id=subscription_id, price_id=PriceId(plan), at=at, provider="stripe")
        self.world.do(change)
        if pays:
            self.the_gateway_carries_out_all_calls_now()

    @precondition(lambda self: self.running())
    @rule(data=st.data(), days=st.sampled_from([29, 30, 31, 45]))
    def a_manager_migrates_a_price(self, data: Any, days: int) -> None:
        subscription_id = self.pick(data, self.running(), "subscription").id
        effective_at = self.world.now + timedelta(days=days)
        new = PriceId("cinema:new")
        self.world.do(MigratePrice(subscription_id=subscription_id, price_id=new, effective_at=effective_at))

    @rule(auto_renew=st.booleans())
    def the_customer_tries_a_plan(self, auto_renew: bool) -> None:  # noqa: FBT001
        self.world.do(StartTrial(price_id=PriceId("arthouse:month"), auto_renew=auto_renew))

    @precondition(lambda self: self.world.account.payments)
    @rule(data=st.data(), amount=st.sampled_from([None, None, 1, 250, 999, 10**6]), by_manager=st.booleans())
    def somebody_asks_for_money_back(self, data: Any, amount: int | None, by_manager: bool) -> None:  # noqa: FBT001
        payment_id = self.pick(data, self.world.account.payments, "payment")
        self.world.do(RequestRefund(payment_id=payment_id, amount=amount, by_manager=by_manager))

    @precondition(lambda self: self.running())
    @rule(data=st.data(), amount=st.sampled_from([100, 250, 400]), by_manager=st.booleans())
    def a_part_of_a_plan_goes_back(self, data: Any, amount: int, by_manager: bool) -> None:  # noqa: FBT001
        held = self.pick(data, self.running(), "subscription")
        for payment_id in sorted({source.payment_id for period in held.paid for source in period.sources}):
            self.world.do(RequestRefund(payment_id=payment_id, amount=amount, by_manager=by_manager))
        self.the_gateway_carries_out_all_calls_now()

    @precondition(lambda self: self.world.unanswered)
    @rule(data=st.data(), trouble=st.sampled_from([None, None, None, "drop", "lose", "deny"]))
    def the_gateway_carries_out_a_call(self, data: Any, trouble: str | None) -> None:
        effect: Effect = self.pick(data, self.world.unanswered, "call")
        self.world.provider.drop_calls = int(trouble == "drop")
        self.world.provider.lose_answers = int(trouble == "lose")
        self.world.provider.deny_refunds = int(trouble == "deny")
        self.world.carry_out(effect)
        self.world.provider.drop_calls = self.world.provider.lose_answers = self.world.provider.deny_refunds = 0

    @precondition(lambda self: self.world.unanswered)
    @rule()
    def the_gateway_carries_out_all_calls(self) -> None:
        self.the_gateway_carries_out_all_calls_now()

    @precondition(lambda self: self.world.calls)
    @rule(data=st.data())
    def a_zombie_repeats_an_old_call(self, data: Any) -> None:
        self.world.carry_out(self.pick(data, self.world.calls, "call"), is_first=False)

    @precondition(lambda self: self.world.provider.pages or self.world.provider.charges)
    @rule(
        data=st.data(), what=st.sampled_from(["pay", "pay", "pay", "decline", "process", "nothing"]), told=st.booleans()
    )
    def the_customer_acts_at_the_provider(self, data: Any, what: str, told: bool) -> None:  # noqa: FBT001
        provider = self.world.provider
        reference = self.pick(data, [*provider.pages, *provider.charges], "reference")
        collected = provider.pages.get(reference) or provider.charges[reference]
        answer = collected.answer()
        if what == "pay":
            answer = provider.pay(reference, self.world.now)
        elif what == "process":
            answer = provider.process(reference)
        elif what == "decline":
            answer = provider.decline(reference, "insufficient_funds")
        if told:
            self.world.report(collected.payment_id, answer)

    @precondition(lambda self: self.world.provider.methods)
    @rule(how=st.sampled_from(["works", "declines", "hard", "authenticates"]))
    def the_card_changes(self, how: str) -> None:
        for method in self.world.provider.methods.values():
            method.declines = "insufficient_funds" if how in {"declines", "hard"} else None
            method.hard = how == "hard"
            method.authenticates = how == "authenticates"

    @rule(status=st.sampled_from(STATUSES))
    def the_provider_changes_how_it_refunds(self, status: RefundAnswerStatus) -> None:
        if status is not RefundAnswerStatus.UNKNOWN:
            self.world.provider.refunds_become = status

    @precondition(lambda self: self.world.provider.pages or self.world.provider.charges)
    @rule(data=st.data(), is_inquiry=st.sampled_from([False, False, True]))
    def the_bank_disputes_a_payment(self, data: Any, is_inquiry: bool) -> None:  # noqa: FBT001
        provider = self.world.provider
        reference = self.pick(data, [*provider.pages, *provider.charges], "reference")
        self.world.bank_disputes(reference, is_inquiry=is_inquiry)

    @precondition(lambda self: self.world.provider.disputes)
    @rule(data=st.data(), status=st.sampled_from([DisputeStatus.UNDER_REVIEW, DisputeStatus.WON, DisputeStatus.LOST]))
    def the_bank_decides(self, data: Any, status: DisputeStatus) -> None:
        self.world.bank_decides(self.pick(data, self.world.provider.disputes, "dispute"), status)

    @precondition(lambda self: self.world.account.refunds)
    @rule(data=st.data())
    def the_bank_does_not_take_a_refund(self, data: Any) -> None:
        self.world.bank_bounces(self.pick(data, self.world.account.refunds, "refund"))

    @precondition(lambda self: self.world.hooks)
    @rule(data=st.data(), newest=st.booleans())
    def the_provider_tells_of_the_bank(self, data: Any, newest: bool) -> None:  # noqa: FBT001
        self.world.do(self.world.hooks[-1] if newest else self.pick(data, self.world.hooks, "webhook"))

    @rule(span=st.sampled_from(SPANS), fires=st.booleans())
    def time_goes_on(self, span: timedelta, fires: bool) -> None:  # noqa: FBT001
        self.world.now += span
        if fires:
            self.world.fire_due()

    @precondition(lambda self: bool(pending(self.world.account)))
    @rule()
    def time_goes_on_to_the_next_deadline(self) -> None:
        self.world.now = max(self.world.now, min(timer.due_at for timer in pending(self.world.account)))
        self.world.fire_due()

    @precondition(lambda self: bool(pending(self.world.account)))
    @rule(data=st.data())
    def a_timer_fires_by_itself(self, data: Any) -> None:
        timer = self.pick(data, pending(self.world.account), "timer")
        if timer.due_at <= self.world.now:
            self.world.fire(timer)

    @precondition(lambda self: bool(pending(self.world.account)))
    @rule(data=st.data())
    def a_manager_resumes_what_waits(self, data: Any) -> None:
        """At any time, due or not: no law of money may be broken by it."""
        timer = self.pick(data, pending(self.world.account), "timer")
        self.world.do(ResumeOverdue(subject=str(subject_of(timer))))

    @invariant()
    def the_laws_hold(self) -> None:
        for law in LAWS:
            law(self.world)

    def teardown(self) -> None:
        self.world.provider.refunds_become = RefundAnswerStatus.SUCCEEDED
        self.world.settle()
        self.the_laws_hold()
        the_books_agree(self.world)
        assert all(charge.status is not AnswerStatus.PROCESSING for charge in self.world.provider.charges.values())


TestAccount = AccountMachine.TestCase
TestAccount.settings = settings(max_examples=80, stateful_step_count=40)
