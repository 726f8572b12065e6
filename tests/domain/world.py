"""One account, the provider in memory, and a clock: what the state machine plays with, and the laws that must hold.

The world knows the log and the provider's books. The laws are told in terms of these two alone, never in terms of how
the deciders work.
"""

from __future__ import annotations

from collections import Counter, deque
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

from domain.account import decider as account_decider
from domain.account.evolve import evolve
from domain.account.state import INITIAL, Account
from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.catalog.state import ProductKind
from domain.decider import Command
from domain.disputes.commands import DisputeReport, ReportDispute
from domain.disputes.events import DisputeOpened
from domain.disputes.state import DisputeStatus
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
from domain.ids import CommandId, OrderId, PaymentId, RefundId, derive
from domain.orders.commands import PlaceOrder
from domain.orders.events import OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OPEN_STATUSES, OrderPurpose, OrderStatus
from domain.payments.commands import AnswerCall, ReportPayment
from domain.payments.events import PaymentCloseRequested, PaymentSucceeded
from domain.payments.state import Closing, Created, Ended, Payment, Succeeded
from domain.policies.reactions import pending, react
from domain.policies.settings import DisputeAccess, Policies, RefundAccess
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.promo import decider as promo_decider
from domain.promo.reactions import answer as answer_of
from domain.promo.state import PromoCodeUses, PromoUseStatus
from domain.refunds.commands import AnswerRefund
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded
from domain.refunds.state import RefundedBy, RefundStatus
from domain.subscriptions.events import (
    AccessBlocked,
    PlanChanged,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from infra.memory.provider import MemoryProvider
from schemas.codec import decode, encode, type_of
from schemas.messages import EFFECTS, EVENTS
from tests.domain.ledger_kit import Folded
from tests.domain.spec import OFFERS, POLICIES, T0, usd

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping
    from datetime import datetime

    from domain.catalog.state import Offer
    from domain.effects import Effect
    from domain.ids import PriceId
    from domain.policies.reactions import Timer
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
LONGEST_MONTH = timedelta(days=31)
LONGEST_TRIAL = timedelta(days=max(offer.price.trial_days or 0 for offer in OFFERS.values()))


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


def the_account_is_the_fold_of_its_log(world: World) -> None:
    assert reduce(evolve, world.log, INITIAL) == world.account


def every_charge_was_agreed(world: World) -> None:
    orders = {placed.order_id: placed for placed in of(world, OrderPlaced)}
    prices = {offer.price.id: offer.price.amount for offer in OFFERS.values()}
    payers = {paid.order_id: paid.payment_id for paid in of(world, OrderPaid)}
    holders = {used.order_id for used in of(world, BalanceUsed)}
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        if collected.status is not AnswerStatus.SUCCEEDED:
            continue
        order = orders[world.account.payments[PaymentId(collected.payment_id)].order_id]
        assert order.total == order.subtotal - order.discount
        price = order.total.amount - (0 if order.credit is None else order.credit.amount)
        if payers.get(order.order_id) == collected.payment_id:
            assert collected.amount.amount + world.account.orders[order.order_id].balance_used == price
        else:
            assert collected.amount.amount == price or order.order_id in holders
        assert 0 < collected.amount.amount <= price
        assert order.credit is None or 0 <= order.credit.amount <= order.total.amount
        assert order.subtotal.amount == sum(line.total.amount for line in order.lines)
        assert order.discount.amount == sum(line.discount_amount for line in order.lines)
        for line in order.lines:
            assert line.unit_price == prices[line.price_id]
            assert line.total == line.unit_price * line.quantity
            assert 0 <= line.discount_amount <= line.total.amount


def credit_is_used_once_or_left(world: World) -> None:
    """What came onto the balance is on it, held by an open order, or paid for something; it is never below nothing."""
    left: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for event in world.log:
        match event:
            case CreditGranted() | BalanceRefunded():
                left[event.amount.currency] += event.amount.amount
            case CreditTakenBack():
                left[event.amount.currency] -= event.amount.amount
            case BalanceUsed() | BalanceReturned():
                sign = 1 if isinstance(event, BalanceUsed) else -1
                left[event.amount.currency] -= sign * event.amount.amount
                held[event.order_id] += sign * event.amount.amount
                assert held[event.order_id] >= 0
            case _:
                continue
        assert left[event.amount.currency] >= 0
    assert {currency: amount for currency, amount in world.account.balances.items() if amount} == +left
    paid = {event.order_id: event.amount.amount for event in of(world, BalancePaid)}
    assert len(paid) == len(of(world, BalancePaid)), "the balance pays for an order once"
    for order in world.account.orders.values():
        if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED}:
            assert held[order.id] == 0, order
        elif order.status not in OPEN_STATUSES:
            assert held[order.id] == paid.get(order.id, 0), order


def no_money_moves_twice(world: World) -> None:
    succeeded = Counter(event.payment_id for event in of(world, PaymentSucceeded))
    assert all(times == 1 for times in succeeded.values())
    fulfilled = Counter(event.order_id for event in of(world, OrderFulfilled))
    assert all(times == 1 for times in fulfilled.values())
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        assert 0 <= collected.returned <= collected.amount.amount
    late = {event.payment_id for event in of(world, RefundReinstated)}
    for payment in world.account.payments.values():
        assert 0 <= payment.refunded <= payment.amount.amount
        assert payment.refunding >= 0
        # What went unknown to us may be promised a second time by then; the provider refuses that.
        assert payment.id in late or payment.refunded + payment.refunding <= payment.amount.amount


def no_money_is_silently_kept(world: World) -> None:
    """Whatever was paid bought something, or was asked to go back whole."""
    fulfilled = {event.order_id for event in of(world, OrderFulfilled)}
    back: Counter[str] = Counter()
    for moved in (*of(world, RefundRequested), *of(world, DisputeOpened)):
        back[moved.payment_id] += moved.amount.amount
    payers = {paid.order_id: paid.payment_id for paid in of(world, OrderPaid)}
    for paid in of(world, PaymentSucceeded):
        if payers.get(paid.order_id) == paid.payment_id and paid.order_id in fulfilled:
            continue
        assert back[paid.payment_id] >= paid.amount.amount, paid


def a_charge_is_asked_for_in_time(world: World, call: ChargeMethod) -> None:
    """Never again after it was to be closed, and never for a subscription whose access is over."""
    closed = {event.payment_id for event in of(world, PaymentCloseRequested)}
    assert call.payment_id not in closed, call
    assert world.now < call.expires_at, call
    order = world.account.orders[call.order_id]
    subscription = world.account.subscriptions[order.lines[0].subscription_id]  # type: ignore[index]  # plans alone
    assert subscription.is_running, call
    assert order.purpose is OrderPurpose.PLAN_CHANGE or world.now < subscription.access_end, call


def no_access_without_money(world: World) -> None:
    """Each right to watch comes from an order that was paid, and no time is given that nobody paid or gave."""
    fulfilled = {event.order_id for event in of(world, OrderFulfilled)}
    orders = {placed.order_id: placed for placed in of(world, OrderPlaced) if placed.order_id in fulfilled}
    paid = {event.order_id for event in (*of(world, PaymentSucceeded), *of(world, BalancePaid))}
    for resource, held in world.account.entitlements.items():
        assert held.order_id in orders, held
        assert held.order_id in paid or _costs_nothing(orders[held.order_id])
        line = next(line for line in orders[held.order_id].lines if line.resource == resource)
        if line.kind is ProductKind.SUBSCRIPTION:
            assert held.subscription_id is not None
            assert held.until is not None
            subscription = world.account.subscriptions[held.subscription_id]
            assert subscription.is_running
            assert subscription.paused_at is None
            assert held.until == subscription.access_end
            grace = POLICIES.grace if subscription.terms is None else subscription.terms.grace
            assert grace is not None
            assert held.until <= subscription.period_end + grace
            _bought_time_covers(world, orders, resource, subscription.period_end)
        else:
            assert held.until is None or line.validity_days is not None


def _bought_time_covers(world: World, orders: dict[Any, OrderPlaced], resource: str, end: datetime) -> None:
    lines = [
        line
        for order in orders.values()
        for line in order.lines
        if line.resource == resource and order.purpose is not OrderPurpose.TRIAL
    ]
    trials = sum(order.purpose is OrderPurpose.TRIAL for order in orders.values())
    bought = sum(
        (
            timedelta(days=line.period.count * line.quantity)
            if line.period.unit == "day"
            else LONGEST_MONTH * line.period.count * line.quantity
            for line in lines
            if line.period is not None
        ),
        timedelta(0),
    )
    given = sum((timedelta(days=event.days) for event in of(world, SubscriptionExtended)), timedelta(0))
    # Where there is no grace, a plan that changes at the end begins with its charge, that much before the end.
    early = world.policies.end_lead_without_grace
    assert end - world.now <= bought + given + trials * LONGEST_TRIAL + early, (resource, end, world.now)


def _costs_nothing(order: OrderPlaced) -> bool:
    return order.total.amount == 0 or order.total == order.credit


def what_runs_gives_access_unless_it_rests(world: World) -> None:
    for held in world.account.subscriptions.values():
        if held.is_running:
            right = world.account.entitlements.get(held.resource)
            assert (right is None) == (held.paused_at is not None), held
            assert right is None or right.subscription_id == held.id


def money_of_a_payment_is_counted_once(world: World) -> None:
    """What is carried over into another period by a change of plan is in no other one any more."""
    counted: Counter[str] = Counter()
    for held in world.account.subscriptions.values():
        for period in held.paid:
            assert period.start <= period.end
            for source in period.sources:
                assert source.amount > 0
                counted[source.payment_id] += source.amount
    for payment_id, amount in counted.items():
        assert amount <= world.account.payments[PaymentId(payment_id)].amount.amount


def nobody_pays_for_time_without_access(world: World) -> None:
    """A period that begins before its money came joins the one before, whose access had not ended."""
    access: dict[str, datetime] = {}
    paused: set[str] = set()
    for event in world.log:
        match event:
            case SubscriptionRenewed():
                assert event.subscription_id not in paused
                assert event.period_start >= event.renewed_at or access[event.subscription_id] >= event.renewed_at
                access[event.subscription_id] = event.access_end
            case SubscriptionPaused():
                paused.add(event.subscription_id)
            case SubscriptionContinued():
                paused.remove(event.subscription_id)
                access[event.subscription_id] = event.access_end
            case SubscriptionShortened():
                access[event.subscription_id] = event.period_end
            case SubscriptionEnded():
                paused.discard(event.subscription_id)
                access[event.subscription_id] = event.ended_at
            case _:
                if isinstance(event, SubscriptionEvent) and hasattr(event, "access_end"):
                    access[event.subscription_id] = event.access_end


def a_product_is_tried_once(world: World) -> None:
    had: set[str] = set()
    for event in world.log:
        if isinstance(event, SubscriptionStarted):
            assert not (event.is_trial and event.product_id in had)
            had.add(event.product_id)
        elif isinstance(event, PlanChanged):
            had.add(event.plan.product_id)


def what_waits_has_a_timer(world: World) -> None:
    timers = pending(world.account)
    names = [timer.name for timer in timers]
    assert len(set(names)) == len(names)
    waiting = " ".join(names)
    for payment in world.account.payments.values():
        if not isinstance(payment.phase, Succeeded | Ended):
            of_payment = [name for name in names if payment.id in name]
            of_call = payment.call is not None and payment.call.effect_id in waiting
            assert of_payment or of_call, payment
    for refund in world.account.refunds.values():
        if refund.status in {RefundStatus.REQUESTED, RefundStatus.SUBMITTED}:
            assert refund.id in waiting or (refund.call is not None and refund.call.effect_id in waiting)
    for subscription in world.account.subscriptions.values():
        if subscription.is_running:
            assert subscription.id in waiting
    for order in world.account.orders.values():
        if order.status not in OPEN_STATUSES:
            continue
        if order.payment_id not in world.account.payments:
            assert world.account.promo_uses[order.id].status is PromoUseStatus.RESERVING
            assert order.id in waiting
            continue
        payment = world.account.payments[order.payment_id]
        if order.purpose is not OrderPurpose.RENEWAL:
            assert not isinstance(payment.phase, Succeeded | Ended), order
        else:
            renews = [held for held in world.account.subscriptions.values() if held.renewal_order_id == order.id]
            closing = isinstance(payment.phase, Closing | Created)
            assert closing or (renews and renews[0].is_running), order


def promo_codes_keep_their_limits(world: World) -> None:
    for code, state in world.codes.items():
        assert isinstance(state, PromoCodeUses)
        limit = PROMOS[code].uses_max
        assert limit is None or len(state.reserved) + state.settled <= limit
    for code, promo in PROMOS.items():
        held = [use for use in world.account.promo_uses.values() if use.code == code and use.call is None]
        assert promo.uses_per_account_max is None or len(held) <= promo.uses_per_account_max
    for use in world.account.promo_uses.values():
        order = world.account.orders[use.order_id]
        assert order.promo_code == use.code
        is_dead = order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED}
        assert is_dead == (use.status is PromoUseStatus.RELEASING), (use, order.status)


def lost_money_gives_no_access(world: World) -> None:
    """What a payment bought is gone when a dispute took all of its money for good, unless the policy lets it stay."""
    if world.policies.dispute_access is DisputeAccess.NEVER:
        return
    for dispute in world.account.disputes.values():
        payment = world.account.payments[dispute.payment_id]
        is_all = dispute.withheld + payment.refunded >= payment.amount.amount
        order = world.account.orders[payment.order_id]
        if dispute.status is not DisputeStatus.LOST or not is_all or order.payment_id != payment.id:
            continue
        assert not any(
            held.order_id == order.id and held.subscription_id is None for held in world.account.entitlements.values()
        )
        assert not any(
            period.order_id == order.id and period.end > world.now
            for held in world.account.subscriptions.values()
            for period in held.paid
            if held.is_running
        )


def paying_for(world: World) -> dict[OrderId, list[Payment]]:
    """Return what each order was paid with, by money and out of the balance."""
    found: dict[OrderId, list[Payment]] = {}
    for event in (*of(world, OrderPaid), *of(world, BalancePaid)):
        payment = world.account.payments[event.payment_id]
        if payment not in found.setdefault(event.order_id, []):
            found[event.order_id].append(payment)
    return found


def the_money_that_stays_pays_for_the_time_that_stays(world: World) -> None:
    """What is left of the time that an order bought costs no more, at its price, than what was not given back of it.

    What went back counts against its time first, but for the price of films that went as well.
    """
    if world.policies.refund_access is RefundAccess.KEEPS:
        return
    bought = {
        (event.subscription_id, event.order_id): event.paid[-1]
        for event in (*of(world, SubscriptionStarted), *of(world, SubscriptionRenewed))
        if event.paid
    }
    disputed = {dispute.payment_id for dispute in world.account.disputes.values()}
    for paid_order_id, payments in paying_for(world).items():
        ids = {payment.id for payment in payments}
        back = [
            refund.amount.amount
            for refund in world.account.refunds.values()
            if refund.payment_id in ids
            and refund.status is RefundStatus.SUCCEEDED
            and refund.requested_by is not RefundedBy.POLICY
        ]
        if not back or ids & disputed:
            continue
        worth = paid = 0
        for (subscription_id, order_id), whole in bought.items():
            if order_id == paid_order_id:
                price = sum(source.amount for source in whole.sources)
                paid += price
                held = world.account.subscriptions[subscription_id]
                now = held.clock(world.now)
                left = sum(
                    ((period.end - max(period.start, now)) for period in held.paid if period.order_id == order_id),
                    timedelta(0),
                )
                worth += price * max(0, int(left.total_seconds())) // int((whole.end - whole.start).total_seconds())
        rights = world.account.entitlements
        films = sum(
            line.net.amount
            for line in world.account.orders[paid_order_id].lines
            if line.kind is ProductKind.FILM
            and not (line.resource in rights and rights[line.resource].order_id == paid_order_id)
        )
        assert worth <= max(0, paid + films - sum(back)) + len(back), (payments, worth, paid, films, back)


def what_was_paid_back_whole_gives_no_access(world: World) -> None:
    if world.policies.refund_access is RefundAccess.KEEPS:
        return
    disputed = {dispute.payment_id for dispute in world.account.disputes.values()}
    for order_id, payments in paying_for(world).items():
        ids = {payment.id for payment in payments}
        if ids & disputed or any(payment.refunded < payment.amount.amount for payment in payments):
            continue
        held = world.account.entitlements.values()
        assert not any(right.order_id == order_id and right.subscription_id is None for right in held)
        assert not any(
            period.order_id == order_id
            and period.end > plan.clock(world.now)
            and {source.payment_id for source in period.sources} <= ids
            for plan in world.account.subscriptions.values()
            for period in plan.paid
            if plan.is_running
        )


def what_was_agreed_holds(world: World) -> None:
    """Access, dunning and the times of renewals are by the terms of the order that paid, whatever changed since."""
    lines = {(placed.order_id, line.resource): line.terms for placed in of(world, OrderPlaced) for line in placed.lines}
    for event in world.log:
        if isinstance(event, SubscriptionStarted):
            terms = lines[event.order_id, event.resource]
        elif isinstance(event, SubscriptionRenewed):
            terms = event.terms
            assert terms in {agreed for (order_id, _), agreed in lines.items() if order_id == event.order_id}
        else:
            continue
        assert terms is not None
        assert terms == event.terms
        assert terms.grace is not None
        assert event.access_end == event.period_end + (terms.grace if event.auto_renew else timedelta(0))


def no_role_has_two_subscriptions(world: World) -> None:
    running = Counter(held.resource for held in world.account.subscriptions.values() if held.is_running)
    assert all(times == 1 for times in running.values())
    blocked: set[str] = set()
    for event in world.log:
        if isinstance(event, SubscriptionRenewed):
            blocked.discard(event.subscription_id)
        elif isinstance(event, AccessBlocked):
            assert event.subscription_id not in blocked, "blocked twice without money between"
            blocked.add(event.subscription_id)


def the_ledger_balances(world: World) -> None:
    world.ledger.check(world.now)


def the_books_agree(world: World) -> None:
    """At rest, we and the provider say the same of every amount."""
    onto_balance: Counter[str] = Counter()
    for event in of(world, BalanceRefunded):
        onto_balance[event.payment_id] += event.amount.amount
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        payment = world.account.payments[PaymentId(collected.payment_id)]
        is_paid = collected.status is AnswerStatus.SUCCEEDED
        assert is_paid == isinstance(payment.phase, Succeeded), (collected, payment.phase)
        assert collected.returned == payment.refunded - onto_balance[payment.id]
        assert payment.refunding == 0
        assert collected.disputed == payment.disputed
    for found in world.provider.disputes.values():
        known = next(dispute for dispute in world.account.disputes.values() if dispute.reference == found.reference)
        assert (known.status, known.amount, known.is_inquiry) == (found.status, found.amount, found.is_inquiry)
    returned = sum(event.amount.amount for event in of(world, RefundSucceeded))
    returned -= sum(event.amount.amount for event in of(world, RefundReversed))
    assert returned - onto_balance.total() == sum(
        refund.amount.amount
        for refund in world.provider.refunds.values()
        if refund.status is RefundAnswerStatus.SUCCEEDED
    )
    ended = len(of(world, RefundSucceeded)) + len(of(world, RefundFailed))
    assert ended == len(of(world, RefundRequested)) + len(of(world, RefundReinstated))
    assert not [order for order in world.account.orders.values() if order.status in OPEN_STATUSES]
    world.ledger.check_at_rest()
    for code, state in world.codes.items():
        assert isinstance(state, PromoCodeUses)
        assert not state.reserved
        held = [use for use in world.account.promo_uses.values() if use.code == code and use.is_limited]
        assert state.settled == len(held)


LAWS = (
    the_account_is_the_fold_of_its_log,
    every_charge_was_agreed,
    credit_is_used_once_or_left,
    no_money_moves_twice,
    no_money_is_silently_kept,
    no_access_without_money,
    what_runs_gives_access_unless_it_rests,
    money_of_a_payment_is_counted_once,
    nobody_pays_for_time_without_access,
    a_product_is_tried_once,
    what_waits_has_a_timer,
    lost_money_gives_no_access,
    the_money_that_stays_pays_for_the_time_that_stays,
    what_was_paid_back_whole_gives_no_access,
    what_was_agreed_holds,
    no_role_has_two_subscriptions,
    promo_codes_keep_their_limits,
    the_ledger_balances,
)
