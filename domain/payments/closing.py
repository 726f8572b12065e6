"""What the provider is asked about a payment after it began: how it stands, and to make it unpayable."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.ids import EffectId, derive
from domain.orders.events import OrderCancelled, OrderFailed
from domain.orders.state import OPEN_STATUSES
from domain.payments.events import PaymentCloseRequested, PaymentFetchRequested
from domain.payments.state import CloseReason, Closing, Ended, Succeeded
from domain.policies.settings import delay

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.payments.state import Payment
    from domain.subscriptions.state import Subscription


def request_close(
    payment: Payment, command: Command[object], reason: CloseReason, detail: str, reference: str | None
) -> PaymentCloseRequested:
    """Return the event that asks the provider to make the payment unpayable."""
    return PaymentCloseRequested(
        payment_id=payment.id,
        reference=reference,
        reason=reason,
        detail=detail,
        effect_id=EffectId(derive(payment.id, "close")),
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
        is_charge=payment.method is not None,
    )


def request_fetch(payment: Payment, command: Command[object], number: int) -> PaymentFetchRequested:
    """Return the event that asks the provider how the payment stands, for the given time."""
    return PaymentFetchRequested(
        payment_id=payment.id,
        effect_id=EffectId(derive(payment.id, f"fetch {number}")),
        sweep=number,
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )


def close_renewal(
    account: Account, subscription: Subscription, command: Command[object], reason: CloseReason
) -> tuple[AccountEvent, ...]:
    """End a renewal's open order; a payment that could still be made is closed at the provider first.

    Money that arrives all the same goes back where the renewal was no longer wanted (`CANCELLED`), and buys what was
    ordered where it only came too late (`EXPIRED`).
    """
    order_id = subscription.renewal_order_id
    order = None if order_id is None else account.orders.get(order_id)
    if order is None or order.status not in OPEN_STATUSES:
        return ()
    payment = account.payments[order.payment_id]
    if isinstance(payment.phase, Succeeded | Closing):
        return ()
    if isinstance(payment.phase, Ended):
        if reason is CloseReason.CANCELLED:
            return (OrderCancelled(order_id=order.id),)
        return (OrderFailed(order_id=order.id, reason=payment.phase.detail),)
    detail = "the renewal is no longer wanted" if reason is CloseReason.CANCELLED else "the renewal came too late"
    return (request_close(payment, command, reason, detail, payment.reference),)
