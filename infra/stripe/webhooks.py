"""Stripe's webhooks: verified on the raw bytes first, then turned into our own report of a payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import stripe

from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import AccountId, PaymentId
from domain.money import EXPONENTS, Money
from domain.payments.commands import ReportPayment
from infra.stripe.currencies import AmountNotRepresentableError, from_stripe_amount
from infra.stripe.declines import reason_of
from infra.stripe.names import HANDLED_EVENTS, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence

Json = dict[str, Any]

TOLERANCE_S = 300
"""How old a signature may be; Stripe's own default."""

TEXT_LENGTH_MAX = 500


class WebhookRejectedError(Exception):
    """The bytes are not a webhook of ours: answer 400, change nothing. The message names no secret and no content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookReport:
    """A report, and the account whose payment it is about (from the metadata that we wrote and nobody else can)."""

    account: AccountId
    report: ReportPayment


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


def read(payload: bytes, signature: str | None, secrets: Sequence[str]) -> WebhookReport | None:
    """The report that a webhook brings; None where it is verified but says nothing about a payment of ours."""
    verify(payload, signature, secrets)
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise WebhookRejectedError("the body is not JSON") from None
    if not isinstance(event, dict) or event.get("object") != "event" or not _is_text(event.get("id")):
        raise WebhookRejectedError("the body is not an event of Stripe")
    body = event["data"].get("object") if isinstance(event.get("data"), dict) else None
    if not isinstance(body, dict) or event.get("type") not in HANDLED_EVENTS:
        return None
    metadata = body.get("metadata")
    if (
        not isinstance(metadata, dict)
        or not _is_text(metadata.get("payment_id"))
        or not _is_text(metadata.get("account"))
    ):
        return None
    answer = _answer(str(event["type"]), body, event.get("created"))
    if answer is None:
        return None
    report = ReportPayment(
        payment_id=PaymentId(metadata["payment_id"]), provider=PROVIDER, report_id=event["id"], answer=answer
    )
    return WebhookReport(account=AccountId(metadata["account"]), report=report)


def _answer(type_: str, body: Json, created: object) -> ProviderAnswer | None:
    reference = body.get("id")
    if not _is_text(reference):
        return None
    if type_ == "payment_intent.payment_failed":
        reason, hard = reason_of(body.get("last_payment_error"))
        # An intent does not say which page it belongs to; the payment is known by our metadata.
        return ProviderAnswer(status=AnswerStatus.DECLINED, decline_reason=reason, hard=hard)
    match body.get("status"), body.get("payment_status"):
        case "expired", _:
            return ProviderAnswer(status=AnswerStatus.CLOSED, reference=reference)
        case "complete", "paid":
            return _succeeded(body, str(reference), created)
        case "complete", "unpaid" if type_ == "checkout.session.async_payment_failed":
            return ProviderAnswer(status=AnswerStatus.DECLINED, reference=reference, decline_reason="payment_failed")
        case "complete", "unpaid":
            return ProviderAnswer(status=AnswerStatus.PROCESSING, reference=reference)
    return None


def _succeeded(session: Json, reference: str, created: object) -> ProviderAnswer | None:
    amount, currency = session.get("amount_total"), session.get("currency")
    if type(amount) is not int or not isinstance(currency, str) or currency.upper() not in EXPONENTS:
        return None
    try:
        money = Money(amount=from_stripe_amount(amount, currency), currency=currency.upper())
    except AmountNotRepresentableError:
        return None
    customer = session.get("customer")
    return ProviderAnswer(
        status=AnswerStatus.SUCCEEDED,
        reference=reference,
        amount=money,
        paid_at=datetime.fromtimestamp(created, UTC) if type(created) is int else None,
        customer_reference=customer if isinstance(customer, str) else None,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= TEXT_LENGTH_MAX
