"""Which events of an account an explanation tells: those about its subject, and those that led to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.balance.events import BalancePaid
from domain.orders.events import OrderPlaced
from domain.orders.state import OrderPurpose
from domain.payments.events import PaymentCreated, PaymentMethodSaved
from domain.refunds.events import RefundRequested
from domain.subscriptions.events import SubscriptionResumed
from schemas.messages import CommandRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from projections.account_events import StoredEvent

SUBJECTS = ("payment_id", "order_id", "refund_id")


def chosen_for(events: Sequence[StoredEvent], subject: str) -> list[StoredEvent]:
    """Return the events that an explanation tells, in their order."""
    about = _things(events, subject)
    elsewhere = _commands_of_others(events, about)
    chosen = [
        event
        for event in events
        if event.command_id == subject
        or (_is_about(event, about) and (isinstance(event.data, OrderPlaced) or event.command_id not in elsewhere))
    ]
    if not about:
        chosen += _evidence(events, subject)
    chosen += _consent(events, chosen)
    # What follows from the same command belongs to the same story, outcomes aside: those are told with the heading.
    commands = {event.command_id for event in chosen if _is_about(event, about) or event.command_id == subject}
    commands -= elsewhere
    known = {id(event) for event in chosen}
    others = _other_things(events, about)
    for event in events:
        is_other = ids_of(event) & others and not ids_of(event) & about
        if event.command_id in commands and id(event) not in known and not is_other:
            chosen.append(event)
    return sorted(chosen, key=lambda event: event.sequence)


def _things(events: Sequence[StoredEvent], subject: str) -> set[str]:
    """Return the ids that the story is about: the payment with its order and refunds, the order with all of its own."""
    payments: dict[str, PaymentCreated | BalancePaid] = {
        event.data.payment_id: event.data for event in events if isinstance(event.data, PaymentCreated | BalancePaid)
    }
    refunds: dict[str, RefundRequested] = {
        event.data.refund_id: event.data for event in events if isinstance(event.data, RefundRequested)
    }
    orders = {event.data.order_id for event in events if isinstance(event.data, OrderPlaced)}
    if subject in refunds:
        payment_id = refunds[subject].payment_id
        return {subject, payment_id, payments[payment_id].order_id} if payment_id in payments else {subject}
    if subject in payments:
        of_payment = {refund_id for refund_id, refund in refunds.items() if refund.payment_id == subject}
        return {subject, payments[subject].order_id, *of_payment}
    if subject in orders:
        of_order = {payment_id for payment_id, payment in payments.items() if payment.order_id == subject}
        of_payments = {refund_id for refund_id, refund in refunds.items() if refund.payment_id in of_order}
        return {subject, *of_order, *of_payments}
    return set()


def _commands_of_others(events: Sequence[StoredEvent], about: set[str]) -> set[str]:
    """Return the commands that are about other payments alone: a further attempt to collect the same order's money."""
    payments: dict[str, set[str]] = {}
    for event in events:
        payment_id = getattr(event.data, "payment_id", None)
        if payment_id is not None and not isinstance(event.data, OrderPlaced):
            payments.setdefault(event.command_id, set()).add(payment_id)
    return {command_id for command_id, named in payments.items() if not named & about}


def ids_of(event: StoredEvent) -> set[str]:
    """Return the orders, payments and refunds that the event names; of an order's first payment only the name."""
    if isinstance(event.data, OrderPlaced):
        return {event.data.order_id}
    found = (getattr(event.data, attribute, None) for attribute in SUBJECTS)
    return {identifier for identifier in found if identifier is not None}


def _is_about(event: StoredEvent, about: set[str]) -> bool:
    """Tell whether every payment, order and refund that the event names is of the story."""
    ids = ids_of(event)
    return bool(ids) and ids <= about


def _other_things(events: Sequence[StoredEvent], about: set[str]) -> set[str]:
    """Return the orders, payments and refunds of the account that the story is not about."""
    return {identifier for event in events for identifier in ids_of(event)} - about


def _evidence(events: Sequence[StoredEvent], command_id: str) -> list[StoredEvent]:
    """Return what a refusal looked at: the newest event before it about each thing that its facts name."""
    refused = next((each for each in events if each.command_id == command_id), None)
    if refused is None or not isinstance(refused.data, CommandRejected):
        return []
    found: dict[str, StoredEvent] = {}
    facts = set(refused.data.facts.values())
    for event in events:
        if event.sequence >= refused.sequence:
            break
        names = (*SUBJECTS, "subscription_id", "resource")
        named = {str(getattr(event.data, attribute, "")) for attribute in names}
        found |= dict.fromkeys(named & facts, event)
    return list({id(event): event for event in found.values()}.values())


def _consent(events: Sequence[StoredEvent], chosen: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Return why a renewal was charged: what made it due, the agreed price, and the order that agreed to renewals."""
    renewals = [event for event in chosen if isinstance(event.data, OrderPlaced) and is_renewal(event.data)]
    found: dict[int, StoredEvent] = {}
    for placed in renewals:
        before = [event for event in events if event.sequence < placed.sequence]
        subscriptions = {line.subscription_id for line in placed.data.lines if line.subscription_id is not None}
        for subscription_id in subscriptions:
            of_it = [event for event in before if getattr(event.data, "subscription_id", None) == subscription_id]
            due = [event for event in of_it if getattr(event.data, "renew_at", None) is not None]
            priced = [event for event in of_it if getattr(event.data, "price", None) is not None]
            agreed = [event for event in before if _agrees(event.data, subscription_id, of_it)]
            found |= {id(event): event for last in (due, priced, agreed) for event in last[-1:]}
        saved = _method_saved(events, chosen)
        found |= {id(event): event for event in saved}
    known = {id(event) for event in chosen}
    return [event for key, event in found.items() if key not in known]


def is_renewal(placed: OrderPlaced) -> bool:
    return placed.purpose is OrderPurpose.RENEWAL


def _agrees(data: Any, subscription_id: str, of_it: Sequence[StoredEvent]) -> bool:
    """Tell whether the event is the customer's word that the subscription is to renew by itself."""
    if isinstance(data, SubscriptionResumed):
        return data.subscription_id == subscription_id
    if not isinstance(data, OrderPlaced) or not data.auto_renew or is_renewal(data):
        return False
    return any(getattr(event.data, "order_id", None) == data.order_id for event in of_it)


def _method_saved(events: Sequence[StoredEvent], chosen: Sequence[StoredEvent]) -> list[StoredEvent]:
    """Return the events with which the means of payment was left that a renewal charges."""
    charged = {
        event.data.method.method_reference
        for event in chosen
        if isinstance(event.data, PaymentCreated) and event.data.method is not None
    }
    saved = [
        event
        for event in events
        if isinstance(event.data, PaymentMethodSaved) and event.data.method.method_reference in charged
    ]
    return saved[:1]
