"""Charges of saved methods while the customer is away: payment intents, confirmed off session.

When the bank wants the customer to confirm, Stripe declines with `authentication_required`, and the customer has to be
brought back on session (https://docs.stripe.com/payments/save-and-reuse). So the same intent is confirmed once more,
on session and with a `return_url`, which gives the address where the customer confirms. It is still the one intent,
which can be paid once, also where the bank is content after all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import stripe

from domain.effects import AnswerStatus, ProviderAnswer
from infra.stripe.calls import (
    KEY_LIFETIME,
    LOOKUP_PAGE_LENGTH,
    LOOKUP_PAGES_MAX,
    Json,
    Told,
    UnsureError,
    id_of,
    intent_in,
    once,
    search_intents,
    told,
)
from infra.stripe.currencies import money_of, to_stripe_amount
from infra.stripe.declines import reason_of
from infra.stripe.names import CHARGE, KIND

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

    from domain.effects import ChargeMethod
    from domain.ports import Clock

INTENTS_PATH = "/v1/payment_intents"
AUTHENTICATION_REQUIRED = "authentication_required"
DESCRIPTION_LENGTH_MAX = 1000
EXPANSION = ["latest_charge", "payment_method"]
NOT_MADE = ProviderAnswer(status=AnswerStatus.CLOSED, detail="the charge was not made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """Charges, questions about them, and their cancelling. Methods raise what `within_deadline` takes."""

    client: stripe.StripeClient
    clock: Clock
    return_url: str

    async def charge(self, effect: ChargeMethod, account: str) -> ProviderAnswer:
        """Charges once, and not after its time; what needs the customer says where."""
        now = self.clock.now()
        if now >= effect.expires_at:
            return await self.fetch_of(effect.customer_reference, effect.payment_id)
        params = self._params(effect, account)

        async def make(key: str) -> Told:
            try:
                # The SDK's raw request: making its objects of an answer, only to take them apart again, was a quarter
                # of the work of a charge, and of these there are many at once when a month begins.
                answer = await self.client.raw_request_async("post", INTENTS_PATH, idempotency_key=key, **params)
            except stripe.CardError as error:
                return _declined(error)
            return Told(dict(answer.data), answer.request_id)

        intent = await once(
            effect.effect_id,
            make,
            lambda: self._find(effect.customer_reference, effect.payment_id),
            look_first=now - effect.created_at >= KEY_LIFETIME,
        )
        if needs_authentication(intent.body):
            intent = await self._ask_customer(effect, intent.body["id"])
        return answer_of(intent)

    async def fetch(self, reference: str) -> ProviderAnswer:
        """Tells how a charge stands."""
        try:
            return answer_of(await self._retrieve(reference))
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=reference, detail="unknown to the provider")

    async def fetch_of(self, customer: str, payment_id: str) -> ProviderAnswer:
        """The same for a charge whose name nobody was told."""
        found = await self._find(customer, payment_id)
        return NOT_MADE if found is None else answer_of(found)

    async def close(self, reference: str) -> ProviderAnswer:
        """Cancels a charge that waits for its customer, or tells that it was paid before."""
        try:
            cancelled = await self.client.v1.payment_intents.cancel_async(reference, {"expand": EXPANSION})
        except stripe.InvalidRequestError:
            # It cannot be cancelled: paid, cancelled before, or never known. Its present state tells.
            answer = await self.fetch(reference)
        else:
            answer = answer_of(told(cancelled))
        if answer.status in {AnswerStatus.SUCCEEDED, AnswerStatus.PROCESSING, AnswerStatus.CLOSED}:
            return answer
        raise UnsureError("the charge is still open, and would not be cancelled")

    async def close_of(self, customer: str, payment_id: str) -> ProviderAnswer:
        """The same for a charge whose name nobody was told."""
        found = await self._find(customer, payment_id)
        return NOT_MADE if found is None else await self.close(found.body["id"])

    async def find(self, payment_id: str) -> str | None:
        """The name of the charge of a payment, where there is one."""
        found = await search_intents(self.client, payment_id)
        return next((intent.id for intent in found if is_charge(intent.to_dict())), None)

    def _params(self, effect: ChargeMethod, account: str) -> PaymentIntentCreateParams:
        """Everything here has to be the same at each repeat, or Stripe refuses the key."""
        return {
            "amount": to_stripe_amount(effect.amount.amount, effect.amount.currency),
            "currency": effect.amount.currency.lower(),
            "customer": effect.customer_reference,
            "payment_method": effect.method_reference,
            "off_session": True,
            "confirm": True,
            # A method that was saved may be of any type that the merchant has switched on.
            "automatic_payment_methods": {"enabled": True},
            "return_url": self.return_url,
            "description": effect.description[:DESCRIPTION_LENGTH_MAX] or effect.order_id,
            "metadata": {
                "payment_id": effect.payment_id,
                "order_id": effect.order_id,
                "account": account,
                KIND: CHARGE,
            },
            "expand": EXPANSION,
        }

    async def _ask_customer(self, effect: ChargeMethod, reference: str) -> Told:
        """Makes the step where the customer confirms, unless the charge is beyond it: first answers are repeated."""

        async def make(key: str) -> Told:
            try:
                confirmed = await self.client.v1.payment_intents.confirm_async(
                    reference,
                    {
                        "payment_method": effect.method_reference,
                        "return_url": self.return_url,
                        "expand": EXPANSION,
                    },
                    {"idempotency_key": key},
                )
            except stripe.CardError as error:
                return _declined(error)
            return told(confirmed)

        async def find() -> Told | None:
            intent = await self._retrieve(reference)
            return None if needs_authentication(intent.body) else intent

        return await once(f"{effect.effect_id}-confirm", make, find, look_first=True)

    async def _retrieve(self, reference: str) -> Told:
        return told(await self.client.v1.payment_intents.retrieve_async(reference, {"expand": EXPANSION}))

    async def _find(self, customer: str, payment_id: str) -> Told | None:
        """The charge that an earlier call made, by a list of the customer's, which unlike the search is up to date."""
        params: PaymentIntentListParams = {"customer": customer, "limit": LOOKUP_PAGE_LENGTH}
        for _ in range(LOOKUP_PAGES_MAX):
            page = await self.client.v1.payment_intents.list_async(params)
            for intent in page.data:
                body = intent.to_dict()
                if is_charge(body) and body["metadata"].get("payment_id") == payment_id:
                    return await self._retrieve(intent.id)
            if not page.has_more:
                return None
            params["starting_after"] = page.data[-1].id
        raise UnsureError("the customer has more payments than can be looked through")


def _declined(error: stripe.CardError) -> Told:
    intent = intent_in(error)
    if intent is None:
        raise error
    return intent


def is_charge(intent: Json) -> bool:
    """Whether an intent is a charge of a saved method. Those of pages are spoken of by the page's name."""
    metadata = intent.get("metadata")
    return isinstance(metadata, dict) and metadata.get(KIND) == CHARGE


def needs_authentication(intent: Json) -> bool:
    """Whether the bank wants the customer, and nobody has been told where to confirm yet."""
    error = intent.get("last_payment_error")
    if intent.get("status") != "requires_payment_method" or not isinstance(error, dict):
        return False
    return AUTHENTICATION_REQUIRED in {error.get("code"), error.get("decline_code")}


def answer_of(intent: Told, *, told_at: datetime | None = None) -> ProviderAnswer:
    """What an intent says, in the words of the port. `told_at` stands in for the time of a charge that is not there."""
    body = intent.body
    base = ProviderAnswer(
        status=AnswerStatus.UNKNOWN,
        reference=body["id"],
        customer_reference=id_of(body.get("customer")),
        provider_request_id=intent.request_id,
    )
    match body.get("status"):
        case "succeeded":
            return _paid(base, body, told_at)
        case "processing":
            return replace(base, status=AnswerStatus.PROCESSING)
        case "canceled":
            return replace(base, status=AnswerStatus.CLOSED)
        case "requires_action":
            url = _address(body.get("next_action"))
            if url is not None:
                return replace(base, status=AnswerStatus.ACTION_REQUIRED, confirmation_url=url)
            # A step that has no page, such as a microdeposit: nothing that a customer can be sent to.
            return replace(base, status=AnswerStatus.DECLINED, decline_reason=AUTHENTICATION_REQUIRED)
        case "requires_payment_method":
            reason, hard = reason_of(body.get("last_payment_error"))
            return replace(base, status=AnswerStatus.DECLINED, decline_reason=reason, hard=hard)
        case _:
            return replace(base, detail="a status that this version does not know")


def _paid(base: ProviderAnswer, intent: Json, told_at: datetime | None) -> ProviderAnswer:
    amount = money_of(intent.get("amount_received"), intent.get("currency"))
    if amount is None:
        return replace(base, detail="a paid charge without an amount that we can read")
    charge, method = intent.get("latest_charge"), intent.get("payment_method")
    created = charge.get("created") if isinstance(charge, dict) else None
    return replace(
        base,
        status=AnswerStatus.SUCCEEDED,
        amount=amount,
        paid_at=datetime.fromtimestamp(created, UTC) if type(created) is int else told_at,
        method_reference=id_of(method),
    )


def _address(next_action: object) -> str | None:
    redirect = next_action.get("redirect_to_url") if isinstance(next_action, dict) else None
    url = redirect.get("url") if isinstance(redirect, dict) else None
    return url if isinstance(url, str) else None
