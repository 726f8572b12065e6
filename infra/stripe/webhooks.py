"""Stripe's webhooks: verified on the raw bytes first, then turned into commands of ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import orjson
import stripe

from domain.disputes.commands import DisputeReport, ReportDispute
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswerStatus
from domain.ids import AccountId, PaymentId, RefundId
from domain.payments.commands import ReportPayment
from domain.refunds.commands import AnswerRefund
from domain.reports import ProviderReport
from infra.stripe import disputes, intents, refunds
from infra.stripe.calls import Json, Told
from infra.stripe.currencies import money_of
from infra.stripe.declines import reason_of
from infra.stripe.names import DISPUTE_PREFIX, HANDLED_EVENTS, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE_S = 300
"""How old a signature may be; Stripe's own default."""

TEXT_LENGTH_MAX = 500


class WebhookRejectedError(Exception):
    """The bytes are not a webhook of ours: answer 400, change nothing. The message names no secret and no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeWebhook:
    """What a webhook says of a dispute. Whose payment it is about, the payment intent knows."""

    intent: str
    report_id: str
    dispute: DisputeReport

    def report_for(self, owner: disputes.Owner) -> ProviderReport:
        """The same as a command for the account whose payment it is."""
        command = ReportDispute(
            payment_id=owner.payment_id, provider=PROVIDER, report_id=self.report_id, dispute=self.dispute
        )
        return ProviderReport(account=owner.account, report_id=self.report_id, command=command)


def verify(payload: bytes, signature: str | None, secrets: Sequence[str], *, tolerance_s: int = TOLERANCE_S) -> None:
    """Raises `WebhookRejectedError` unless one of the live secrets signed exactly these bytes, and not long ago."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise WebhookRejectedError("the body is not UTF-8") from None
    for secret in secrets:
        try:
            stripe.WebhookSignature.verify_header(text, signature, secret, tolerance_s)
        except stripe.SignatureVerificationError:
            continue
        except Exception:  # noqa: S112 - whatever a header makes the library do, it proves no signature
            continue
        return
    raise WebhookRejectedError("no live secret signed this body within the tolerance")


def read(payload: bytes, signature: str | None, secrets: Sequence[str]) -> ProviderReport | DisputeWebhook | None:
    """The report that a webhook brings; None where it is verified but tells nothing of a payment or refund of ours."""
    verify(payload, signature, secrets)
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise WebhookRejectedError("the body is not JSON") from None
    if not isinstance(event, dict) or event.get("object") != "event" or not _is_text(event.get("id")):
        raise WebhookRejectedError("the body is not an event of Stripe")
    return report_of(event)


def report_of(event: Json) -> ProviderReport | DisputeWebhook | None:
    """The report that an event of Stripe is, by whichever way it came; None where it tells nothing of ours."""
    body = event["data"].get("object") if isinstance(event.get("data"), dict) else None
    if not isinstance(body, dict) or event.get("type") not in HANDLED_EVENTS or not _is_text(body.get("id")):
        return None
    if event["type"].startswith(DISPUTE_PREFIX):
        return _of_dispute(event, body)
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or not _is_text(metadata.get("account")):
        return None
    command = _command(event, body, metadata)
    if command is None:
        return None
    return ProviderReport(account=AccountId(metadata["account"]), report_id=event["id"], command=command)


def _of_dispute(event: Json, body: Json) -> DisputeWebhook | None:
    intent, dispute = disputes.intent_of(body), disputes.report_of(body, event.get("created"))
    if intent is None or dispute is None:
        return None
    return DisputeWebhook(intent=intent, report_id=event["id"], dispute=dispute)


def _command(event: Json, body: Json, metadata: Json) -> ReportPayment | AnswerRefund | None:
    type_ = str(event["type"])
    if "refund" in type_:
        if not _is_text(metadata.get("refund_id")):
            return None
        answer = refunds.answer_of(Told(body, request_id=None))
        if answer.status is RefundAnswerStatus.UNKNOWN:
            return None
        return AnswerRefund(refund_id=RefundId(metadata["refund_id"]), effect_id=None, attempt=0, answer=answer)
    if not _is_text(metadata.get("payment_id")):
        return None
    created = event.get("created")
    told_at = datetime.fromtimestamp(created, UTC) if type(created) is int else None
    said = _of_intent if type_.startswith("payment_intent.") else _of_session
    found = said(type_, body, told_at)
    if found is None:
        return None
    return ReportPayment(
        payment_id=PaymentId(metadata["payment_id"]), provider=PROVIDER, report_id=event["id"], answer=found
    )


def _of_intent(type_: str, intent: Json, told_at: datetime | None) -> ProviderAnswer | None:
    if not intents.is_charge(intent):
        if type_ != "payment_intent.payment_failed":
            return None  # the page tells of its money itself
        reason, hard = reason_of(intent.get("last_payment_error"))
        # An intent does not say which page it belongs to; the payment is known by our metadata.
        return ProviderAnswer(status=AnswerStatus.DECLINED, decline_reason=reason, hard=hard)
    if intents.needs_authentication(intent):
        return None  # no end: whoever charged asks the customer, and this may come after the customer's answer
    answer = intents.answer_of(Told(intent, request_id=None), told_at=told_at)
    return None if answer.status is AnswerStatus.UNKNOWN else answer


def _of_session(type_: str, session: Json, told_at: datetime | None) -> ProviderAnswer | None:
    reference = str(session["id"])
    match session.get("status"), session.get("payment_status"):
        case "expired", _:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=reference)
        case "complete", "paid":
            return _succeeded(session, reference, told_at)
        case "complete", "unpaid" if type_ == "checkout.session.async_payment_failed":
            return ProviderAnswer(status=AnswerStatus.DECLINED, reference=reference, decline_reason="payment_failed")
        case "complete", "unpaid":
            return ProviderAnswer(status=AnswerStatus.PROCESSING, reference=reference)
    return None


def _succeeded(session: Json, reference: str, told_at: datetime | None) -> ProviderAnswer | None:
    amount = money_of(session.get("amount_total"), session.get("currency"))
    if amount is None:
        return None
    customer = session.get("customer")
    return ProviderAnswer(
        status=AnswerStatus.SUCCEEDED,
        reference=reference,
        amount=amount,
        paid_at=told_at,
        customer_reference=customer if isinstance(customer, str) else None,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_LENGTH_MAX
