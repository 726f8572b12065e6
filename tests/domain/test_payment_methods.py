"""Saved means of payment: kept with the payment that left them, charged no more once they are removed."""

from __future__ import annotations

from domain.errors import PaymentMethodUnknown
from domain.payments.commands import RemovePaymentMethod
from domain.payments.events import PaymentMethodRemoved
from tests.domain.histories import subscribed


def test_what_is_removed_is_charged_no_more() -> None:
    account = subscribed()
    (method,) = account.account.methods
    after = account.when(RemovePaymentMethod(method_reference=method.method_reference)).then(
        PaymentMethodRemoved(method_reference=method.method_reference)
    )
    assert after.account.methods == ()


def test_what_was_never_saved_cannot_be_removed() -> None:
    subscribed().when(RemovePaymentMethod(method_reference="pm_unknown")).then_rejected(
        PaymentMethodUnknown, method_reference="pm_unknown"
    )
