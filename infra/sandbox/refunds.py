"""Refunds: `/v1/refunds`. Never more than what is left of the charge, whatever runs at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.sandbox import charges
from infra.sandbox.customers import card_of
from infra.sandbox.errors import InvalidParameterError, StateError
from infra.sandbox.faults import Kind, first
from infra.sandbox.requests import expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.requests import Request

Json = dict[str, Any]

REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})
SETTLING_SECONDS = 10
"""How long the test cards for slow and failing refunds take, by the sandbox's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a refund: whether it is pending at first, and how it ends after some seconds."""

    pending: bool
    fails: bool
    seconds: int = SETTLING_SECONDS


FATES = {
    "succeeds": None,
    "pending": Fate(pending=True, fails=False),
    "fails": Fate(pending=False, fails=True),
}
"""By the card; None is a success that stays one."""


def create(tx: Transaction, request: Request) -> Json:
    """POST /v1/refunds."""
    params = request.params
    charge_id, intent_id = params.text("charge"), params.text("payment_intent")
    amount = params.integer("amount")
    reason = params.choice("reason", REASONS)
    metadata = merged_metadata({}, params.metadata())
    expand = params.texts("expand")
    params.finish()
    if (charge_id is None) == (intent_id is None):
        raise InvalidParameterError("One of `charge` or `payment_intent` must be provided.", code="parameter_missing")
    if intent_id is not None:
        charge_id = tx.get("payment_intent", intent_id, param="payment_intent")["latest_charge"]
        if charge_id is None:
            raise StateError("This PaymentIntent does not have a successful charge to refund.", param="payment_intent")
    charge = tx.get("charge", charge_id or "", param="charge")
    amount = _checked(tx, charge, amount)
    fate = _fate(tx, request, charge)
    return expanded(tx, _new_refund(tx, charge, amount, fate, {"reason": reason, "metadata": metadata}), expand)


def _fate(tx: Transaction, request: Request, charge: Json) -> Fate | None:
    """As somebody switched it on, else as the card has it."""
    fault = first(request.hits, Kind.REFUND_FAILED, Kind.REFUND_PENDING)
    if fault is not None:
        seconds = fault.delay_ms // 1000 or SETTLING_SECONDS
        return Fate(pending=True, fails=fault.kind is Kind.REFUND_FAILED, seconds=seconds)
    card, _ = card_of(tx, charge["payment_method"])
    return FATES[card.refund]


def _checked(tx: Transaction, charge: Json, amount: int | None) -> int:
    if charge["status"] != "succeeded":
        raise StateError(f"Charge {charge['id']} was not successful.", code="charge_not_refundable")
    if not charge["captured"]:
        raise StateError("The charge was not captured; cancel its PaymentIntent instead.", code="charge_not_refundable")
    if charge["disputed"]:
        dispute = tx.select("dispute", charge=charge["id"])[0]
        if not dispute["is_charge_refundable"]:
            raise StateError(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
            )
    left: int = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise StateError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is None:
        return left
    if amount < 1:
        raise InvalidParameterError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if amount > left:
        raise StateError(
            f"Refund amount ({amount} {charge['currency']}) is greater than unrefunded amount on charge "
            f"({left} {charge['currency']})",
            param="amount",
        )
    return amount


def _new_refund(tx: Transaction, charge: Json, amount: int, fate: Fate | None, fields: Json) -> Json:
    """Writes a refund and what it changes of the charge."""
    is_pending = fate is not None and fate.pending
    identifier = new_id("re")
    transaction = charges.balance(tx, "refund", -amount, charge["currency"], identifier)
    refund: Json = {
        "id": identifier,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction["id"],
        "charge": charge["id"],
        "created": tx.now,
        "currency": charge["currency"],
        "destination_details": {
            "card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"},
            "type": "card",
        },
        "payment_intent": charge["payment_intent"],
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if is_pending else "succeeded",
        "transfer_reversal": None,
        **fields,
    }
    if is_pending:
        refund["pending_reason"] = "processing"
    due = None if fate is None else tx.now + fate.seconds
    tx.insert(refund, due=due, private={"fails": fate is not None and fate.fails})
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    tx.update(charge)
    tx.emit("refund.created", refund)
    tx.emit("charge.refunded", charge)
    return refund


def settle(tx: Transaction, refund: Json) -> None:
    """The bank's late word on a refund: done, or not possible."""
    failed = tx.private(refund["id"]).get("fails") is True
    refund.pop("pending_reason", None)
    if failed:
        charge = tx.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        tx.update(charge)
        refund["status"], refund["failure_reason"] = "failed", "expired_or_canceled_card"
        transaction = charges.balance(tx, "refund_failure", refund["amount"], refund["currency"], refund["id"])
        refund["failure_balance_transaction"] = transaction["id"]
    else:
        refund["status"] = "succeeded"
    tx.update(refund, due=None)
    tx.emit("charge.refund.updated", refund)
    tx.emit("refund.failed" if failed else "refund.updated", refund)


def cancel(tx: Transaction, request: Request) -> Json:
    """POST /v1/refunds/{refund}/cancel: card refunds cannot be cancelled."""
    request.params.texts("expand")
    request.params.finish()
    refund = tx.get("refund", request.names["refund"])
    raise StateError(f"Refund {refund['id']} cannot be canceled: it is not waiting for the customer's action.")


def update(tx: Transaction, request: Request) -> Json:
    """POST /v1/refunds/{refund}: metadata only."""
    refund = tx.get("refund", request.names["refund"])
    change = request.params.metadata()
    expand = request.params.texts("expand")
    request.params.finish()
    refund["metadata"] = merged_metadata(refund["metadata"], change)
    rows = tx.rows("SELECT due FROM objects WHERE id = ?", (refund["id"],))
    tx.update(refund, due=rows[0][0])
    tx.emit("refund.updated", refund)
    return expanded(tx, refund, expand)


def list_refunds(tx: Transaction, request: Request) -> Json:
    """GET /v1/refunds."""
    return page(tx, request, "refund", filters=("charge", "payment_intent"))
