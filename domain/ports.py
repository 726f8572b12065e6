"""What the core needs of the outside, as small contracts; every adapter of one passes the same suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from domain.effects import (
        ChargeMethod,
        CloseCheckout,
        CreateCheckout,
        FetchPayment,
        ProviderAnswer,
        RefundAnswer,
        RefundPayment,
    )
    from domain.reports import ReportPage


class Clock(Protocol):
    """Tells the time of the business: aware, in UTC, and in development movable."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""


class PaymentProvider(Protocol):
    """A payment service provider. No method raises for what the provider or the network does: see ProviderAnswer.

    Every method returns within the adapter's own deadline; what did not answer in it is UNKNOWN.
    """

    @property
    def name(self) -> str:
        """The provider's name in the API, such as `stripe`."""

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """Open the page where the customer pays: ACTION_REQUIRED, REFUSED or UNKNOWN.

        The same `effect_id` opens the same page, however often it is called. An adapter that has to look for the page
        first, since its provider forgot the call, tells how it stands: any status.
        """

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """Charge a saved means of payment: SUCCEEDED, DECLINED, ACTION_REQUIRED, PROCESSING, REFUSED or UNKNOWN.

        The same `effect_id` charges once, however often it is called. From `expires_at` on nothing is charged: the
        adapter tells how the charge stands that was made before, by any status, or CLOSED where there is none.
        """

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """Tell how the payment stands: any status. CLOSED also when the provider never heard of the payment."""

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """Make the payment unpayable: CLOSED, or SUCCEEDED when it was paid before, PROCESSING, UNKNOWN.

        CLOSED where there is none has to be sure of it for a charge, so it is looked for among its customer's.
        """

    async def refund(self, effect: RefundPayment, *, account: str) -> RefundAnswer:
        """Give money back, or tell how the refund that the effect names stands.

        The same `effect_id` gives back once, however often it is called and however late.
        """

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        """Tell again what was told of disputes and of refunds that failed: one page, the newest first.

        Without `since` all that the provider still knows. Each report is the one that the webhook brought, or would
        have brought. What cannot be told is the page's `trouble`, and holds nothing else of it back.
        """

    async def close(self) -> None:
        """Release connections."""
