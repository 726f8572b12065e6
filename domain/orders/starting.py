"""How an order begins to be paid: by one payment at the provider, or by none where nothing is to be paid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import payment_id_of
from domain.catalog.state import ProductKind
from domain.ids import EffectId, derive
from domain.orders.events import OrderFailed, OrderPaid, OrderPaymentWaived
from domain.orders.fulfilment import HELD_ALREADY, balance_back, fulfil, undeliverable
from domain.orders.state import OrderPurpose
from domain.payments.events import PaymentCreated
from domain.policies.settings import delay
from domain.promo import uses as promo_uses

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.state import Order


def collect(account: Account, order: Order, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask the provider for a page, or charge the saved method for a change of plan.

    An order for which nothing is to be paid in money is given at once.
    """
    if order.due.amount == 0 and order.balance_used:
        return cover(account, order, command)
    if order.due.amount == 0:
        reason = "the credit covers the price" if order.total.amount else "the discount covers the whole price"
        return waive(account, order, command, reason)
    is_change = order.purpose is OrderPurpose.PLAN_CHANGE
    method = account.methods[0] if is_change and account.methods else None
    renews = order.auto_renew and any(line.kind is ProductKind.SUBSCRIPTION for line in order.lines)
    policies = command.policies
    payment = PaymentCreated(
        payment_id=order.payment_id,
        order_id=order.id,
        amount=order.due,
        provider=order.provider if method is None else method.provider,
        effect_id=EffectId(derive(order.payment_id, "checkout" if method is None else "charge")),
        return_url=order.return_url,
        save_method=renews and method is None,
        created_at=command.at,
        expires_at=command.at + (policies.plan_change_expiry if is_change else policies.payment_expiry),
        repeat_at=command.at + delay(policies.call_repeat_delays, 1),
        method=method,
    )
    return (payment,)


def waive(account: Account, order: Order, command: Command[object], reason: str) -> tuple[AccountEvent, ...]:
    """Give an order for which nothing is to be paid, but for what was bought while its promo code answered."""
    useless = undeliverable(account, order)
    if len(useless) == len(order.lines):
        failed = OrderFailed(order_id=order.id, reason=HELD_ALREADY)
        return (failed, *promo_uses.release(account, order.id, command))
    waived = OrderPaymentWaived(order_id=order.id, reason=reason, waived_at=command.at)
    return fulfil(account, order, waived, command, without=useless)


def cover(account: Account, order: Order, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Pay an order out of the balance alone and give it; for what was bought in the meantime, the balance is back."""
    useless = undeliverable(account, order)
    if len(useless) == len(order.lines):
        failed = OrderFailed(order_id=order.id, reason=HELD_ALREADY)
        return (failed, *promo_uses.release(account, order.id, command))
    paid = OrderPaid(order_id=order.id, payment_id=payment_id_of(order.id), paid_at=command.at)
    events = fulfil(account, order, paid, command, without=useless)
    amount = sum(line.net.amount for line in useless)
    return (*events, *balance_back(account, events, order, amount, command))
