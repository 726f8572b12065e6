"""A customer's balance: what they may spend here, by currency, in minor units, and never less than nothing.

What a paid order took of it is a payment of its own, by the provider `balance`: so it is shared out over periods,
carried over by changes of plan and given back by the very rules that hold for money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.ids import PaymentId, derive
from domain.money import Money
from domain.payments.state import Payment, Succeeded

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.balance.events import BalancePaid
    from domain.ids import OrderId

BALANCE = "balance"
"""The provider of payments out of the balance, and of refunds onto it. No adapter has this name: nobody is asked."""


def available(account: Account, currency: str) -> Money:
    """Return what is on the balance and held by no order."""
    return Money(amount=account.balances.get(currency, 0), currency=currency)


def payment_id_of(order_id: OrderId) -> PaymentId:
    """Return the id of the payment by which the balance pays its part of an order."""
    return PaymentId(derive(order_id, BALANCE))


def payment_of(event: BalancePaid) -> Payment:
    """Return the payment that the event made."""
    return Payment(
        id=event.payment_id,
        order_id=event.order_id,
        amount=event.amount,
        provider=BALANCE,
        created_at=event.paid_at,
        expires_at=event.paid_at,
        return_url=None,
        save_method=False,
        phase=Succeeded(reference=event.payment_id, paid_at=event.paid_at),
        call=None,
    )
