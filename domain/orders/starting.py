"""How an order begins to be paid: by one payment at the provider, or by none where nothing is to be paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.catalog.state import ProductKind
from domain.ids import EffectId, derive
from domain.orders.events import OrderPaymentWaived
from domain.orders.fulfilment import fulfil
from domain.payments.events import PaymentCreated
from domain.policies.settings import delay

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.state import Order


def collect(account: Account, order: Order, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask the provider for a page; an order whose total is zero is given at once."""
    if order.total.amount == 0:
        return waive(account, order, command)
    payment = PaymentCreated(
        payment_id=order.payment_id,
        order_id=order.id,
        amount=order.total,
        provider=order.provider,
        effect_id=EffectId(derive(order.payment_id, "checkout")),
        return_url=order.return_url,
        save_method=order.auto_renew and any(line.kind is ProductKind.SUBSCRIPTION for line in order.lines),
        created_at=command.at,
        expires_at=command.at + command.policies.payment_expiry,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )
    return (payment,)


def waive(account: Account, order: Order, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give an order for which nothing is to be paid."""
    reason = "the discount covers the whole price"
    waived = OrderPaymentWaived(order_id=order.id, reason=reason, waived_at=command.at)
    return fulfil(account, order, waived, command)
