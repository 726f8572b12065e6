"""Money that was to go back while the customer's bank held it: it goes back when the bank has given it to us again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.disputes.events import DisputeUpdated
from domain.money import Money
from domain.records import replace
from domain.refunds import giving, parts
from domain.refunds import rules as refunds
from domain.refunds.state import RefundedBy
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.disputes.state import Dispute
    from domain.ids import PaymentId
    from domain.payments.state import Payment
    from domain.subscriptions.state import Subscription

HELD_BY_THE_BANK = "it was to go back while the customer's bank held it"


def note(account: Account, subscription: Subscription, command: Command[object]) -> tuple[DisputeUpdated, ...]:
    """Note what of a subscription's unused money the bank holds, when nothing of its time is to be given any more."""
    if not account.disputes:
        return ()
    withheld: Mapping[PaymentId, int] = parts.unused_withheld(account, subscription, command.at)
    events: list[DisputeUpdated] = []
    for dispute in account.disputes.values():
        free = dispute.withheld - dispute.owed if dispute.is_open else 0
        amount = min(withheld.get(dispute.payment_id, 0), free)
        if amount > 0:
            withheld = {**withheld, dispute.payment_id: withheld[dispute.payment_id] - amount}
            noted = replace(dispute, owed=dispute.owed + amount)
            events.append(updated(noted, account.payments[dispute.payment_id], command))
    return tuple(events)


def updated(dispute: Dispute, payment: Payment, command: Command[object]) -> DisputeUpdated:
    """Return the event after which the dispute, and what banks have taken of the payment, are as they are given."""
    return DisputeUpdated(
        dispute_id=dispute.id,
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=dispute.amount,
        reason=dispute.reason,
        is_inquiry=dispute.is_inquiry,
        status=dispute.status,
        evidence_due_at=dispute.evidence_due_at,
        told_at=dispute.told_at,
        access=command.policies.dispute_access,
        disputed=Money(amount=payment.disputed, currency=payment.amount.currency),
        taken=dispute.taken,
        owed=dispute.owed,
    )


def give_back(account: Account, dispute: Dispute, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give back what was noted; `account` is the state when the bank has given it to us again."""
    amount = min(dispute.owed, parts.left(account.payments[dispute.payment_id]))
    if amount == 0:
        return ()
    return giving.give_back(
        account,
        (Source(payment_id=dispute.payment_id, amount=amount),),
        command,
        reason=HELD_BY_THE_BANK,
        rule=refunds.UNUSED,
        requested_by=RefundedBy.POLICY,
    )
