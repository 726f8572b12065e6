"""What happened to a customer's balance."""

from __future__ import annotations

from datetime import datetime

from domain.ids import OrderId, PaymentId, RefundId
from domain.money import Money
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditGranted:
    """A manager put the amount onto the balance."""

    amount: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTakenBack:
    """A manager took the amount off the balance."""

    amount: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceUsed:
    """The order holds the amount: it is off the balance, and the order asks for so much less money."""

    order_id: OrderId
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReturned:
    """The order holds it no more: it ended unpaid, its renewal was declined, or more money came than it needed."""

    order_id: OrderId
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancePaid:
    """The order is paid, and so much of it by what it held: that is a payment now, and can be given back as one."""

    payment_id: PaymentId
    order_id: OrderId
    amount: Money
    paid_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceRefunded:
    """A refund went onto the balance."""

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    amount: Money


BalanceEvent = CreditGranted | CreditTakenBack | BalanceUsed | BalanceReturned | BalancePaid | BalanceRefunded
