"""The Stripe adapter, pointed at a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.stripe.adapter import StripeOptions, StripeProvider

if TYPE_CHECKING:
    from tests.contracts.sandbox_kit import SandboxUnderTest

RETURN_URL = "https://shop.example/back"


def provider_of(sandbox: SandboxUnderTest, **options: Any) -> StripeProvider:
    """The adapter, pointed at the sandbox, by the sandbox's clock."""
    chosen = StripeOptions(return_url=RETURN_URL, api_base=sandbox.settings.base_url, **options)
    return StripeProvider(sandbox.settings.secret_key, sandbox.clock, chosen)
