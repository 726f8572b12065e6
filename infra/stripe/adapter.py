"""Stripe as a payment provider, by its official SDK. What it does not know it calls UNKNOWN, and never "failed"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import stripe

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.reports import ReportPage
from infra.stripe.calls import Kind, Trouble, within_deadline
from infra.stripe.http import BoundedHttpClient
from infra.stripe.intents import Intents
from infra.stripe.names import API_VERSION, INTENT_PREFIX, PROVIDER
from infra.stripe.refunds import Refunds
from infra.stripe.reports import Reports
from infra.stripe.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from domain.effects import ChargeMethod, CloseCheckout, CreateCheckout, FetchPayment, RefundPayment
    from domain.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeOptions:
    """How to reach Stripe. `api_base` is empty for Stripe itself, else the address of the sandbox."""

    return_url: str
    """Where a customer comes back to if the order names no address."""
    api_base: str = ""
    deadline_s: float = 20.0
    """Of one method of the adapter, whatever the network does."""
    step_timeout_s: float = 10.0
    """Of each step of the network: connecting, sending, waiting for more bytes."""
    events_a_page: int = 100
    """How many events are asked for at once; 100 is the most that Stripe gives."""


class StripeProvider:
    """The port `PaymentProvider` over the official SDK. Stateless: all that it needs is in the effect.

    A payment is known by the name of its Checkout Session, or of its payment intent where a saved method was charged.
    """

    def __init__(self, secret_key: str, clock: Clock, options: StripeOptions) -> None:
        self._deadline_s = options.deadline_s
        self._http = BoundedHttpClient(timeout_s=options.step_timeout_s)
        # The engine repeats calls by its own schedule, with the same key, so the SDK must not.
        client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": options.api_base} if options.api_base else None,
            max_network_retries=0,
            http_client=self._http,
        )
        self._sessions = Sessions(client=client, clock=clock, return_url=options.return_url)
        self._intents = Intents(client=client, clock=clock, return_url=options.return_url)
        self._refunds = Refunds(client=client, clock=clock)
        self._reports = Reports(client, step_timeout_s=options.step_timeout_s, page_length=options.events_a_page)

    @property
    def name(self) -> str:
        """The provider's name in the API."""
        return PROVIDER

    async def close(self) -> None:
        """Releases connections."""
        await self._http.close_async()

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """Opens the page where the customer pays; the same effect opens the same page."""
        return await self._answer(self._sessions.create(effect, account))

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """Charges a saved method; the same effect charges once."""
        return await self._answer(self._intents.charge(effect, account))

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """Tells how the payment stands."""
        del account
        return await self._answer(self._fetch(effect))

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """Makes the page or the charge unpayable, or tells that it was paid before."""
        del account
        return await self._answer(self._close(effect))

    async def refund(self, effect: RefundPayment, *, account: str) -> RefundAnswer:
        """Gives money back, or tells how the refund that the effect names stands."""
        call = self._refunds.fetch(effect.reference) if effect.reference else self._refunds.refund(effect, account)
        answer = await within_deadline(call, self._deadline_s)
        if isinstance(answer, RefundAnswer):
            return answer
        # That a question was refused says nothing of the refund; that the refund itself was, is its end.
        is_unknown = answer.kind is Kind.UNKNOWN or effect.reference is not None
        return RefundAnswer(
            status=RefundAnswerStatus.UNKNOWN if is_unknown else RefundAnswerStatus.FAILED,
            detail=answer.detail,
            provider_request_id=answer.request_id,
        )

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        """Tells again what webhooks told of disputes and failed refunds; Stripe knows the last 30 days."""
        page = await within_deadline(self._reports.page(since, cursor), self._deadline_s)
        return page if isinstance(page, ReportPage) else ReportPage(trouble=page.detail)

    async def _fetch(self, effect: FetchPayment) -> ProviderAnswer:
        if effect.reference is None and effect.customer_reference is not None:
            return await self._intents.fetch_of(effect.customer_reference, effect.payment_id)
        charge = await self._charge_of(effect.reference, effect.payment_id)
        return await (
            self._intents.fetch(charge) if charge else self._sessions.fetch(effect.reference, effect.payment_id)
        )

    async def _close(self, effect: CloseCheckout) -> ProviderAnswer:
        if effect.reference is None and effect.customer_reference is not None:
            return await self._intents.close_of(effect.customer_reference, effect.payment_id)
        charge = await self._charge_of(effect.reference, effect.payment_id)
        return await (
            self._intents.close(charge) if charge else self._sessions.close(effect.reference, effect.payment_id)
        )

    async def _charge_of(self, reference: str | None, payment_id: str) -> str | None:
        """The name of the charge that is meant, or None where a page is."""
        if reference is None:
            return await self._intents.find(payment_id)
        return reference if reference.startswith(INTENT_PREFIX) else None

    async def _answer(self, call: Awaitable[ProviderAnswer]) -> ProviderAnswer:
        answer = await within_deadline(call, self._deadline_s)
        return answer if isinstance(answer, ProviderAnswer) else _answer_of(answer)


STATUSES = {
    Kind.REFUSED: AnswerStatus.REFUSED,
    Kind.DECLINED: AnswerStatus.DECLINED,
    Kind.UNKNOWN: AnswerStatus.UNKNOWN,
}


def _answer_of(trouble: Trouble) -> ProviderAnswer:
    return ProviderAnswer(
        status=STATUSES[trouble.kind],
        detail=trouble.detail,
        decline_reason=trouble.reason,
        hard=trouble.hard,
        provider_request_id=trouble.request_id,
    )
