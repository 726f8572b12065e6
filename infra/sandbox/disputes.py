"""Disputes: `/v1/disputes`. A test card opens one with its charge, and so does a control of the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.sandbox import charges
from infra.sandbox.errors import StateError
from infra.sandbox.requests import expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.requests import Request

Json = dict[str, Any]

EVIDENCE_SECONDS = 7 * 24 * 3600
EVIDENCE_FIELDS = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file",
    "uncategorized_text",
)  # fmt: skip
OPEN = frozenset({"needs_response", "under_review", "warning_needs_response", "warning_under_review"})
WINNING, LOSING = "winning_evidence", "losing_evidence"
"""Stripe's test mode decides a dispute by these words in `evidence[uncategorized_text]`."""


def open_dispute(tx: Transaction, charge: Json, reason: str) -> Json:
    """The customer's bank takes the money back (an inquiry only asks)."""
    inquiry = reason == "inquiry"
    if charge["disputed"]:
        raise StateError("The charge is already disputed.", code="charge_disputed")
    if not charge["captured"]:
        raise StateError("A charge that was not captured cannot be disputed.")
    amount = charge["amount_captured"] - charge["amount_refunded"]
    if amount <= 0:
        raise StateError("The charge was refunded in full.", code="charge_already_refunded")
    card = charge["payment_method_details"]["card"]
    dispute: Json = {
        "id": new_id("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": tx.now,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE_FIELDS), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": tx.now + EVIDENCE_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card["brand"],
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": card["network"],
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": "general" if inquiry else reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    if not inquiry:
        dispute["balance_transactions"] = [
            charges.balance(tx, "adjustment", -amount, charge["currency"], dispute["id"])
        ]
    charge["disputed"] = True
    tx.update(charge)
    tx.insert(dispute)
    tx.emit("charge.dispute.created", dispute)
    if not inquiry:
        tx.emit("charge.dispute.funds_withdrawn", dispute)
    return dispute


def close_dispute(tx: Transaction, dispute: Json, *, won: bool) -> Json:
    """The bank decides. Won: the money comes back."""
    if dispute["status"] not in OPEN:
        raise StateError("This dispute is already closed.", code="dispute_closed")
    inquiry = dispute["status"].startswith("warning_")
    if inquiry:
        dispute["status"] = "warning_closed"
    else:
        dispute["status"] = "won" if won else "lost"
    if won and not inquiry:
        dispute["balance_transactions"].append(
            charges.balance(tx, "adjustment", dispute["amount"], dispute["currency"], dispute["id"])
        )
        dispute["is_charge_refundable"] = True
    tx.update(dispute)
    if won and not inquiry:
        tx.emit("charge.dispute.funds_reinstated", dispute)
    tx.emit("charge.dispute.closed", dispute)
    return dispute


def update_dispute(tx: Transaction, request: Request) -> Json:
    """POST /v1/disputes/{dispute}: evidence; the words of Stripe's test mode decide at once."""
    params = request.params
    dispute = tx.get("dispute", request.names["dispute"])
    evidence = params.child("evidence")
    given = {name: evidence.text(name) for name in EVIDENCE_FIELDS if evidence and name in evidence} if evidence else {}
    submit = params.boolean("submit")
    change = params.metadata()
    expand = params.texts("expand")
    params.finish()
    if given and dispute["status"] not in OPEN:
        raise StateError("This dispute is already closed.", code="dispute_closed")
    dispute["metadata"] = merged_metadata(dispute["metadata"], change)
    if given:
        dispute["evidence"].update(given)
        dispute["evidence_details"]["has_evidence"] = True
        if submit is not False:
            dispute["evidence_details"]["submission_count"] += 1
            dispute["status"] = "warning_under_review" if dispute["status"].startswith("warning") else "under_review"
    tx.update(dispute)
    tx.emit("charge.dispute.updated", dispute)
    verdict = given.get("uncategorized_text")
    if submit is not False and verdict in {WINNING, LOSING}:
        dispute = close_dispute(tx, dispute, won=verdict == WINNING)
    return expanded(tx, dispute, expand)


def close(tx: Transaction, request: Request) -> Json:
    """POST /v1/disputes/{dispute}/close: give in."""
    dispute = tx.get("dispute", request.names["dispute"])
    expand = request.params.texts("expand")
    request.params.finish()
    return expanded(tx, close_dispute(tx, dispute, won=False), expand)


def list_disputes(tx: Transaction, request: Request) -> Json:
    """GET /v1/disputes."""
    return page(tx, request, "dispute", filters=("charge", "payment_intent"))
