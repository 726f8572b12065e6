"""One customer, one provider, and a world that loses, repeats and delays everything between them.

A machine of Hypothesis drives the real deciders, the real timers and a real provider (the one in memory). In the end
the world is mended, and then nothing may be open: every payment has its end, and our log and the provider's books
agree about every payment that was made.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.account.state import INITIAL, Account
from domain.decider import Command
from domain.effects import AnswerStatus, CloseCheckout, CreateCheckout, Effect, FetchPayment, ProviderAnswer
from domain.ids import CommandId, PaymentId, PriceId
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from domain.payments.events import PaymentSucceeded
from domain.payments.state import Ended, Succeeded
from domain.policies.reactions import Timer, pending
from infra.memory.provider import MemoryProvider
from tests.domain import laws
from tests.domain.spec import OFFERS, POLICIES, T0

if TYPE_CHECKING:
    from collections.abc import Coroutine

BUYABLE = ["solaris:own", "solaris:eur", "stalker:rent", "cinema:month", "cinema:days", "kids:month"]
ROUNDS_MAX = 300
ACTS = st.sampled_from(["pay", "pay", "process", "process", "decline", "lapse"])


def now(coroutine: Coroutine[Any, Any, ProviderAnswer]) -> ProviderAnswer:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        answer: ProviderAnswer = stop.value
        return answer
    raise AssertionError("the provider in memory waits for nothing")


class Customer(RuleBasedStateMachine):
    """The world between us and the provider, and its faults."""

    def __init__(self) -> None:
        super().__init__()
        self.account: Account = INITIAL
        self.clock = T0
        self.commands = 0
        self.provider = MemoryProvider(name="stripe", refused_currencies=frozenset({"EUR"}))
        self.effects: list[Effect] = []
        """All that were ever written: any may be delivered again."""
        self.mail: list[AnswerCall | ReportPayment] = []
        """All answers and webhooks that were ever sent, likewise."""
        self.timers: list[Timer] = []
        """All timers that were ever set, likewise."""
        self.succeeded: list[PaymentId] = []

    def decide(self, data: Any) -> None:
        self.commands += 1
        command: Command[Any] = Command(
            id=CommandId(f"command {self.commands}"),
            key="ann",
            at=self.clock,
            actor="test",
            data=data,
            prices=OFFERS,
            policies=POLICIES,
        )
        before = self.account
        self.account, events, effects = laws.decided(self.account, command)
        self.effects += effects
        self.timers += [timer for timer in pending(self.account) if timer not in pending(before)]
        self.succeeded += [event.payment_id for event in events if isinstance(event, PaymentSucceeded)]

    def call(self, effect: Effect) -> None:
        match effect:
            case CreateCheckout():
                told = now(self.provider.create_checkout(effect, account="ann"))
            case FetchPayment():
                told = now(self.provider.fetch(effect, account="ann"))
            case CloseCheckout():
                told = now(self.provider.close_checkout(effect, account="ann"))
        self.mail.append(
            AnswerCall(payment_id=effect.payment_id, effect_id=effect.effect_id, attempt=effect.attempt, answer=told)
        )

    def webhook(self, reference: str, told: ProviderAnswer) -> None:
        payment_id = PaymentId(self.provider.pages[reference].payment_id)
        self.mail.append(
            ReportPayment(payment_id=payment_id, provider="stripe", report_id=f"evt {len(self.mail)}", answer=told)
        )

    @rule(prices=st.lists(st.sampled_from(BUYABLE), min_size=1, max_size=2, unique=True), renew=st.booleans())
    def orders(self, prices: list[str], renew: bool) -> None:  # noqa: FBT001  # Hypothesis passes what it draws
        items = tuple(OrderItem(price_id=PriceId(name)) for name in prices)
        self.decide(PlaceOrder(items=items, provider="stripe", auto_renew=renew))

    @precondition(lambda self: any(timer.due_at <= self.clock for timer in pending(self.account)))
    @rule()
    def what_is_due_fires(self) -> None:
        for timer in pending(self.account):
            if timer.due_at <= self.clock:
                self.decide(timer.data)

    @precondition(lambda self: self.account.orders)
    @rule(data=st.data())
    def cancels(self, data: st.DataObject) -> None:
        self.decide(CancelOrder(order_id=data.draw(st.sampled_from(sorted(self.account.orders)))))

    @precondition(lambda self: self.effects)
    @rule()
    def the_newest_call_is_made_and_answered(self) -> None:
        self.call(self.effects[-1])
        self.decide(self.mail[-1])

    @precondition(lambda self: self.mail)
    @rule()
    def the_newest_mail_arrives(self) -> None:
        self.decide(self.mail[-1])

    @precondition(lambda self: self.effects)
    @rule(data=st.data(), fault=st.sampled_from(["none", "none", "drop", "lose"]))
    def gateway_calls(self, data: st.DataObject, fault: str) -> None:
        self.provider.drop_calls = int(fault == "drop")
        self.provider.lose_answers = int(fault == "lose")
        self.call(data.draw(st.sampled_from(self.effects[-6:])))
        self.provider.drop_calls = self.provider.lose_answers = 0

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def mail_arrives(self, data: st.DataObject) -> None:
        self.decide(data.draw(st.sampled_from(self.mail[-6:])))

    @precondition(lambda self: self.provider.pages)
    @rule(data=st.data(), act=ACTS, told=st.booleans())
    def customer_acts(self, data: st.DataObject, act: str, told: bool) -> None:  # noqa: FBT001  # likewise
        self.act(data.draw(st.sampled_from(sorted(self.provider.pages))), act)
        if told:
            self.decide(self.mail[-1])

    @precondition(lambda self: self.open_pages)
    @rule(data=st.data(), act=ACTS)
    def customer_acts_at_an_open_page(self, data: st.DataObject, act: str) -> None:
        self.act(data.draw(st.sampled_from(self.open_pages)), act)
        self.decide(self.mail[-1])

    @property
    def open_pages(self) -> list[str]:
        return sorted(
            reference
            for reference, page in self.provider.pages.items()
            if page.status in {AnswerStatus.ACTION_REQUIRED, AnswerStatus.PROCESSING}
        )

    def act(self, reference: str, act: str) -> None:
        page = self.provider.pages[reference]
        match act:
            case "pay":
                self.webhook(reference, self.provider.pay(reference, self.clock))
            case "process":
                self.webhook(reference, self.provider.process(reference))
            case "decline":
                self.webhook(reference, self.provider.decline(reference, "insufficient_funds"))
            case _:
                if page.status is AnswerStatus.ACTION_REQUIRED:
                    page.status = AnswerStatus.CLOSED
                self.webhook(reference, page.answer())

    @rule(passed=st.timedeltas(timedelta(0), timedelta(days=2)))
    def time_passes(self, passed: timedelta) -> None:
        self.clock += passed

    @precondition(lambda self: self.timers)
    @rule(data=st.data())
    def a_timer_fires(self, data: st.DataObject) -> None:
        """One that is due, whether or not it still means anything."""
        timer = data.draw(st.sampled_from(self.timers[-6:]))
        self.clock = max(self.clock, timer.due_at)
        self.decide(timer.data)

    @invariant()
    def money_and_access_agree(self) -> None:
        laws.check(self.account)
        assert len(set(self.succeeded)) == len(self.succeeded), "a payment succeeds once"
        for payment in self.account.payments.values():
            pages = [page for page in self.provider.pages.values() if page.payment_id == payment.id]
            assert len(pages) <= 1, "one payment, one page"
            if isinstance(payment.phase, Succeeded):
                assert pages[0].status is AnswerStatus.SUCCEEDED, "success means money"
            if isinstance(payment.phase, Ended):
                assert all(page.status is AnswerStatus.CLOSED for page in pages), "what has ended cannot be paid"

    def teardown(self) -> None:
        """The faults are over: timers fire, calls arrive, answers come. No webhook is sent any more."""
        delivered = len(self.effects)
        for effect in self.effects:
            self.call(effect)
        for _ in range(ROUNDS_MAX):
            for message in self.mail:
                self.decide(message)
            self.mail.clear()
            due = sorted(pending(self.account), key=lambda timer: timer.due_at)
            if not due:
                break
            self.clock = max(self.clock, due[0].due_at)
            self.decide(due[0].data)
            for reference, page in self.provider.pages.items():
                if page.status is AnswerStatus.PROCESSING:
                    self.provider.pay(reference, self.clock)
            for effect in self.effects[delivered:]:
                self.call(effect)
            delivered = len(self.effects)
        else:
            raise AssertionError(f"still open after {ROUNDS_MAX} rounds: {pending(self.account)}")
        self.money_and_access_agree()
        paid_at_provider = {
            page.payment_id for page in self.provider.pages.values() if page.status is AnswerStatus.SUCCEEDED
        }
        assert paid_at_provider == set(self.succeeded), "the books agree about every payment"


TestOneCustomer = Customer.TestCase
TestOneCustomer.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
