"""One account, the provider in memory, and a clock: what the state machine plays with.

The world knows the log and the provider's books. The laws are told in terms of these two alone, never in terms of how
the deciders work.
"""

from __future__ import annotations

from collections import deque
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from domain.account import decider as account_decider
from domain.account.evolve import evolve
from domain.account.state import INITIAL, Account
from domain.decider import Command
from domain.disputes.commands import DisputeReport, ReportDispute
from domain.effects import (
    AnswerStatus,
    ChargeMethod,
    CloseCheckout,
    CreateCheckout,
    FetchPayment,
    ProviderAnswer,
    RefundAnswer,
    RefundAnswerStatus,
    RefundPayment,
    SendCommand,
)
from domain.errors import DomainError
from domain.ids import CommandId, PaymentId, RefundId, derive
from domain.orders.commands import PlaceOrder
from domain.orders.state import OrderPurpose
from domain.payments.commands import AnswerCall, ReportPayment
from domain.payments.events import PaymentCloseRequested
from domain.policies.reactions import pending, react
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.promo import decider as promo_decider
from domain.promo.reactions import answer as answer_of
from domain.promo.state import PromoCodeUses
from domain.refunds.commands import AnswerRefund
from infra.memory.provider import MemoryProvider
from schemas.codec import decode, encode, type_of
from schemas.messages import EFFECTS, EVENTS
from tests.domain.ledger_kit import Folded
from tests.domain.spec import OFFERS, POLICIES, T0, usd

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from datetime import datetime

    from domain.catalog.state import Offer
    from domain.disputes.state import DisputeStatus
    from domain.effects import Effect
    from domain.ids import PriceId
    from domain.policies.reactions import Timer
    from domain.policies.settings import Policies
    from domain.policies.terms import Terms
    from domain.promo.state import PromoState


ACCOUNT = "ann"
PURITY_CHECK_EVERY = 5
"""A deep copy costs more than all else."""
PROMOS = {
    "HALF": PromoCode(code="HALF", basis_points=5000, uses_max=2),
    "FREE": PromoCode(code="FREE", basis_points=10_000, uses_max=1),
    "ONCE": PromoCode(code="ONCE", basis_points=1500, uses_per_account_max=1),
    "FIVE": PromoCode(code="FIVE", amount=usd(500), uses_max=3, uses_per_account_max=2),
}


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that exists: the log, what is believed of it, the provider's books, and calls on their way."""

    account: Account = INITIAL
    log: list[Any] = field(default_factory=list)
    now: datetime = T0
    ledger: Folded = field(default_factory=Folded)
    provider: MemoryProvider = field(default_factory=lambda: MemoryProvider(name="stripe"))
    calls: list[Effect] = field(default_factory=list)
    """Every call that was asked for; any of them may be carried out at any time and as often as somebody likes."""
    unanswered: list[Effect] = field(default_factory=list)
    words: deque[SendCommand] = field(default_factory=deque)
    """What the account and the promo codes say to each other, in its order, not relayed yet."""
    codes: dict[str, PromoState] = field(
        default_factory=lambda: {code: PromoCodeUses(promo=promo) for code, promo in PROMOS.items()}
    )
    months: MonthsDiscounts = field(default_factory=MonthsDiscounts)
    decided: set[str] = field(default_factory=set)
    """Ids of commands that have an outcome: the engine decides none twice."""
    commands: int = 0
    policies: Policies = POLICIES
    offers: Mapping[PriceId, Offer] = field(default_factory=lambda: dict(OFFERS))
    hooks: list[Any] = field(default_factory=list)
    """Everything that the bank made the provider say, in its order; a webhook may come late, twice, or at the end."""

    def __post_init__(self) -> None:
        """There is one clock."""
        self.provider.now = lambda: self.now

    def do(self, data: Any, command_id: str | None = None) -> bool:
        """Decide a command as the engine does; tell whether it was accepted."""
        self.commands += 1
        if command_id in self.decided:
            return True
        command: Command[Any] = Command(
            id=CommandId(command_id or f"command {self.commands}"),
            key=ACCOUNT,
            at=self.now,
            actor="test",
            data=data,
            prices=self.offers,
            months_discounts=self.months,
            promo_code=PROMOS.get(data.promo_code) if isinstance(data, PlaceOrder) and data.promo_code else None,
            policies=self.policies,
        )
        self.decided.add(command.id)
        before = self.account
        photograph = deepcopy(before) if self.commands % PURITY_CHECK_EVERY == 0 else before
        try:
            events = account_decider.decide(before, command)
        except DomainError:
            assert before == photograph
            return False
        assert events == account_decider.decide(before, command), "the same question has the same answer"
        assert before == photograph, "a decision changes nothing"
        for event in events:
            assert decode(type_of(event), encode(event), EVENTS) == event, "an event survives the wire"
            self.account = evolve(self.account, event)
            self.log.append(event)
            self.ledger.take(event, self.now)
            call = react(self.account, event)
            if isinstance(call, SendCommand):
                self.words.append(call)
            elif call is not None:
                assert decode(type_of(call), encode(call), EFFECTS) == call, "an effect survives the wire"
                if isinstance(call, ChargeMethod):
                    a_charge_is_asked_for_in_time(self, call)
                self.calls.append(call)
                self.unanswered.append(call)
        return True

    def fire(self, timer: Timer) -> None:
        """Fire a timer; its command has the id that its name gives it."""
        self.do(timer.data, derive(ACCOUNT, f"timer {timer.name}"))

    def fire_due(self) -> None:
        """Fire all that is due, as the engine does in its rounds."""
        for _ in range(50):
            due = [timer for timer in pending(self.account) if timer.due_at <= self.now]
            fresh = [timer for timer in due if derive(ACCOUNT, f"timer {timer.name}") not in self.decided]
            if not fresh:
                return
            for timer in fresh:
                self.fire(timer)
        raise AssertionError("timers follow timers for ever")

    def carry_out(self, effect: Effect, *, is_first: bool = True) -> None:
        """Let the gateway carry out a call and tell the answer; a repeat tells what it learns by another id."""
        if effect in self.unanswered:
            self.unanswered.remove(effect)
        answer = _ask(self.provider, effect)
        suffix = "" if is_first else f" again {self.commands}"
        command_id = derive(effect.effect_id, f"answer {effect.attempt}{suffix}")
        if isinstance(effect, RefundPayment):
            assert isinstance(answer, RefundAnswer)
            done = self.provider.refunds.get(f"refund-{effect.effect_id}")
            if done is not None and answer.reference is None:  # carried out, and the call was refused all the same
                late = AnswerRefund(refund_id=effect.refund_id, effect_id=None, attempt=0, answer=done.answer())
                self.hooks.append(late)
            told: Any = AnswerRefund(
                refund_id=effect.refund_id, effect_id=effect.effect_id, attempt=effect.attempt, answer=answer
            )
        else:
            assert isinstance(answer, ProviderAnswer)
            told = AnswerCall(
                payment_id=effect.payment_id, effect_id=effect.effect_id, attempt=effect.attempt, answer=answer
            )
        self.do(told, command_id)

    def sell(self, product_id: str, terms: Terms | None) -> None:
        """Let a product have other terms of its own from now on."""
        for name, offer in self.offers.items():
            if offer.product.id == product_id:
                self.offers = {**self.offers, name: replace(offer, product=replace(offer.product, terms=terms))}

    def relay(self, word: SendCommand) -> None:
        """Let the gateway relay a word of the account to a promo code, or back."""
        command_id = derive(word.effect_id, f"relay {word.attempt}")
        if word.key == ACCOUNT:
            self.do(word.data, command_id)
            return
        if command_id in self.decided:
            return
        self.decided.add(command_id)
        code = word.data.code  # type: ignore[union-attr]  # answers go to the account
        command: Command[Any] = Command(
            id=CommandId(command_id), key=word.key, at=self.now, actor="test", data=word.data
        )
        for event in promo_decider.decide(self.codes[code], command):
            self.codes[code] = promo_decider.evolve(self.codes[code], event)
            back = answer_of(event)
            if back is not None:
                self.words.append(back)

    def relay_all(self) -> None:
        """Let the gateway relay everything, and what is said to it."""
        while self.words:
            self.relay(self.words.popleft())

    def report(self, payment_id: str, answer: ProviderAnswer) -> None:
        """Let a webhook tell."""
        report_id = f"evt {self.commands}"
        self.do(ReportPayment(payment_id=PaymentId(payment_id), provider="stripe", report_id=report_id, answer=answer))

    def bank_disputes(self, reference: str, *, is_inquiry: bool) -> None:
        """Let the customer's bank dispute what was paid."""
        report = self.provider.dispute(reference, self.now, is_inquiry=is_inquiry)
        if report is not None:
            self._hook_of(report)

    def bank_decides(self, reference: str, status: DisputeStatus) -> None:
        """Let the bank go on with a dispute."""
        self._hook_of(self.provider.decide_dispute(reference, self.now, status))

    def bank_bounces(self, refund_id: str) -> None:
        """Let the bank refuse a refund that had succeeded."""
        reference = self.account.refunds[RefundId(refund_id)].reference
        if reference in self.provider.refunds:
            answer = self.provider.bounce_refund(reference, self.now)
            self.hooks.append(AnswerRefund(refund_id=RefundId(refund_id), effect_id=None, attempt=0, answer=answer))

    def _hook_of(self, report: DisputeReport) -> None:
        payment_id = PaymentId(self.provider.disputes[report.reference].payment_id)
        report_id = f"evt {len(self.hooks)}"
        self.hooks.append(ReportDispute(payment_id=payment_id, provider="stripe", report_id=report_id, dispute=report))

    def _settle_refunds(self) -> bool:
        """Let the bank carry out what it works on, and tell it: what webhooks lose, the sweep brings."""
        waiting = [refund for refund in self.provider.refunds.values() if refund.status is RefundAnswerStatus.PENDING]
        for refund in waiting:
            answer = self.provider.settle_refund(refund.reference, succeeds=True)
            self.do(AnswerRefund(refund_id=RefundId(refund.refund_id), effect_id=None, attempt=0, answer=answer))
        return bool(waiting)

    def settle(self) -> None:
        """Let the provider answer everything and time go on until nothing of money waits any more."""
        for method in self.provider.methods.values():
            method.declines, method.hard = "insufficient_funds", True
        for hook in self.hooks:
            self.do(hook)
        for _ in range(400):
            while self.unanswered or self.words:
                self.relay_all()
                if self.unanswered:
                    self.carry_out(self.unanswered[0])
            due = [timer.due_at for timer in pending(self.account)]
            if not due:
                if self._settle_refunds():
                    continue
                return
            self.now = max(self.now, min(due))
            for page in (*self.provider.pages.values(), *self.provider.charges.values()):
                if page.status is AnswerStatus.PROCESSING:
                    page.status = AnswerStatus.CLOSED
            self._settle_refunds()
            self.fire_due()
        raise AssertionError(f"it never comes to rest: {pending(self.account)}")


def _ask(provider: MemoryProvider, effect: Effect) -> ProviderAnswer | RefundAnswer:
    asked: Coroutine[Any, Any, ProviderAnswer | RefundAnswer]
    match effect:
        case CreateCheckout():
            asked = provider.create_checkout(effect, account=ACCOUNT)
        case ChargeMethod():
            asked = provider.charge(effect, account=ACCOUNT)
        case FetchPayment():
            asked = provider.fetch(effect, account=ACCOUNT)
        case CloseCheckout():
            asked = provider.close_checkout(effect, account=ACCOUNT)
        case RefundPayment():
            asked = provider.refund(effect, account=ACCOUNT)
    try:
        asked.send(None)  # the provider in memory never waits
    except StopIteration as done:
        answer: ProviderAnswer | RefundAnswer = done.value
        return answer
    raise AssertionError("the provider in memory waits for something")


def of(world: World, kind: type) -> list[Any]:
    """The events of a kind."""
    return [event for event in world.log if isinstance(event, kind)]


def a_charge_is_asked_for_in_time(world: World, call: ChargeMethod) -> None:
    """Never again after it was to be closed, and never for a subscription whose access is over."""
    closed = {event.payment_id for event in of(world, PaymentCloseRequested)}
    assert call.payment_id not in closed, call
    assert world.now < call.expires_at, call
    order = world.account.orders[call.order_id]
    subscription = world.account.subscriptions[order.lines[0].subscription_id]  # type: ignore[index]  # plans alone
    assert subscription.is_running, call
    assert order.purpose is OrderPurpose.PLAN_CHANGE or world.now < subscription.access_end, call
