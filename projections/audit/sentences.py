"""One sentence for each kind of event, and one for each kind of command, so that the log can be read like a story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from domain.balance.state import BALANCE
from domain.catalog.events import PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.orders.events import (
    OrderAlreadyPlaced,
    OrderCancelled,
    OrderExpired,
    OrderFailed,
    OrderFulfilled,
    OrderPaid,
    OrderPlaced,
)
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentDeclined,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentMethodRemoved,
    PaymentMethodSaved,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundRequested,
    RefundSubmitted,
    RefundSucceeded,
)
from projections.audit import balance_sentences, discount_sentences, money_back, subscription_sentences
from projections.audit.words import Names, amount, moment, period, terms, until
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.orders.state import OrderLine

Event = TypeVar("Event")
SENTENCES: dict[type, Callable[[Any, Names], str]] = {
    **balance_sentences.SENTENCES,
    **discount_sentences.SENTENCES,
    **money_back.SENTENCES,
    **subscription_sentences.SENTENCES,
}
"""The sentence of each kind of event; a test holds it equal to all events of the wire."""

INTENTS = {
    "billing.order.place": "to place an order",
    "billing.order.cancel": "to cancel an order",
    "billing.payment.answer_call": "to note what the provider answered",
    "billing.payment.report": "to note what the provider reported by itself",
    "billing.payment.repeat_call": "to repeat a call that the provider had not answered",
    "billing.payment.sweep": "to ask a silent provider about a payment",
    "billing.payment.expire": "to end a payment that nobody made in time",
    "billing.payment_method.remove": "to charge a saved means of payment no more",
    "billing.refund.request": "to give money back",
    "billing.refund.answer": "to note what the provider said of a refund",
    "billing.refund.repeat": "to repeat a refund that the provider had not answered",
    "billing.refund.sweep": "to ask a silent provider about a refund",
    "billing.dispute.report": "to note what the provider told of a dispute",
    "billing.entitlement.end": "to take back access whose time is over",
    "billing.overdue.resume": "to go on with what waited too long",
    "billing.product.define": "to describe a product",
    "billing.product.archive": "to take a product off the list",
    **balance_sentences.INTENTS,
    **discount_sentences.INTENTS,
    **subscription_sentences.INTENTS,
}
"""What each kind of command asks for; a test holds it equal to all commands of the wire."""


def sentence(event: object, names: Names) -> str:
    """Say what happened."""
    return SENTENCES[type(event)](event, names)


def _says(kind: type[Event]) -> Callable[[Callable[[Event, Names], str]], Callable[[Event, Names], str]]:
    def register(say: Callable[[Event, Names], str]) -> Callable[[Event, Names], str]:
        SENTENCES[kind] = say
        return say

    return register


@_says(CommandAccepted)
def _accepted(event: CommandAccepted, names: Names) -> str:
    made = ", ".join(names(kind, identifier) for kind, identifier in event.resources.items())
    return f"It was accepted{f': {made}' if made else ''}."


@_says(CommandRejected)
def _rejected(event: CommandRejected, names: Names) -> str:
    return f"It was rejected ({event.code}): {event.detail}"


@_says(OrderPlaced)
def _order_placed(event: OrderPlaced, names: Names) -> str:
    lines = ", ".join(_line(line) for line in event.lines)
    discount = f", less a discount of {amount(event.discount)}" if event.discount.amount else ""
    why = "" if event.applied is None else f" {event.applied.reason}"
    rest = ""
    if event.credit is not None and event.credit.amount:
        rest = f" {amount(event.credit)} of it is what is left of the old plan."
    return f"{names('Order', event.order_id)} was placed: {lines}{discount}; in total {amount(event.total)}.{why}{rest}"


def _line(line: OrderLine) -> str:
    length = ""
    if line.period is not None:
        length = f" for {line.quantity} × {period(line.period)}" if line.quantity > 1 else f" for {period(line.period)}"
    elif line.validity_days is not None:
        length = f" for {line.validity_days} days"
    return f"“{line.title}”{length} at {amount(line.unit_price)}"


@_says(OrderAlreadyPlaced)
def _order_already_placed(event: OrderAlreadyPlaced, names: Names) -> str:
    return f"The same was in {names('order', event.order_id)}, which is still open; no second one was made."


@_says(OrderPaid)
def _order_paid(event: OrderPaid, names: Names) -> str:
    paid_by = names("payment", event.payment_id)
    return f"{names('Order', event.order_id)} was paid by {paid_by} at {moment(event.paid_at)}."


@_says(OrderFulfilled)
def _order_fulfilled(event: OrderFulfilled, names: Names) -> str:
    return f"Everything in {names('order', event.order_id)} was given."


@_says(OrderCancelled)
def _order_cancelled(event: OrderCancelled, names: Names) -> str:
    return f"{names('Order', event.order_id)} was cancelled."


@_says(OrderExpired)
def _order_expired(event: OrderExpired, names: Names) -> str:
    return f"{names('Order', event.order_id)} expired: nobody paid in time."


@_says(OrderFailed)
def _order_failed(event: OrderFailed, names: Names) -> str:
    return f"{names('Order', event.order_id)} failed: {event.reason}."


@_says(PaymentCreated)
def _payment_created(event: PaymentCreated, names: Names) -> str:
    call = names("call", event.effect_id)
    save = " and to keep the means of payment for renewals" if event.save_method else ""
    return (
        f"{names('Payment', event.payment_id)} of {amount(event.amount)} was created; {event.provider} was asked "
        f"to collect it{save} ({call}). It may be paid until {moment(event.expires_at)}."
    )


@_says(PaymentActionRequired)
def _payment_action_required(event: PaymentActionRequired, names: Names) -> str:
    reference = names("reference", event.reference)
    payment = names("payment", event.payment_id)
    return f"The provider opened a page for {payment} ({reference}): {event.confirmation_url}"


@_says(PaymentProcessing)
def _payment_processing(event: PaymentProcessing, names: Names) -> str:
    reference = names("reference", event.reference)
    return f"The provider is collecting {names('payment', event.payment_id)} ({reference})."


@_says(PaymentCallRepeated)
def _payment_call_repeated(event: PaymentCallRepeated, names: Names) -> str:
    call = names("call", event.effect_id)
    what = event.kind.replace("_", " ")
    payment = names("payment", event.payment_id)
    return f"The provider had not answered: {call} ({what}) for {payment} was made again, attempt {event.attempt}."


@_says(PaymentFetchRequested)
def _payment_fetch_requested(event: PaymentFetchRequested, names: Names) -> str:
    call = names("call", event.effect_id)
    payment = names("payment", event.payment_id)
    return f"The provider was asked how {payment} stands ({call}, sweep {event.sweep})."


@_says(PaymentUnchanged)
def _payment_unchanged(event: PaymentUnchanged, names: Names) -> str:
    payment = names("payment", event.payment_id)
    if event.sweep_at is None:
        return f"The provider had nothing to add about {payment}, and is not asked about it again."
    return f"The provider had nothing new about {payment}; it is asked again at {moment(event.sweep_at)}."


@_says(PaymentDeclined)
def _payment_declined(event: PaymentDeclined, names: Names) -> str:
    return f"The means of payment was declined for {names('payment', event.payment_id)}: {event.decline_reason}."


@_says(PaymentCloseRequested)
def _payment_close_requested(event: PaymentCloseRequested, names: Names) -> str:
    payment = names("payment", event.payment_id)
    if not event.asks:
        return f"{payment.capitalize()} is to end ({event.reason}: {event.detail}) as soon as its page has a name."
    call = names("call", event.effect_id)
    return f"The provider was asked to make {payment} unpayable ({event.reason}: {event.detail}; {call})."


@_says(PaymentSucceeded)
def _payment_succeeded(event: PaymentSucceeded, names: Names) -> str:
    method = f" with {event.method_label}" if event.method_label else ""
    reference = names("reference", event.reference)
    return (
        f"{amount(event.amount)} arrived{method} for {names('payment', event.payment_id)} "
        f"at {event.provider} ({reference})."
    )


@_says(PaymentFailed)
def _payment_failed(event: PaymentFailed, names: Names) -> str:
    return f"{names('Payment', event.payment_id)} failed: {event.reason}.{_look(event.sweep_at)}"


@_says(PaymentCancelled)
def _payment_cancelled(event: PaymentCancelled, names: Names) -> str:
    return f"{names('Payment', event.payment_id)} was cancelled; it can no longer be paid.{_look(event.sweep_at)}"


@_says(PaymentExpired)
def _payment_expired(event: PaymentExpired, names: Names) -> str:
    return f"{names('Payment', event.payment_id)} expired; it can no longer be paid.{_look(event.sweep_at)}"


def _look(at: datetime | None) -> str:
    """Return what is done about a charge that the provider did not know."""
    return "" if at is None else f" The provider did not know of a charge; it is asked once more at {moment(at)}."


@_says(PaymentMethodSaved)
def _payment_method_saved(event: PaymentMethodSaved, names: Names) -> str:
    label = event.method.label or names("card", event.method.method_reference)
    return f"{label} of {names('payment', event.payment_id)} is kept for renewals."


@_says(PaymentMethodRemoved)
def _payment_method_removed(event: PaymentMethodRemoved, names: Names) -> str:
    return f"The means of payment {names('card', event.method_reference)} is charged no more."


@_says(RefundRequested)
def _refund_requested(event: RefundRequested, names: Names) -> str:
    refund, payment = names("refund", event.refund_id), names("payment", event.payment_id)
    where = " onto the balance" if event.provider == BALANCE else ""
    return (
        f"{amount(event.amount)} of {payment} go back{where} ({refund}), asked for by the {event.requested_by}: "
        f"{event.reason}. What allows it: {event.rule}."
    )


@_says(RefundSubmitted)
def _refund_submitted(event: RefundSubmitted, names: Names) -> str:
    return f"The provider took {names('refund', event.refund_id)} and works on it."


@_says(RefundCallRepeated)
def _refund_call_repeated(event: RefundCallRepeated, names: Names) -> str:
    refund = names("refund", event.refund_id)
    return f"The provider had not said how {refund} stands and was asked again, attempt {event.attempt}."


@_says(RefundSucceeded)
def _refund_succeeded(event: RefundSucceeded, names: Names) -> str:
    refund, payment = names("refund", event.refund_id), names("payment", event.payment_id)
    return f"{amount(event.amount)} of {payment} went back to the customer ({refund})."


@_says(RefundFailed)
def _refund_failed(event: RefundFailed, names: Names) -> str:
    refund = names("refund", event.refund_id)
    return f"The provider refused {refund} of {amount(event.amount)}: {event.reason}. The money stays paid."


@_says(EntitlementGranted)
def _entitlement_granted(event: EntitlementGranted, names: Names) -> str:
    order = names("order", event.order_id)
    return f"Access to {event.resource} was given {until(event.until)}, by {event.reason} ({order})."


@_says(EntitlementEnded)
def _entitlement_ended(event: EntitlementEnded, names: Names) -> str:
    return f"Access to {event.resource} ended at {moment(event.ended_at)}."


@_says(ProductDefined)
def _product_defined(event: ProductDefined, names: Names) -> str:
    own = "" if event.terms is None else f", with terms of its own: {terms(event.terms)}"
    return f"The {event.kind} {event.product_id} is “{event.title}”{own}."


@_says(ProductArchived)
def _product_archived(event: ProductArchived, names: Names) -> str:
    return f"{event.product_id} was taken off the list."


@_says(PriceAdded)
def _price_added(event: PriceAdded, names: Names) -> str:
    length = "" if event.price.period is None else f" for {period(event.price.period)}"
    return f"{event.price.id} was put on sale at {amount(event.price.amount)}{length}."


@_says(PriceArchived)
def _price_archived(event: PriceArchived, names: Names) -> str:
    return f"{event.price_id} is no longer on sale; who agreed to it keeps it."
