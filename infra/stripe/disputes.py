"""Disputes: what Stripe's say, in our words, and whose they are.

A dispute carries no metadata of ours; its payment intent does, so Stripe is asked for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import stripe

from domain.disputes.commands import DisputeReport
from domain.disputes.state import DisputeStatus
from domain.ids import AccountId, PaymentId
from infra.stripe.calls import Json, Kind, Trouble, within_deadline
from infra.stripe.currencies import money_of
from infra.stripe.http import BoundedHttpClient
from infra.stripe.names import API_VERSION, INTENT_PREFIX

if TYPE_CHECKING:
    from infra.settings import Settings

STATUSES = {
    "warning_needs_response": (DisputeStatus.NEEDS_RESPONSE, True),
    "warning_under_review": (DisputeStatus.UNDER_REVIEW, True),
    "warning_closed": (DisputeStatus.CLOSED, True),
    "needs_response": (DisputeStatus.NEEDS_RESPONSE, False),
    "under_review": (DisputeStatus.UNDER_REVIEW, False),
    "won": (DisputeStatus.WON, False),
    "lost": (DisputeStatus.LOST, False),
    "prevented": (DisputeStatus.CLOSED, False),
}
"""Our status by Stripe's, and whether the bank only asks."""

REASON_LENGTH_MAX = 100
NAME_LENGTH_MAX = 255
DEADLINE_S = 8.0
STEP_TIMEOUT_S = 4.0


class OwnerUnknownError(Exception):
    """Stripe did not say whose payment it is; the message says why. Asked again later, it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose payment an intent collects, by the metadata that we wrote."""

    account: AccountId
    payment_id: PaymentId


class Owners:
    """Finds whose payment intents are."""

    def __init__(self, secret_key: str, *, api_base: str = "", deadline_s: float = DEADLINE_S) -> None:
        """`api_base` is empty for Stripe itself, else the address of the sandbox."""
        self._deadline_s = deadline_s
        self._http = BoundedHttpClient(timeout_s=STEP_TIMEOUT_S)
        self._client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else None,
            max_network_retries=0,
            http_client=self._http,
        )

    @classmethod
    def of(cls, settings: Settings) -> Owners | None:
        """By the settings; None where Stripe is not configured."""
        key = settings.stripe_secret_key.get_secret_value()
        return cls(key, api_base=settings.stripe_api_base) if key else None

    async def close(self) -> None:
        """Releases connections."""
        await self._http.close_async()

    async def find(self, intent_id: str) -> Owner | None:
        """Whose it is; None where it is none of ours. Raises OwnerUnknownError."""
        return await owner_of(self._client, intent_id, self._deadline_s)


async def owner_of(client: stripe.StripeClient, intent_id: str, deadline_s: float) -> Owner | None:
    """Whose payment an intent collects; None where it is none of ours. Raises OwnerUnknownError."""
    found = await within_deadline(client.v1.payment_intents.retrieve_async(intent_id), deadline_s)
    if isinstance(found, Trouble):
        if found.kind is Kind.REFUSED:
            return None  # Stripe knows no such intent
        raise OwnerUnknownError(found.detail)
    metadata = found.to_dict().get("metadata") or {}
    account, payment_id = metadata.get("account"), metadata.get("payment_id")
    if not isinstance(account, str) or not isinstance(payment_id, str) or not account or not payment_id:
        return None
    return Owner(account=AccountId(account), payment_id=PaymentId(payment_id))


def intent_of(dispute: Json) -> str | None:
    """The payment intent that a dispute is about."""
    name = dispute.get("payment_intent")
    is_name = isinstance(name, str) and name.startswith(INTENT_PREFIX) and len(name) <= NAME_LENGTH_MAX
    return name if is_name else None


def report_of(dispute: Json, told_at: object) -> DisputeReport | None:
    """What a dispute says; None where it cannot be read. `told_at` is when Stripe said it, as Stripe writes times."""
    status = dispute.get("status")
    known = STATUSES.get(status) if isinstance(status, str) else None
    amount = money_of(dispute.get("amount"), dispute.get("currency"))
    said, opened = _moment(told_at), _moment(dispute.get("created"))
    if known is None or amount is None or said is None or opened is None:
        return None
    details = dispute.get("evidence_details")
    due = details.get("due_by") if isinstance(details, dict) else None
    return DisputeReport(
        reference=str(dispute["id"]),
        status=known[0],
        is_inquiry=known[1],
        amount=amount,
        reason=str(dispute.get("reason") or "unknown")[:REASON_LENGTH_MAX],
        evidence_due_at=_moment(due),
        opened_at=opened,
        told_at=said,
    )


def _moment(seconds: object) -> datetime | None:
    """Stripe's time. What is out of every calendar is none."""
    if type(seconds) is not int:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
