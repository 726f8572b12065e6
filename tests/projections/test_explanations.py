"""From a charge, a refund, a discount and a refusal back to the request: every step with the event that it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.account.decider import decide
from domain.account.evolve import evolve
from domain.account.state import INITIAL, Account
from domain.balance.commands import GrantCredit
from domain.balance.state import payment_id_of
from domain.catalog.events import PriceAdded
from domain.decider import Command
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.errors import DomainError
from domain.ids import CommandId, ProductId, derive
from domain.orders.commands import CancelOrder
from domain.payments.commands import AnswerCall
from domain.policies.reactions import pending
from domain.pricing.commands import GrantPersonalDiscount
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.subscriptions.commands import RenewSubscription
from projections.account_events import StoredEvent
from projections.audit.explanation import Explanation, StepKind, explain, keys_needed
from schemas.codec import type_of
from schemas.messages import CommandAccepted, CommandRejected
from tests.domain.histories import METHOD_FIELDS, OPENED, answered, paid, place, reported
from tests.domain.spec import DAY, MINUTE, OFFERS, ORDER, T0, usd

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import PriceId

ANN = "user:ann"
STRIPE = "provider:stripe"


@dataclass
class Story:
    """An account and what the log has of it, with the actors that a real one has."""

    account: Account = INITIAL
    events: list[StoredEvent] = field(default_factory=list)
    now: datetime = T0

    def do(self, data: Any, *, actor: str = ANN, command_id: str = "") -> str:
        """Decide a command; its id."""
        known = CommandId(command_id or f"command {len(self.events)}")
        command: Command[Any] = Command(id=known, key="ann", at=self.now, actor=actor, data=data, prices=OFFERS)
        try:
            events: tuple[Any, ...] = decide(self.account, command)
            outcome: Any = CommandAccepted(command_type=type_of(data), body_hash=None, resources={})
        except DomainError as error:
            events = ()
            outcome = CommandRejected(
                command_type=type_of(data), body_hash=None, code=error.code, detail=error.detail, facts=error.facts
            )
        for event in events:
            self.account = evolve(self.account, event)
        for index, told in enumerate((*events, outcome)):
            self.events.append(stored("ann", len(self.events) + 1, told, self.now, actor, known, index))
        return known

    def buy(self, price: str = "solaris:own", **fields: Any) -> None:
        """An order that is placed, opened and paid."""
        self.do(place(price), command_id=ORDER.command)
        self.do(answered(ORDER.checkout, OPENED), actor="gateway", command_id=derive(ORDER.checkout, "answer 1"))
        self.now += MINUTE
        total = self.account.orders[ORDER.order].total
        self.do(reported(paid(total, **fields)), actor=STRIPE)

    def renew(self) -> None:
        """The timer of the renewal fires when it is due."""
        timer = next(timer for timer in pending(self.account) if isinstance(timer.data, RenewSubscription))
        self.now = timer.due_at
        self.do(timer.data, actor="timer", command_id=derive("ann", f"timer {timer.name}"))

    def charged(self, status: AnswerStatus, **fields: Any) -> str:
        """The provider answers the newest charge; its payment's id."""
        payment = list(self.account.payments.values())[-1]
        assert payment.call is not None
        call = payment.call
        told = ProviderAnswer(status=status, reference=f"pi {payment.id}", **fields)
        data = AnswerCall(payment_id=payment.id, effect_id=call.effect_id, attempt=1, answer=told)
        self.do(data, actor="gateway", command_id=derive(call.effect_id, "answer 1"))
        return payment.id

    def explain(self, subject: str, *, names_staff: bool = True) -> Explanation:
        """The explanation; each step names an event of the log."""
        keys = keys_needed(self.events, subject)
        catalogue = {key: CATALOGUE.get(key, ()) for key in keys}
        found = explain(self.events, catalogue, subject, names_staff=names_staff)
        assert found is not None
        known = {event.id: event for event in [*self.events, *(each for key in keys for each in catalogue[key])]}
        for step in found.steps:
            event = known[step.event_id]
            assert (step.at, step.command_id, step.position) == (event.at, event.command_id, event.position)
        return found


def stored(  # noqa: PLR0917  a row
    account: str, sequence: int, data: Any, at: datetime, actor: str, command_id: str, index: int
) -> StoredEvent:
    return StoredEvent(
        account=account,
        sequence=sequence,
        id=derive(command_id, str(index)),
        type=type_of(data),
        at=at,
        actor=actor,
        command_id=command_id,
        correlation_id=f"request of {command_id}",
        position=f"0:{sequence}",
        data=data,
    )


def added(price_id: PriceId) -> StoredEvent:
    product_id, offered = price_id.partition(":")[0], OFFERS[price_id].price
    event = PriceAdded(product_id=ProductId(product_id), price=offered)
    return stored(f"catalog/product/{product_id}", 1, event, T0 - DAY, "manager:boss", f"define {price_id}", 0)


CATALOGUE = {
    f"catalog/product/{name}": tuple(added(price_id) for price_id in OFFERS if price_id.startswith(f"{name}:"))
    for name in ("solaris", "stalker", "cinema")
}


def texts(explanation: Explanation, kind: StepKind) -> list[str]:
    return [step.text for step in explanation.steps if step.kind is kind]


def test_a_purchase_leads_back_to_its_request() -> None:
    story = Story()
    story.buy()
    found = story.explain(ORDER.payment)
    assert (found.account, found.noun, found.subject) == ("ann", "payment", ORDER.payment)
    first = found.steps[0]
    assert (first.kind, first.text) == (StepKind.REQUEST, "The customer ann asked to place an order.")
    assert (first.command_id, first.correlation_id) == (ORDER.command, f"request of {ORDER.command}")
    assert texts(found, StepKind.PRICE) == [
        "The price solaris:own was $9.99. It has been on sale since 2030-01-30 12:30:00 UTC, put there by manager boss."
    ]
    (call,) = [step for step in found.steps if step.kind is StepKind.CALL]
    assert call.effect_id == ORDER.checkout
    assert texts(found, StepKind.ANSWER) == [
        f"An answer came to the call {ORDER.checkout}, attempt 1.",
        "stripe told by itself how it stands.",
    ]
    assert any(text.startswith("$9.99 arrived") for text in texts(found, StepKind.EVENT))
    assert [step.at for step in found.steps if step.kind is not StepKind.PRICE] == sorted(
        step.at for step in found.steps if step.kind is not StepKind.PRICE
    )


def test_what_the_balance_paid_is_told_of_the_order_and_its_refund() -> None:
    story = Story()
    story.do(GrantCredit(amount=usd(1000), reason="sorry"), actor="manager:boss")
    story.do(place("solaris:own"), command_id=ORDER.command)
    payment_id = payment_id_of(ORDER.order)
    told = texts(story.explain(ORDER.order), StepKind.EVENT)
    assert f"$9.99 of the customer's balance are held for order {ORDER.order}." in told
    assert f"The customer's balance paid $9.99 for order {ORDER.order} (payment {payment_id})." in told
    asked = story.do(RequestRefund(payment_id=payment_id))
    found = story.explain(derive(asked, f"refund {payment_id}"))
    assert texts(found, StepKind.CALL) == [], "nobody is asked about the balance"
    assert any("$9.99" in text and "onto the balance" in text for text in texts(found, StepKind.EVENT))
    assert found.steps[0].command_id == ORDER.command


def test_only_what_belongs_to_it() -> None:
    story = Story()
    story.buy()
    story.do(place("stalker:rent"), command_id="place 2")
    other = story.account.orders[list(story.account.orders)[-1]]
    told = " ".join(step.text for step in story.explain(ORDER.payment).steps)
    assert other.id not in told
    assert other.payment_id not in told
    assert "Stalker" not in told


def test_a_renewal_leads_back_to_the_timer_and_to_the_consent() -> None:
    story = Story()
    story.buy("cinema:month", **METHOD_FIELDS)
    story.renew()
    payment_id = story.charged(AnswerStatus.SUCCEEDED, amount=usd(999), paid_at=story.now)
    found = story.explain(payment_id)
    first = found.steps[0]
    assert (first.kind, first.command_id) == (StepKind.REQUEST, ORDER.command), "the order in which she agreed"
    (timer,) = [step for step in found.steps if step.kind is StepKind.TIMER]
    started = next(event for event in story.events if event.type == "billing.subscription.started")
    assert timer.text == (
        f"It was time to renew a subscription, due at 2030-02-25 12:31:00 UTC as billing.subscription.started "
        f"(event {started.id}) had said."
    )
    kinds = {step.event_type for step in found.steps}
    assert {"billing.payment_method.saved", "billing.subscription.started", "billing.subscription.renewed"} <= kinds
    assert "The price cinema:month is the one of the subscription: $9.99, as agreed." in " ".join(
        texts(found, StepKind.PRICE)
    )
    assert any("is tried, attempt 1" in text for text in texts(found, StepKind.EVENT))


def test_a_declined_attempt_and_the_one_after_it() -> None:
    story = Story()
    story.buy("cinema:month", **METHOD_FIELDS)
    story.renew()
    declined = story.charged(AnswerStatus.DECLINED, decline_reason="insufficient_funds")
    story.renew()
    second = story.charged(AnswerStatus.SUCCEEDED, amount=usd(999), paid_at=story.now)
    first = " ".join(step.text for step in story.explain(declined).steps)
    assert "brought no money (insufficient_funds); it is tried again at" in first
    assert second not in first
    found = story.explain(second)
    retried = [step for step in found.steps if step.kind is StepKind.TIMER][-1]
    assert "as billing.subscription.renewal_failed" in retried.text
    assert declined not in " ".join(step.text for step in found.steps)
    assert [step.text for step in found.steps if step.event_type == "billing.order.placed"], "one order for both"


def test_a_refund_names_who_asked_and_the_rule() -> None:
    story = Story()
    story.buy()
    asked = story.do(RequestRefund(payment_id=ORDER.payment, by_manager=True), actor="manager:boss")
    (refund,) = story.account.refunds.values()
    assert refund.call is not None
    answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference="re_1")
    story.do(
        AnswerRefund(refund_id=refund.id, effect_id=refund.call.effect_id, attempt=1, answer=answer),
        actor="gateway",
        command_id=derive(refund.call.effect_id, "answer 1"),
    )
    found = story.explain(refund.id)
    assert found.noun == "refund"
    (request,) = [step for step in found.steps if step.command_id == asked and step.kind is StepKind.REQUEST]
    assert request.text == "Manager boss asked to give money back."
    (call,) = [step for step in found.steps if step.kind is StepKind.CALL and step.command_id == asked]
    assert call.effect_id == refund.call.effect_id
    assert "What allows it: a manager decides." in call.text
    told = story.explain(refund.id, names_staff=False)
    assert "boss" not in str(told), "customers do not read who of us it was"
    assert "A manager asked to give money back." in texts(told, StepKind.REQUEST)


def test_a_discount_leads_back_to_who_gave_it() -> None:
    story = Story()
    granted = story.do(GrantPersonalDiscount(basis_points=1000, reason="a friend"), actor="manager:boss")
    story.buy()
    found = story.explain(ORDER.order)
    (step,) = [step for step in found.steps if step.kind is StepKind.DISCOUNT]
    assert step.command_id == granted
    assert step.text.startswith("The discount that won: Your personal discount of 10 % takes 1.00 USD off.")
    assert "$9.99 less $1.00 is $8.99" in " ".join(texts(found, StepKind.AGREEMENT))


def test_a_refusal_names_its_rule_and_what_it_looked_at() -> None:
    story = Story()
    story.buy()
    refused = story.do(CancelOrder(order_id=ORDER.order))
    found = story.explain(refused)
    assert found.noun == "command"
    (refusal,) = [step for step in found.steps if step.kind is StepKind.REFUSAL]
    assert refusal.text.startswith("It was refused by the rule order_not_cancellable: ")
    last_of_order = [event for event in story.events if getattr(event.data, "order_id", "") == ORDER.order][-1]
    assert last_of_order.id in {step.event_id for step in found.steps}, "what the rule looked at"
    heading = next(step.text for step in found.steps if step.command_id == refused)
    assert heading == "The customer ann asked to cancel an order."


def test_of_what_the_account_does_not_have() -> None:
    story = Story()
    story.buy()
    assert explain(story.events, {}, "another") is None
