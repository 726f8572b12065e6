"""Money back: refunds of the payment intent behind a page or a charge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.effects import RefundAnswer, RefundAnswerStatus
from infra.stripe.calls import (
    DETAIL_LENGTH_MAX,
    KEY_LIFETIME,
    LOOKUP_PAGE_LENGTH,
    LOOKUP_PAGES_MAX,
    Told,
    UnsureError,
    id_of,
    once,
    told,
)
from infra.stripe.currencies import to_stripe_amount
from infra.stripe.names import SESSION_PREFIX

if TYPE_CHECKING:
    import stripe
    from stripe.params import RefundCreateParams, RefundListParams

    from domain.effects import RefundPayment
    from domain.ports import Clock

STATUSES = {
    "pending": RefundAnswerStatus.PENDING,
    "requires_action": RefundAnswerStatus.PENDING,
    "succeeded": RefundAnswerStatus.SUCCEEDED,
    "failed": RefundAnswerStatus.FAILED,
    "canceled": RefundAnswerStatus.FAILED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunds:
    """Refunds, and questions about them. Methods raise what `within_deadline` takes."""

    client: stripe.StripeClient
    clock: Clock

    async def refund(self, effect: RefundPayment, account: str) -> RefundAnswer:
        """Gives money back once."""
        amount = to_stripe_amount(effect.amount.amount, effect.amount.currency)
        intent = await self._intent_of(effect.payment_reference)
        if intent is None:
            return RefundAnswer(status=RefundAnswerStatus.FAILED, detail="nothing was paid at this page")
        params: RefundCreateParams = {
            "payment_intent": intent,
            "amount": amount,
            "metadata": {"refund_id": effect.refund_id, "payment_id": effect.payment_id, "account": account},
        }

        async def make(key: str) -> Told:
            return told(await self.client.v1.refunds.create_async(params, {"idempotency_key": key}))

        is_old = self.clock.now() - effect.requested_at >= KEY_LIFETIME
        return answer_of(await once(effect.effect_id, make, lambda: self._find(intent, effect), look_first=is_old))

    async def fetch(self, reference: str) -> RefundAnswer:
        """Tells how a refund stands."""
        return answer_of(told(await self.client.v1.refunds.retrieve_async(reference)))

    async def _intent_of(self, payment_reference: str) -> str | None:
        if not payment_reference.startswith(SESSION_PREFIX):
            return payment_reference
        session = await self.client.v1.checkout.sessions.retrieve_async(payment_reference)
        return id_of(session.payment_intent)

    async def _find(self, intent: str, effect: RefundPayment) -> Told | None:
        """The refund that an earlier call made."""
        params: RefundListParams = {"payment_intent": intent, "limit": LOOKUP_PAGE_LENGTH}
        for _ in range(LOOKUP_PAGES_MAX):
            page = await self.client.v1.refunds.list_async(params)
            for refund in page.data:
                found = told(refund)
                if (found.body.get("metadata") or {}).get("refund_id") == effect.refund_id:
                    return found
            if not page.has_more:
                return None
            params["starting_after"] = page.data[-1].id
        raise UnsureError("the payment has more refunds than can be looked through")


def answer_of(refund: Told) -> RefundAnswer:
    """What a refund says, in the words of the port."""
    said = refund.body.get("status")
    status = STATUSES.get(said) if isinstance(said, str) else None
    detail = None
    if status is None:
        detail = "a status that this version does not know"
    elif status is RefundAnswerStatus.FAILED:
        detail = str(refund.body.get("failure_reason") or said)[:DETAIL_LENGTH_MAX]
    return RefundAnswer(
        status=status or RefundAnswerStatus.UNKNOWN,
        reference=refund.body["id"],
        detail=detail,
        provider_request_id=refund.request_id,
    )
