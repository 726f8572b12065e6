"""The Stripe adapter, pointed at a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.money import Money
from infra.stripe.adapter import StripeOptions, StripeProvider
from infra.stripe.names import SESSION_PREFIX
from tests.contracts.sandbox_kit import wait_for

if TYPE_CHECKING:
    from datetime import datetime

    from domain.effects import ProviderAnswer
    from tests.contracts.sandbox_kit import SandboxUnderTest

REFUND_BOUNCES_CARD = "4000000000005126"
DECLINED_CARD = "4000000000009995"
RETURN_URL = "https://shop.example/back"


def provider_of(sandbox: SandboxUnderTest, **options: Any) -> StripeProvider:
    """The adapter, pointed at the sandbox, by the sandbox's clock."""
    chosen = StripeOptions(return_url=RETURN_URL, api_base=sandbox.settings.base_url, **options)
    return StripeProvider(sandbox.settings.secret_key, sandbox.clock, chosen)


class StripeWorld:
    """The sandbox speaks Stripe's API; its hosted page is played like a browser would."""

    def __init__(self, sandbox: SandboxUnderTest) -> None:
        self.sandbox = sandbox
        self.provider: StripeProvider = provider_of(sandbox, events_a_page=2)

    def now(self) -> datetime:
        return self.sandbox.clock.now()

    def advance(self, **parts: int) -> None:
        self.sandbox.clock.advance(**parts)

    def pay(self, page: ProviderAnswer) -> None:
        url = str(page.confirmation_url)
        if "/3d_secure/" in url:
            self.sandbox.act(url, "authenticate")
        else:
            self.sandbox.pay(url)

    def refuse(self, asked: ProviderAnswer) -> None:
        self.sandbox.act(str(asked.confirmation_url), "fail")

    def spoil(self, method: str, *, declines: str | None = None, authenticates: bool = False) -> None:
        orders = {"decline": declines or "", "authentication": "always" if authenticates else "never"}
        self.sandbox.control("POST", f"payment_methods/{method}", orders)

    def decline(self, page: ProviderAnswer) -> None:
        self.sandbox.pay(str(page.confirmation_url), DECLINED_CARD)

    def lapse(self, page: ProviderAnswer) -> None:
        self.sandbox.act(str(page.confirmation_url), "abandon")

    def lose_next_answer(self) -> None:
        self.sandbox.fault("reset_after", count=1)

    def drop_next_call(self) -> None:
        self.sandbox.fault("reset", count=1)

    def refused(self) -> Money:
        return Money(amount=100, currency="XXX")

    def charges(self, payment_id: str) -> list[Money]:
        return [
            Money(amount=charge["amount"], currency=charge["currency"].upper())
            for charge in self.sandbox.charges()
            if charge["metadata"]["payment_id"] == payment_id
        ]

    def slow_refunds(self, *, fail: bool) -> None:
        self.sandbox.fault("refund_failed" if fail else "refund_pending", count=1)

    def settle(self, refund_reference: str) -> None:
        self.advance(seconds=11)
        refunds = self.sandbox.client.v1.refunds
        wait_for(lambda: refunds.retrieve(refund_reference).status != "pending", what="the refund settles")

    def returned(self, payment_id: str) -> int:
        entries = [entry for entry in self.sandbox.books() if entry["object"] == "refund"]
        mine = [entry for entry in entries if entry["metadata"]["payment_id"] == payment_id]
        return sum(entry["amount"] for entry in mine if entry["status"] != "failed")

    def bank_disputes(self, payment_reference: str) -> str:
        name = "checkout_session" if payment_reference.startswith(SESSION_PREFIX) else "payment_intent"
        return str(self.sandbox.control("POST", "disputes", {name: payment_reference})["id"])

    def bank_decides(self, dispute_reference: str, *, won: bool) -> None:
        self.sandbox.control("POST", f"disputes/{dispute_reference}", {"outcome": "won" if won else "lost"})

    def pay_with_a_card_that_takes_nothing_back(self, asked: ProviderAnswer) -> None:
        self.sandbox.pay(str(asked.confirmation_url), REFUND_BOUNCES_CARD)

    def bounce(self, refund_reference: str) -> None:
        self.advance(seconds=11)
        refunds = self.sandbox.client.v1.refunds
        wait_for(lambda: refunds.retrieve(refund_reference).status == "failed", what="the refund bounces")

    def fail_next_question(self) -> None:
        self.sandbox.fault("refuse", method="*", count=1)
