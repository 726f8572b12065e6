"""The sentences about customers' balances, and the intents that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from projections.audit.words import Names, amount

if TYPE_CHECKING:
    from collections.abc import Callable

INTENTS = {
    "billing.credit.grant": "to put credit onto a customer's balance",
    "billing.credit.take_back": "to take credit off a customer's balance",
}


def _granted(event: CreditGranted, names: Names) -> str:
    return f"{amount(event.amount)} were put onto the customer's balance: {event.reason}."


def _taken_back(event: CreditTakenBack, names: Names) -> str:
    return f"{amount(event.amount)} were taken off the customer's balance: {event.reason}."


def _used(event: BalanceUsed, names: Names) -> str:
    return f"{amount(event.amount)} of the customer's balance are held for {names('order', event.order_id)}."


def _returned(event: BalanceReturned, names: Names) -> str:
    return f"{amount(event.amount)} that {names('order', event.order_id)} held are on the customer's balance again."


def _paid(event: BalancePaid, names: Names) -> str:
    order, payment = names("order", event.order_id), names("payment", event.payment_id)
    return f"The customer's balance paid {amount(event.amount)} for {order} ({payment})."


def _refunded(event: BalanceRefunded, names: Names) -> str:
    refund, payment = names("refund", event.refund_id), names("payment", event.payment_id)
    return f"{amount(event.amount)} of {payment} are on the customer's balance ({refund})."


SENTENCES: dict[type, Callable[[Any, Names], str]] = {
    CreditGranted: _granted,
    CreditTakenBack: _taken_back,
    BalanceUsed: _used,
    BalanceReturned: _returned,
    BalancePaid: _paid,
    BalanceRefunded: _refunded,
}
