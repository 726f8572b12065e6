"""Effects for the adapters' tests; name what matters to the test."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.effects import ChargeMethod, CloseCheckout, CreateCheckout, FetchPayment, RefundPayment
from domain.ids import EffectId, OrderId, PaymentId, RefundId
from domain.money import Money

if TYPE_CHECKING:
    from datetime import datetime

ACCOUNT = "alice"


def checkout(created_at: datetime, **changes: Any) -> CreateCheckout:
    """The wish for a page."""
    fields: dict[str, Any] = {
        "effect_id": EffectId(str(uuid.uuid4())),
        "payment_id": PaymentId(str(uuid.uuid4())),
        "order_id": OrderId(str(uuid.uuid4())),
        "provider": "stripe",
        "attempt": 1,
        "amount": Money(amount=999, currency="USD"),
        "description": "A film",
        "save_method": True,
        "return_url": None,
        "created_at": created_at,
        "expires_at": created_at + timedelta(hours=23),
        **changes,
    }
    return CreateCheckout(**fields)


def fetch(payment_id: str, reference: str | None, customer: str | None = None) -> FetchPayment:
    """The question how a payment stands; with the customer's name at the provider, a charge."""
    return FetchPayment(
        effect_id=EffectId(str(uuid.uuid4())),
        payment_id=PaymentId(payment_id),
        provider="stripe",
        attempt=1,
        reference=reference,
        customer_reference=customer,
    )


def closing(payment_id: str, reference: str | None, customer: str | None = None) -> CloseCheckout:
    """The wish to make a payment unpayable; with the customer's name at the provider, a charge."""
    return CloseCheckout(
        effect_id=EffectId(str(uuid.uuid4())),
        payment_id=PaymentId(payment_id),
        provider="stripe",
        attempt=1,
        reference=reference,
        customer_reference=customer,
    )


def charge(created_at: datetime, customer: str, method: str, **changes: Any) -> ChargeMethod:
    """The wish for money of a saved method."""
    fields: dict[str, Any] = {
        "effect_id": EffectId(str(uuid.uuid4())),
        "payment_id": PaymentId(str(uuid.uuid4())),
        "order_id": OrderId(str(uuid.uuid4())),
        "provider": "stripe",
        "attempt": 1,
        "amount": Money(amount=999, currency="USD"),
        "description": "A month",
        "customer_reference": customer,
        "method_reference": method,
        "created_at": created_at,
        "expires_at": created_at + timedelta(days=5),
        **changes,
    }
    return ChargeMethod(**fields)


def refund(requested_at: datetime, payment_id: str, payment_reference: str, **changes: Any) -> RefundPayment:
    """The wish to give money back."""
    fields: dict[str, Any] = {
        "effect_id": EffectId(str(uuid.uuid4())),
        "refund_id": RefundId(str(uuid.uuid4())),
        "payment_id": PaymentId(payment_id),
        "provider": "stripe",
        "attempt": 1,
        "payment_reference": payment_reference,
        "amount": Money(amount=999, currency="USD"),
        "reference": None,
        "requested_at": requested_at,
        **changes,
    }
    return RefundPayment(**fields)
