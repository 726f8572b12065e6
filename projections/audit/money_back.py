"""The sentences about money that the customer's bank takes back, and about refunds that it did not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.policies.settings import DisputeAccess
from domain.records import replace
from domain.refunds.events import RefundReinstated, RefundReversed
from domain.subscriptions.events import SubscriptionRestored
from projections.audit.words import Names, amount, moment

if TYPE_CHECKING:
    from collections.abc import Callable

_ACCESS = {
    DisputeAccess.OPENED: "access goes as soon as all of the money has gone",
    DisputeAccess.LOST: "access goes when the dispute is lost and all of the money has gone",
    DisputeAccess.NEVER: "access stays whatever comes of it",
}


def _refund_reversed(event: RefundReversed, names: Names) -> str:
    refund, payment = names("refund", event.refund_id), names("payment", event.payment_id)
    return (
        f"The customer's bank did not take {refund} of {amount(event.amount)} ({event.reason}): the money of {payment} "
        "is ours again, and may be asked for again."
    )


def _refund_reinstated(event: RefundReinstated, names: Names) -> str:
    refund, payment = names("refund", event.refund_id), names("payment", event.payment_id)
    return (
        f"The provider says that {refund} of {amount(event.amount)}, which had failed, went after all: it is taken "
        f"from {payment} again."
    )


def _dispute_opened(event: DisputeOpened, names: Names) -> str:
    dispute, payment = names("dispute", event.dispute_id), names("payment", event.payment_id)
    due = "" if event.evidence_due_at is None else f" Evidence is due by {moment(event.evidence_due_at)}."
    if event.is_inquiry:
        return f"The customer's bank asks about {payment} ({dispute}: {event.reason}); no money has moved.{due}"
    return (
        f"The customer's bank took {amount(event.amount)} of {payment} back ({dispute}: {event.reason}); "
        f"{_ACCESS[event.access]}.{due}"
    )


def _dispute_updated(event: DisputeUpdated, names: Names) -> str:
    dispute = names("Dispute", event.dispute_id)
    kind = "an inquiry" if event.is_inquiry else "a chargeback"
    said = f"{dispute} is {kind} of {amount(event.amount)} and {event.status.replace('_', ' ')}."
    if not event.owed:
        return said
    owed = amount(replace(event.amount, amount=event.owed))
    return f"{said} {owed} of it go back to the customer if the bank gives them to us again."


def _dispute_won(event: DisputeWon, names: Names) -> str:
    payment = names("payment", event.payment_id)
    return f"{names('Dispute', event.dispute_id)} was won: {amount(event.amount)} of {payment} are ours again."


def _dispute_lost(event: DisputeLost, names: Names) -> str:
    dispute, payment = names("Dispute", event.dispute_id), names("payment", event.payment_id)
    access = "the access with them" if event.taken else "no access with them"
    return f"{dispute} was lost: {amount(event.amount)} of {payment} are gone, and {access}."


def _dispute_closed(event: DisputeClosed, names: Names) -> str:
    dispute, payment = names("Dispute", event.dispute_id), names("payment", event.payment_id)
    return f"{dispute} of {payment} was closed without a decision; no money moved."


def _subscription_restored(event: SubscriptionRestored, names: Names) -> str:
    subscription = names("Subscription", event.subscription_id)
    return f"{subscription} goes on to {moment(event.period_end)}: time that was taken out of it was given again."


SENTENCES: dict[type, Callable[[Any, Names], str]] = {
    RefundReinstated: _refund_reinstated,
    RefundReversed: _refund_reversed,
    DisputeOpened: _dispute_opened,
    DisputeUpdated: _dispute_updated,
    DisputeWon: _dispute_won,
    DisputeLost: _dispute_lost,
    DisputeClosed: _dispute_closed,
    SubscriptionRestored: _subscription_restored,
}
