"""Stripe as a payment provider, by its official SDK. What it does not know it calls UNKNOWN, and never "failed"."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import stripe
import structlog

from domain.effects import AnswerStatus, CloseCheckout, CreateCheckout, FetchPayment, ProviderAnswer
from domain.money import EXPONENTS, Money
from infra.stripe.currencies import AmountNotRepresentableError, from_stripe_amount, to_stripe_amount
from infra.stripe.declines import reason_of
from infra.stripe.http import BoundedHttpClient
from infra.stripe.names import API_VERSION, PROVIDER

if TYPE_CHECKING:
    from stripe.params.checkout import SessionCreateParams, SessionListParams

    from domain.ids import PaymentId
    from domain.ports import Clock

log = structlog.get_logger(__name__)

KEY_LIFETIME = timedelta(hours=23)
"""Stripe forgets idempotency keys after 24 hours. When a call is older than this, we look before we repeat it."""

SESSION_LIFETIME_MIN = timedelta(minutes=60)
SESSION_LIFETIME_MAX = timedelta(hours=23, minutes=50)
SESSION_NOTICE = timedelta(minutes=31)
"""Stripe opens no session that would expire in less than 30 minutes."""

KEY_GENERATIONS_MAX = 3
LOOKUP_PAGES_MAX = 10
LOOKUP_PAGE_LENGTH = 100
NAME_LENGTH_MAX = 250
DETAIL_LENGTH_MAX = 200

EXPANSION = ["payment_intent.latest_charge", "payment_intent.payment_method"]


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


class StripeProvider:
    """The port `PaymentProvider` over the official SDK. Stateless: all that it needs is in the effect."""

    def __init__(self, secret_key: str, clock: Clock, options: StripeOptions) -> None:
        self._clock = clock
        self._options = options
        self._http = BoundedHttpClient(timeout_s=options.step_timeout_s)
        # The engine repeats calls by its own schedule, with the same key, so the SDK must not.
        self._client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": options.api_base} if options.api_base else None,
            max_network_retries=0,
            http_client=self._http,
        )

    @property
    def name(self) -> str:
        """The provider's name in the API."""
        return PROVIDER

    async def close(self) -> None:
        """Releases connections."""
        await self._http.close_async()

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """Opens the page where the customer pays; the same effect opens the same page."""
        try:
            params = self._session_params(effect, account)
        except (AmountNotRepresentableError, KeyError) as error:
            return ProviderAnswer(status=AnswerStatus.REFUSED, detail=str(error)[:DETAIL_LENGTH_MAX])
        return await self._within_deadline(self._create(effect, params))

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """Tells how the payment stands."""
        del account
        return await self._within_deadline(self._fetch(effect.reference, effect.payment_id))

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """Makes the page unpayable, or tells that it was paid before."""
        del account
        return await self._within_deadline(self._close(effect.reference, effect.payment_id))

    async def _within_deadline(self, call: Any) -> ProviderAnswer:
        try:
            async with asyncio.timeout(self._options.deadline_s):
                answer: ProviderAnswer = await call
                return answer
        except TimeoutError:
            return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail="no answer within the deadline")
        except stripe.StripeError as error:
            return _answer_to(error)
        except Exception as error:
            # An answer in a shape that nobody knows. Its text is not logged: nobody knows what stands in it.
            log.error("stripe.answer_unreadable", error=type(error).__name__)  # noqa: TRY400 - see above
            return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail="an answer that could not be read")

    async def _create(self, effect: CreateCheckout, params: SessionCreateParams) -> ProviderAnswer:
        now = self._clock.now()
        too_late = _session_expiry(effect) - now < SESSION_NOTICE
        if too_late or now - effect.created_at >= KEY_LIFETIME:
            found = await self._find(effect.payment_id)
            if found is not None:
                return answer_of(found)
            if too_late:
                return ProviderAnswer(status=AnswerStatus.REFUSED, detail="too late to open a page for this payment")
        for generation in range(KEY_GENERATIONS_MAX):
            key = f"billing-{effect.effect_id}" + (f"-{generation}" if generation else "")
            try:
                session = await self._client.v1.checkout.sessions.create_async(params, {"idempotency_key": key})
            except stripe.IdempotencyError as error:
                # An earlier call with this key had other parameters (an older version of us); it may have worked.
                found = await self._find(effect.payment_id)
                return answer_of(found) if found is not None else _answer_to(error)
            except stripe.StripeError as error:
                if not _is_finished_failure(error):
                    raise
                # Stripe repeats its own 5xx for as long as it knows the key. The first call is over, so look what it
                # did; only if it did nothing, begin again with another key.
                found = await self._find(effect.payment_id)
                if found is not None:
                    return answer_of(found)
                log.warning("stripe.key_spent", payment_id=effect.payment_id, generation=generation)
                continue
            return answer_of(session)
        return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail="Stripe keeps answering with server errors")

    def _session_params(self, effect: CreateCheckout, account: str) -> SessionCreateParams:
        """Everything here has to be the same at each repeat, or Stripe refuses the key."""
        metadata = {"payment_id": effect.payment_id, "order_id": effect.order_id, "account": account}
        return_url = effect.return_url or self._options.return_url
        params: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": effect.payment_id,
            "success_url": return_url,
            "cancel_url": return_url,
            "expires_at": int(_session_expiry(effect).timestamp()),
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

    async def _fetch(self, reference: str | None, payment_id: PaymentId) -> ProviderAnswer:
        session = await self._session(reference, payment_id)
        if session is None:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=reference, detail="unknown to the provider")
        return answer_of(session)

    async def _close(self, reference: str | None, payment_id: PaymentId) -> ProviderAnswer:
        if reference is None:
            # The answer with the page's address never reached us, so nobody was ever told it; still, take it away.
            found = await self._find(payment_id)
            if found is None:
                return ProviderAnswer(status=AnswerStatus.CLOSED, detail="unknown to the provider")
            reference = found.id
        try:
            expired = await self._client.v1.checkout.sessions.expire_async(reference, {"expand": EXPANSION})
            return replace(answer_of(expired), status=AnswerStatus.CLOSED)
        except stripe.InvalidRequestError:
            # It is not open any more: paid, expired, or never known. Its present state tells.
            answer = await self._fetch(reference, payment_id)
        if answer.status in {AnswerStatus.SUCCEEDED, AnswerStatus.PROCESSING, AnswerStatus.CLOSED}:
            return answer
        return replace(answer, status=AnswerStatus.UNKNOWN, detail="the page is still open, and would not be closed")

    async def _session(self, reference: str | None, payment_id: PaymentId) -> stripe.checkout.Session | None:
        if reference is None:
            found = await self._find(payment_id)
            if found is None:
                return None
            reference = found.id
        try:
            return await self._client.v1.checkout.sessions.retrieve_async(reference, {"expand": EXPANSION})
        except stripe.InvalidRequestError as error:
            if error.code == "resource_missing":
                return None
            raise

    async def _find(self, payment_id: PaymentId) -> stripe.checkout.Session | None:
        """The session of a payment whose name was lost: by the intent with our metadata, else among those still open.

        The search is bounded. A session beyond the bound has an address that nobody was told.
        """
        if not payment_id.replace("-", "").isalnum():
            return None
        for intent in await self._search(payment_id):
            sessions = await self._client.v1.checkout.sessions.list_async(
                {"payment_intent": intent.id, "limit": 1, "expand": [f"data.{path}" for path in EXPANSION]}
            )
            if sessions.data:
                return sessions.data[0]
        params: SessionListParams = {"status": "open", "limit": LOOKUP_PAGE_LENGTH}
        for _ in range(LOOKUP_PAGES_MAX):
            page = await self._client.v1.checkout.sessions.list_async(params)
            for session in page.data:
                if session.client_reference_id == payment_id:
                    return session
            if not page.has_more:
                break
            params["starting_after"] = page.data[-1].id
        return None

    async def _search(self, payment_id: PaymentId) -> list[stripe.PaymentIntent]:
        try:
            found = await self._client.v1.payment_intents.search_async(
                {"query": f"metadata['payment_id']:'{payment_id}'", "limit": 10}
            )
        except stripe.InvalidRequestError:
            return []  # Stripe does not offer searching to merchants of every country
        return found.data


def _session_expiry(effect: CreateCheckout) -> datetime:
    """When the page ends: as the payment does, within what Stripe allows, and the same at each repeat."""
    lifetime = min(max(effect.expires_at - effect.created_at, SESSION_LIFETIME_MIN), SESSION_LIFETIME_MAX)
    return effect.created_at + lifetime


def answer_of(session: stripe.checkout.Session) -> ProviderAnswer:
    """What a session says, in the words of the port."""
    request_id = _request_id(session)
    base = ProviderAnswer(
        status=AnswerStatus.UNKNOWN,
        reference=session.id,
        customer_reference=_id(session.customer),
        provider_request_id=request_id,
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
    currency = (session.currency or "").upper()
    if session.amount_total is None or currency not in EXPONENTS:
        return replace(base, detail="a paid session without an amount that we can read")
    try:
        amount = Money(amount=from_stripe_amount(session.amount_total, currency), currency=currency)
    except AmountNotRepresentableError as error:
        return replace(base, detail=str(error)[:DETAIL_LENGTH_MAX])
    charge = intent.latest_charge if intent is not None else None
    method = intent.payment_method if intent is not None else None
    paid_at = charge.created if isinstance(charge, stripe.Charge) else session.created
    return replace(
        base,
        status=AnswerStatus.SUCCEEDED,
        amount=amount,
        paid_at=datetime.fromtimestamp(paid_at, UTC),
        method_reference=_id(method),
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


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) else getattr(value, "id", None)


def _request_id(body: Any) -> str | None:
    response = getattr(body, "last_response", None)
    return getattr(response, "request_id", None)


def _is_finished_failure(error: stripe.StripeError) -> bool:
    """A 5xx that Stripe repeats from its memory: the call itself is over."""
    replayed = (error.headers or {}).get("idempotent-replayed") == "true"
    return replayed and (error.http_status or 0) >= 500  # noqa: PLR2004 - HTTP's server errors


def _answer_to(error: stripe.StripeError) -> ProviderAnswer:
    """What an error of the SDK means. Only an outright refusal of the request is one; all else is not known."""
    detail = f"{type(error).__name__}: {error.user_message or error.code or 'no details'}"[:DETAIL_LENGTH_MAX]
    # 401 and 403 are mistakes in our configuration: the payment is not refused, it has to wait until they are mended.
    refused = isinstance(error, stripe.InvalidRequestError) and error.http_status in {400, 402, 404}
    status = AnswerStatus.REFUSED if refused else AnswerStatus.UNKNOWN
    if status is AnswerStatus.UNKNOWN:
        log.warning("stripe.unknown", error=type(error).__name__, http_status=error.http_status, code=error.code)
    return ProviderAnswer(status=status, detail=detail, provider_request_id=error.request_id)
