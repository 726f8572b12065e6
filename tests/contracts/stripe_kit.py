"""Effects for the Stripe adapter's tests."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.effects import CloseCheckout, CreateCheckout, FetchPayment
from domain.ids import EffectId, OrderId, PaymentId
from domain.money import Money
from infra.stripe.adapter import StripeOptions, StripeProvider

if TYPE_CHECKING:
    from datetime import datetime

    from tests.contracts.sandbox_kit import SandboxUnderTest

ACCOUNT = "alice"
RETURN_URL = "https://shop.example/back"


def provider_of(sandbox: SandboxUnderTest, **options: Any) -> StripeProvider:
    """The adapter, pointed at the sandbox, by the sandbox's clock."""
    chosen = StripeOptions(return_url=RETURN_URL, api_base=sandbox.settings.base_url, **options)
    return StripeProvider(sandbox.settings.secret_key, sandbox.clock, chosen)


def checkout(created_at: datetime, **changes: Any) -> CreateCheckout:
    """An effect; name what matters to the test."""
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


def fetch(payment_id: str, reference: str | None) -> FetchPayment:
    """The question how a payment stands."""
    return FetchPayment(
        effect_id=EffectId(str(uuid.uuid4())),
        payment_id=PaymentId(payment_id),
        provider="stripe",
        attempt=1,
        reference=reference,
    )


def closing(payment_id: str, reference: str | None) -> CloseCheckout:
    """The wish to make a payment unpayable."""
    return CloseCheckout(
        effect_id=EffectId(str(uuid.uuid4())),
        payment_id=PaymentId(payment_id),
        provider="stripe",
        attempt=1,
        reference=reference,
    )
