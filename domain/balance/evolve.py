"""The fold of a balance. No rules here; a known event never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.balance.events import (
    BalanceEvent,
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.balance.state import payment_of
from domain.records import replace

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.ids import OrderId


def evolve(account: Account, event: BalanceEvent) -> Account:
    """Return the account after the event."""
    match event:
        case CreditGranted() | BalanceRefunded():
            return _with(account, event.amount.currency, event.amount.amount)
        case CreditTakenBack():
            return _with(account, event.amount.currency, -event.amount.amount)
        case BalanceUsed():
            return _moved(account, event.order_id, event.amount.currency, event.amount.amount)
        case BalanceReturned():
            return _moved(account, event.order_id, event.amount.currency, -event.amount.amount)
        case BalancePaid():
            return replace(account, payments={**account.payments, event.payment_id: payment_of(event)})
        case _:
            assert_never(event)


def _with(account: Account, currency: str, added: int) -> Account:
    left = account.balances.get(currency, 0) + added
    return replace(account, balances={**account.balances, currency: left})


def _moved(account: Account, order_id: OrderId, currency: str, used: int) -> Account:
    """Move an amount from the balance into an order, or back."""
    order = account.orders[order_id]
    order = replace(order, balance_used=order.balance_used + used)
    return _with(replace(account, orders={**account.orders, order_id: order}), currency, -used)
