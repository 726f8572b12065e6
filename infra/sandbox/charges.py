"""Charges, the movements of money, and what they leave on the balance: `/v1/charges`, `/v1/balance_transactions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.sandbox.cards import ADVICE, DECLINE_MESSAGES, Card
from infra.sandbox.requests import Request, expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

SETTLEMENT_SECONDS = 2 * 24 * 3600


def new_charge(tx: Transaction, intent: Json, method: Json, card: Card, *, authenticated: bool, captured: bool) -> Json:
    """Writes the charge of an intent: paid, authorised only, or declined as the card has it, with its event."""
    paid = not card.charge_decline
    identifier = new_id("ch")
    charge: Json = {
        "id": identifier,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if paid and captured else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "SANDBOX",
        "captured": paid and captured,
        "created": tx.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(card),
        "paid": paid,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card_details(intent, method, authenticated=authenticated), "type": "card"},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "succeeded" if paid else "failed",
        "transfer_data": None,
        "transfer_group": None,
    }
    if not paid:
        code, message = DECLINE_MESSAGES.get(card.charge_decline, DECLINE_MESSAGES["generic_decline"])
        charge["failure_code"], charge["failure_message"] = code, message
    elif captured:
        charge["balance_transaction"] = balance(tx, "charge", charge["amount"], charge["currency"], identifier)["id"]
    tx.insert(charge)
    tx.emit("charge.succeeded" if paid else "charge.failed", charge)
    return charge


def _outcome(card: Card) -> Json:
    if not card.charge_decline:
        return {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "risk_score": 20,
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "advice_code": ADVICE.get(card.charge_decline),
        "network_advice_code": None,
        "network_decline_code": "05",
        "network_status": "declined_by_network",
        "reason": card.charge_decline,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def _card_details(intent: Json, method: Json, *, authenticated: bool) -> Json:
    card = method["card"]
    three_d_secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": None,
        "version": "2.2.0",
    }
    return {
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": three_d_secure if authenticated else None,
        "wallet": None,
    }


def balance(tx: Transaction, type_: str, amount: int, currency: str, source: str) -> Json:
    """Writes a balance transaction. The sandbox takes no fees."""
    transaction: Json = {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": tx.now + SETTLEMENT_SECONDS,
        "balance_type": "payments",
        "created": tx.now,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": amount,
        "reporting_category": _CATEGORIES[type_],
        "source": source,
        "status": "pending",
        "type": type_,
    }
    tx.insert(transaction)
    return transaction


_CATEGORIES = {
    "charge": "charge",
    "refund": "refund",
    "refund_failure": "refund_failure",
    "adjustment": "dispute",
}


def capture_charge(tx: Transaction, charge: Json, amount: int) -> Json:
    """Collects an authorised charge; what is not captured is released, which Stripe shows as refunded."""
    charge["amount_captured"] = amount
    charge["captured"] = True
    charge["amount_refunded"] = charge["amount"] - amount
    charge["balance_transaction"] = balance(tx, "charge", amount, charge["currency"], charge["id"])["id"]
    tx.update(charge)
    tx.emit("charge.captured", charge)
    return charge


def release_charge(tx: Transaction, charge: Json) -> Json:
    """Gives an authorisation back."""
    charge["amount_refunded"] = charge["amount"]
    charge["refunded"] = True
    tx.update(charge)
    tx.emit("charge.refunded", charge)
    return charge


def update_charge(tx: Transaction, request: Request) -> Json:
    """POST /v1/charges/{charge}: metadata and description."""
    params = request.params
    charge = tx.get("charge", request.names["charge"])
    change = params.metadata()
    if "description" in params:
        charge["description"] = params.text("description")
    expand = params.texts("expand")
    params.finish()
    charge["metadata"] = merged_metadata(charge["metadata"], change)
    tx.update(charge, metadata_changed=change is not None)
    tx.emit("charge.updated", charge)
    return expanded(tx, charge, expand)


def list_charges(tx: Transaction, request: Request) -> Json:
    """GET /v1/charges."""
    return page(tx, request, "charge", filters=("customer", "payment_intent"))


def list_balance_transactions(tx: Transaction, request: Request) -> Json:
    """GET /v1/balance_transactions."""
    source = request.params.text("source")
    return page(tx, request, "balance_transaction", fixed={"charge": source} if source else None)


def retriever(kind: str, name: str) -> Callable[[Transaction, Request], Json]:
    """GET of one object of a kind, with expansion and nothing else."""

    def retrieve(tx: Transaction, request: Request) -> Json:
        body = tx.get(kind, request.names[name])
        expand = request.params.texts("expand")
        request.params.finish()
        return expanded(tx, body, expand)

    return retrieve
