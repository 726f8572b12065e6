"""Pages where customers pay: Checkout Sessions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import stripe

from domain.effects import AnswerStatus, ProviderAnswer
from infra.stripe.calls import (
    KEY_LIFETIME,
    LOOKUP_PAGE_LENGTH,
    LOOKUP_PAGES_MAX,
    UnsureError,
    id_of,
    once,
    request_id_of,
    search_intents,
)
from infra.stripe.currencies import money_of, to_stripe_amount
from infra.stripe.declines import reason_of

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams, SessionListParams

    from domain.effects import CreateCheckout
    from domain.ports import Clock

LIFETIME_MIN = timedelta(minutes=60)
LIFETIME_MAX = timedelta(hours=23, minutes=50)
NOTICE = timedelta(minutes=31)
"""Stripe opens no session that would expire in less than 30 minutes."""

NAME_LENGTH_MAX = 250
EXPANSION = ["payment_intent.latest_charge", "payment_intent.payment_method"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Pages, questions about them, and their end. Methods raise what `within_deadline` takes."""

    client: stripe.StripeClient
    clock: Clock
    return_url: str

    async def create(self, effect: CreateCheckout, account: str) -> ProviderAnswer:
        """Opens a page once."""
        params = self._params(effect, account)
        now = self.clock.now()
        if expiry(effect) - now < NOTICE:
            found = await self._find(effect.payment_id)
            if found is not None:
                return answer_of(found)
            return ProviderAnswer(status=AnswerStatus.REFUSED, detail="too late to open a page for this payment")
        session = await once(
            effect.effect_id,
            lambda key: self.client.v1.checkout.sessions.create_async(params, {"idempotency_key": key}),
            lambda: self._find(effect.payment_id),
            look_first=now - effect.created_at >= KEY_LIFETIME,
        )
        return answer_of(session)

    async def fetch(self, reference: str | None, payment_id: str) -> ProviderAnswer:
        """Tells how the page's payment stands."""
        session = await self._session(reference, payment_id)
        if session is None:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=reference, detail="unknown to the provider")
        return answer_of(session)

    async def close(self, reference: str | None, payment_id: str) -> ProviderAnswer:
        """Makes the page unpayable, or tells that it was paid before."""
        if reference is None:
            # The answer with the page's address never reached us, so nobody was ever told it; still, take it away.
            found = await self._find(payment_id)
            if found is None:
                return ProviderAnswer(status=AnswerStatus.CLOSED, detail="unknown to the provider")
            reference = found.id
        try:
            expired = await self.client.v1.checkout.sessions.expire_async(reference, {"expand": EXPANSION})
            return replace(answer_of(expired), status=AnswerStatus.CLOSED)
        except stripe.InvalidRequestError:
            # It is not open any more: paid, expired, or never known. Its present state tells.
            answer = await self.fetch(reference, payment_id)
        if answer.status in {AnswerStatus.SUCCEEDED, AnswerStatus.PROCESSING, AnswerStatus.CLOSED}:
            return answer
        raise UnsureError("the page is still open, and would not be closed")

    def _params(self, effect: CreateCheckout, account: str) -> SessionCreateParams:
        """Everything here has to be the same at each repeat, or Stripe refuses the key."""
        metadata = {"payment_id": effect.payment_id, "order_id": effect.order_id, "account": account}
        return_url = effect.return_url or self.return_url
        params: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": effect.payment_id,
            "success_url": return_url,
            "cancel_url": return_url,
            "expires_at": int(expiry(effect).timestamp()),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": effect.amount.currency.lower(),
                        "unit_amount": to_stripe_amount(effect.amount.amount, effect.amount.currency),
                        "product_data": {"name": effect.description[:NAME_LENGTH_MAX] or effect.order_id},
                    },
                }
            ],
            "metadata": metadata,
            "payment_intent_data": {"metadata": metadata},
        }
        if effect.save_method:
            params["customer_creation"] = "always"
            params["payment_intent_data"] = {"metadata": metadata, "setup_future_usage": "off_session"}
        return params

    async def _session(self, reference: str | None, payment_id: str) -> stripe.checkout.Session | None:
        if reference is None:
            found = await self._find(payment_id)
            if found is None:
                return None
            reference = found.id
        try:
            return await self.client.v1.checkout.sessions.retrieve_async(reference, {"expand": EXPANSION})
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return None
            raise

    async def _find(self, payment_id: str) -> stripe.checkout.Session | None:
        """The session of a payment whose name was lost: by the intent with our metadata, else among those still open.

        The search is bounded. A session beyond the bound has an address that nobody was told.
        """
        for intent in await search_intents(self.client, payment_id):
            sessions = await self.client.v1.checkout.sessions.list_async(
                {"payment_intent": intent.id, "limit": 1, "expand": [f"data.{path}" for path in EXPANSION]}
            )
            if sessions.data:
                return sessions.data[0]
        params: SessionListParams = {"status": "open", "limit": LOOKUP_PAGE_LENGTH}
        for _ in range(LOOKUP_PAGES_MAX):
            page = await self.client.v1.checkout.sessions.list_async(params)
            for session in page.data:
                if session.client_reference_id == payment_id:
                    return session
            if not page.has_more:
                break
            params["starting_after"] = page.data[-1].id
        return None


def expiry(effect: CreateCheckout) -> datetime:
    """When the page ends: as the payment does, within what Stripe allows, and the same at each repeat."""
    lifetime = min(max(effect.expires_at - effect.created_at, LIFETIME_MIN), LIFETIME_MAX)
    return effect.created_at + lifetime


def answer_of(session: stripe.checkout.Session) -> ProviderAnswer:
    """What a session says, in the words of the port."""
    base = ProviderAnswer(
        status=AnswerStatus.UNKNOWN,
        reference=session.id,
        customer_reference=id_of(session.customer),
        provider_request_id=request_id_of(session),
    )
    intent = session.payment_intent if isinstance(session.payment_intent, stripe.PaymentIntent) else None
    match session.status, session.payment_status:
        case "complete", "paid":
            return _paid(base, session, intent)
        case "complete", _:
            return replace(base, status=AnswerStatus.PROCESSING)
        case "expired", _:
            return replace(base, status=AnswerStatus.CLOSED, decline_reason=_decline(intent)[0])
        case "open", _:
            pass
        case _:
            return replace(base, detail="a status that this version does not know")
    if intent is not None and intent.status == "processing":
        return replace(base, status=AnswerStatus.PROCESSING)
    reason, hard = _decline(intent)
    if reason is not None:
        return replace(base, status=AnswerStatus.DECLINED, decline_reason=reason, hard=hard)
    if session.url is None:
        return replace(base, detail="an open page without an address")
    return replace(base, status=AnswerStatus.ACTION_REQUIRED, confirmation_url=session.url)


def _paid(
    base: ProviderAnswer, session: stripe.checkout.Session, intent: stripe.PaymentIntent | None
) -> ProviderAnswer:
    amount = money_of(session.amount_total, session.currency)
    if amount is None:
        return replace(base, detail="a paid session without an amount that we can read")
    charge = intent.latest_charge if intent is not None else None
    method = intent.payment_method if intent is not None else None
    paid_at = charge.created if isinstance(charge, stripe.Charge) else session.created
    return replace(
        base,
        status=AnswerStatus.SUCCEEDED,
        amount=amount,
        paid_at=datetime.fromtimestamp(paid_at, UTC),
        method_reference=id_of(method),
        method_label=_label(method),
    )


def _decline(intent: stripe.PaymentIntent | None) -> tuple[str | None, bool]:
    if intent is None or intent.status not in {"requires_payment_method", "canceled"} or not intent.last_payment_error:
        return None, False
    return reason_of(intent.last_payment_error.to_dict())


def _label(method: str | stripe.PaymentMethod | None) -> str | None:
    if not isinstance(method, stripe.PaymentMethod) or method.card is None:
        return None
    return f"{method.card.brand} •••• {method.card.last4}"
