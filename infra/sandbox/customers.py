"""Customers and their cards: `/v1/customers`, `/v1/payment_methods`."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from infra.sandbox.cards import (
    ADVICE,
    BEHAVIOURS,
    CARDS,
    DECLINE_MESSAGES,
    PAYMENT_METHOD_TOKENS,
    Authentication,
    Card,
    behaving,
    valid_number,
)
from infra.sandbox.errors import CardDeclinedError, InvalidParameterError, ResourceMissingError, StateError
from infra.sandbox.requests import Request, expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.forms import Params

Json = dict[str, Any]

NO_ADDRESS: Json = {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None}
MONTHS = 12
YEAR_MAX = 2100


def create_customer(tx: Transaction, request: Request) -> Json:
    """POST /v1/customers."""
    params = request.params
    fields = {name: params.text(name) for name in ("email", "name", "phone", "description")}
    metadata = params.metadata()
    method = params.text("payment_method")
    expand = params.texts("expand")
    params.finish()
    customer = new_customer(tx, metadata=metadata or {}, **fields)
    if method is not None:
        attach(tx, resolve(tx, method), customer["id"])
    return expanded(tx, customer, expand)


def new_customer(
    tx: Transaction,
    *,
    metadata: dict[str, str],
    email: str | None = None,
    name: str | None = None,
    phone: str | None = None,
    description: str | None = None,
) -> Json:
    """Writes a customer and its event."""
    identifier = new_id("cus", length=14)
    customer: Json = {
        "id": identifier,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": tx.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": description,
        "discount": None,
        "email": email,
        "invoice_prefix": identifier[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": merged_metadata({}, metadata),
        "name": name,
        "next_invoice_sequence": 1,
        "phone": phone,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    tx.insert(customer)
    tx.emit("customer.created", customer)
    return customer


def retrieve_customer(tx: Transaction, request: Request) -> Json:
    """GET /v1/customers/{customer}."""
    customer = tx.get("customer", request.names["customer"])
    expand = request.params.texts("expand")
    request.params.finish()
    return expanded(tx, customer, expand)


def update_customer(tx: Transaction, request: Request) -> Json:
    """POST /v1/customers/{customer}."""
    customer = live_customer(tx, request.names["customer"], param="id")
    params = request.params
    changes = {name: params.text(name) for name in ("email", "name", "phone", "description") if name in params}
    change = params.metadata()
    settings = params.child("invoice_settings")
    method = settings.text("default_payment_method") if settings else None
    expand = params.texts("expand")
    params.finish()
    customer.update(changes)
    customer["metadata"] = merged_metadata(customer["metadata"], change)
    if method is not None:
        owner = tx.get("payment_method", method, param="invoice_settings[default_payment_method]")["customer"]
        if owner != customer["id"]:
            raise StateError("The card is not attached to this customer.", code="payment_method_unexpected_state")
        customer["invoice_settings"]["default_payment_method"] = method
    tx.update(customer, metadata_changed=change is not None)
    tx.emit("customer.updated", customer)
    return expanded(tx, customer, expand)


def delete_customer(tx: Transaction, request: Request) -> Json:
    """DELETE /v1/customers/{customer}: its cards go with it, its payments stay."""
    request.params.finish()
    customer = live_customer(tx, request.names["customer"], param="id")
    for method in tx.select("payment_method", customer=customer["id"]):
        detach(tx, method)
    tx.emit("customer.deleted", customer)
    deleted = {"id": customer["id"], "object": "customer", "deleted": True}
    tx.update(deleted)
    return deleted


def list_customers(tx: Transaction, request: Request) -> Json:
    """GET /v1/customers."""
    answer = page(tx, request, "customer")
    answer["data"] = [customer for customer in answer["data"] if not customer.get("deleted")]
    return answer


def live_customer(tx: Transaction, identifier: str, *, param: str = "customer") -> Json:
    """A customer that was not deleted."""
    customer = tx.get("customer", identifier, param=param)
    if customer.get("deleted"):
        raise ResourceMissingError("customer", identifier, param=param)
    return customer


def create_payment_method(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_methods, with a test card's number or a token such as `tok_visa`."""
    params = request.params
    kind = params.required_text("type")
    if kind != "card":
        raise InvalidParameterError("The sandbox offers cards only.", param="type")
    data = params.child("card")
    if data is None:
        params.missing("card")
    card, month, year = _card(tx, data)
    details = _billing_details(params)
    metadata = params.metadata()
    redisplay = params.choice("allow_redisplay", {"always", "limited", "unspecified"})
    expand = params.texts("expand")
    params.finish()
    method = new_payment_method(tx, card, month, year, details=details, metadata=metadata, redisplay=redisplay)
    return expanded(tx, method, expand)


def _card(tx: Transaction, data: Params) -> tuple[Card, int, int]:
    token = data.text("token")
    if token is not None:
        behaviour = PAYMENT_METHOD_TOKENS.get(token.replace("tok_", "pm_card_", 1))
        if behaviour is None:
            raise InvalidParameterError(f"No such token: '{token[:100]}'", code="resource_missing", param="card[token]")
        return BEHAVIOURS[behaviour], MONTHS, tx_year(tx) + 5
    number = data.required_text("number", length_max=30).replace(" ", "").replace("-", "")
    month, year = data.required_integer("exp_month"), data.required_integer("exp_year")
    data.text("cvc", length_max=4)
    return read_card(tx, number, month, year)


def tx_year(tx: Transaction) -> int:
    """The year by the sandbox's clock."""
    return datetime.fromtimestamp(tx.now, UTC).year


def read_card(tx: Transaction, number: str, month: int, year: int) -> tuple[Card, int, int]:
    """The test card of that number; raises Stripe's card errors for wrong numbers and past dates."""
    if not valid_number(number):
        raise CardDeclinedError("Your card number is incorrect.", code="incorrect_number", param="number")
    card = CARDS.get(number)
    if card is None:
        raise CardDeclinedError(
            "Your card was declined. The sandbox takes Stripe's test cards only.",
            code="card_declined",
            decline_code="live_mode_test_card",
        )
    if not 1 <= month <= MONTHS:
        raise CardDeclinedError(
            "Your card's expiration month is invalid.", code="invalid_expiry_month", param="exp_month"
        )
    year = year + 2000 if year < 100 else year  # noqa: PLR2004 - two digits of a year
    today = datetime.fromtimestamp(tx.now, UTC)
    if not (today.year, today.month) <= (year, month) <= (YEAR_MAX, MONTHS):
        raise CardDeclinedError("Your card's expiration year is invalid.", code="invalid_expiry_year", param="exp_year")
    return card, month, year


def _billing_details(params: Params) -> Json:
    child = params.child("billing_details")
    details: Json = {"address": dict(NO_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None}
    if child is not None:
        for name in ("email", "name", "phone"):
            details[name] = child.text(name)
        address = child.child("address")
        if address is not None:
            details["address"] = {name: address.text(name) for name in NO_ADDRESS}
    return details


def new_payment_method(
    tx: Transaction,
    card: Card,
    month: int,
    year: int,
    *,
    details: Json | None = None,
    metadata: dict[str, str] | None = None,
    redisplay: str | None = None,
) -> Json:
    """Writes a card, of which nothing but brand, last four digits and expiry is kept."""
    method: Json = {
        "id": new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": redisplay or "unspecified",
        "billing_details": details
        or {"address": dict(NO_ADDRESS), "email": None, "name": None, "phone": None, "tax_id": None},
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": month,
            "exp_year": year,
            "fingerprint": hashlib.sha256(card.behaviour.encode()).hexdigest()[:16],
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": tx.now,
        "customer": None,
        "livemode": False,
        "metadata": merged_metadata({}, metadata),
        "type": "card",
    }
    tx.insert(method, private={"behaviour": card.behaviour})
    return method


def resolve(tx: Transaction, name: str, *, param: str = "payment_method") -> Json:
    """The payment method of that id; a test token such as `pm_card_visa` makes a new one."""
    behaviour = PAYMENT_METHOD_TOKENS.get(name)
    if behaviour is not None:
        return new_payment_method(tx, BEHAVIOURS[behaviour], MONTHS, tx_year(tx) + 5)
    return tx.get("payment_method", name, param=param)


def card_of(tx: Transaction, method: str) -> tuple[Card, Json]:
    """What the card does today, and what the sandbox alone knows of it."""
    private = tx.private(method)
    card = BEHAVIOURS[private["behaviour"]]
    if (decline := private.get("decline")) is not None:
        card = behaving(card, decline)
    if (authentication := private.get("authentication")) is not None:
        card = replace(card, authentication=Authentication(authentication))
    return card, private


def attach(tx: Transaction, method: Json, customer: str, *, set_up: bool = False) -> Json:
    """Saves a card to a customer; raises `CardDeclinedError` for cards that cannot be saved."""
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise StateError(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    card, private = card_of(tx, method["id"])
    if private.get("used") and not set_up:
        raise StateError(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
            "Customer, and may not be used again.",
            code="payment_method_unexpected_state",
        )
    if card.attach_decline and not set_up:
        raise declined(card.attach_decline)
    method["customer"] = customer
    tx.update(method)
    tx.emit("payment_method.attached", method)
    return method


def detach(tx: Transaction, method: Json) -> Json:
    """Takes a card from its customer; it can never be used again."""
    previous = method["customer"]
    method["customer"] = None
    tx.update(method, private={**tx.private(method["id"]), "used": True})
    tx.emit("payment_method.detached", method, previous={"customer": previous})
    return method


def declined(decline_code: str) -> CardDeclinedError:
    """Stripe's error for a card that is declined before any charge."""
    code, message = DECLINE_MESSAGES.get(decline_code, DECLINE_MESSAGES["generic_decline"])
    fields: Json = {"decline_code": decline_code}
    if decline_code in ADVICE:
        fields["advice_code"] = ADVICE[decline_code]
    return CardDeclinedError(message, code=code, **fields)


def attach_payment_method(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_methods/{payment_method}/attach."""
    customer = request.params.required_text("customer")
    expand = request.params.texts("expand")
    request.params.finish()
    method = resolve(tx, request.names["payment_method"], param="id")
    return expanded(tx, attach(tx, method, live_customer(tx, customer)["id"]), expand)


def detach_payment_method(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_methods/{payment_method}/detach."""
    expand = request.params.texts("expand")
    request.params.finish()
    method = tx.get("payment_method", request.names["payment_method"])
    if method["customer"] is None:
        raise StateError(
            "The payment method you provided is not attached to a customer so detachment is impossible.",
            code="payment_method_unexpected_state",
        )
    return expanded(tx, detach(tx, method), expand)


def retrieve_payment_method(tx: Transaction, request: Request) -> Json:
    """GET /v1/payment_methods/{payment_method} and /v1/customers/{customer}/payment_methods/{payment_method}."""
    method = tx.get("payment_method", request.names["payment_method"])
    customer = request.names.get("customer")
    if customer is not None and method["customer"] != customer:
        raise ResourceMissingError("payment_method", method["id"])
    expand = request.params.texts("expand")
    request.params.finish()
    return expanded(tx, method, expand)


def update_payment_method(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_methods/{payment_method}: metadata only."""
    method = tx.get("payment_method", request.names["payment_method"])
    change = request.params.metadata()
    expand = request.params.texts("expand")
    request.params.finish()
    method["metadata"] = merged_metadata(method["metadata"], change)
    tx.update(method)
    tx.emit("payment_method.updated", method)
    return expanded(tx, method, expand)


def list_payment_methods(tx: Transaction, request: Request) -> Json:
    """GET /v1/payment_methods?customer= and /v1/customers/{customer}/payment_methods."""
    customer = request.names.get("customer") or request.params.required_text("customer")
    live_customer(tx, customer, param="id" if "customer" in request.names else "customer")
    kind = request.params.text("type")
    answer = page(tx, request, "payment_method", fixed={"customer": customer})
    if kind not in {None, "card"}:
        answer["data"], answer["has_more"] = [], False
    return answer
