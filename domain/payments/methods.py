"""Decisions about saved means of payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import PaymentMethodUnknown
from domain.payments.events import PaymentMethodRemoved

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.payments.commands import RemovePaymentMethod


def remove(account: Account, asked: RemovePaymentMethod) -> tuple[AccountEvent, ...]:
    """Charge it no more; a renewal finds the next one, or none. Raises PaymentMethodUnknown."""
    if not any(method.method_reference == asked.method_reference for method in account.methods):
        raise PaymentMethodUnknown(method_reference=asked.method_reference)
    return (PaymentMethodRemoved(method_reference=asked.method_reference),)
