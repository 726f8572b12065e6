"""Payment intents: `/v1/payment_intents`. The state machine stands in `confirmation`; here are the calls of the API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from infra.sandbox import charges, confirmation
from infra.sandbox.customers import live_customer, resolve
from infra.sandbox.errors import InvalidParameterError, StateError
from infra.sandbox.requests import Answer, Request, expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id
from infra.stripe.currencies import STRIPE_AMOUNT_MAX, amount_problem

if TYPE_CHECKING:
    from infra.sandbox.forms import Params

Json = dict[str, Any]

MINIMUM_AMOUNTS = {
    "usd": 50, "aed": 200, "aud": 50, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30,
    "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "krw": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000, "zar": 50,
}  # fmt: skip
"""Smallest charges, in Stripe's minor units (https://docs.stripe.com/currencies)."""

CANCELLABLE = frozenset(
    {"requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing"}
)
CAPTURE_METHODS = frozenset({"automatic", "automatic_async", "manual"})
CANCELLATION_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer", "abandoned"})
SEARCH_CLAUSE = re.compile(
    r"""\s*(?:metadata\[(?P<quote>["'])(?P<key>[^"']{1,40})(?P=quote)\]|(?P<field>status|customer|currency))"""
    r"""\s*:\s*(?P<quote2>["'])(?P<value>[^"']{0,500})(?P=quote2)\s*"""
)


def checked_amount(params: Params, name: str = "amount", currency_name: str = "currency") -> tuple[int, str]:
    """The amount and currency of a request, within Stripe's limits."""
    amount = params.required_integer(name)
    currency = params.required_text(currency_name)
    if not re.fullmatch(r"[a-z]{3}", currency):
        raise InvalidParameterError(f"Invalid currency: {currency[:20]}. Three lowercase letters.", param="currency")
    check_amount(amount, currency, param=params.name(name))
    return amount, currency


def check_amount(amount: int, currency: str, *, param: str) -> None:
    """Refuses amounts that Stripe refuses."""
    if amount < 1:
        raise InvalidParameterError(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=param
        )
    if amount > STRIPE_AMOUNT_MAX:
        raise InvalidParameterError(
            f"Amount must be no more than {STRIPE_AMOUNT_MAX}.", code="amount_too_large", param=param
        )
    minimum = MINIMUM_AMOUNTS.get(currency, 1)
    if amount < minimum:
        raise InvalidParameterError(
            f"Amount must be at least {minimum} {currency}.", code="amount_too_small", param=param
        )
    problem = amount_problem(amount, currency)
    if problem is not None:
        raise InvalidParameterError(f"Invalid amount: {problem}.", param=param)


def create(tx: Transaction, request: Request) -> Json | Answer:
    """POST /v1/payment_intents."""
    params = request.params
    amount, currency = checked_amount(params)
    fields = _fields(params)
    confirm = params.boolean("confirm") or False
    options = confirmation.Options.read(params)
    method_name = params.text("payment_method")
    expand = params.texts("expand")
    params.finish()
    if fields["customer"] is not None:
        live_customer(tx, fields["customer"])
    if options.off_session and not confirm:
        raise InvalidParameterError("off_session can only be used with confirm=true.", param="off_session")
    method = resolve(tx, method_name) if method_name else None
    if method is not None:
        confirmation.check_ownership(method, fields["customer"])
    intent = new_intent(tx, amount, currency, fields, method["id"] if method else None)
    if not confirm:
        return expanded(tx, intent, expand)
    if method is None:
        raise InvalidParameterError(
            "You cannot confirm this PaymentIntent because it's missing a payment method.", param="payment_method"
        )
    return confirmation.answer(tx, confirmation.confirm(tx, request.settings, intent, method, options), expand)


def _fields(params: Params) -> Json:
    types = params.texts("payment_method_types")
    automatic = params.child("automatic_payment_methods")
    if types is not None and types != ["card"]:
        raise InvalidParameterError("The sandbox offers cards only.", param="payment_method_types")
    if automatic is not None:
        automatic_body: Json | None = {
            "enabled": automatic.boolean("enabled") or False,
            "allow_redirects": automatic.choice("allow_redirects", {"always", "never"}) or "always",
        }
    else:
        automatic_body = None if types else {"enabled": True, "allow_redirects": "always"}
    return {
        "automatic_payment_methods": automatic_body,
        "capture_method": params.choice("capture_method", CAPTURE_METHODS) or "automatic_async",
        "confirmation_method": params.choice("confirmation_method", {"automatic", "manual"}) or "automatic",
        "customer": params.text("customer"),
        "description": params.text("description", length_max=1000),
        "metadata": merged_metadata({}, params.metadata()),
        "receipt_email": params.text("receipt_email"),
        "setup_future_usage": params.choice("setup_future_usage", {"off_session", "on_session"}),
        "statement_descriptor": params.text("statement_descriptor", length_max=22),
        "statement_descriptor_suffix": params.text("statement_descriptor_suffix", length_max=22),
    }


def new_intent(
    tx: Transaction, amount: int, currency: str, fields: Json, method: str | None, *, private: Json | None = None
) -> Json:
    """Writes an intent that waits for a card or for its confirmation."""
    identifier = new_id("pi")
    intent: Json = {
        "id": identifier,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "client_secret": new_id(f"{identifier}_secret"),
        "created": tx.now,
        "currency": currency,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": method,
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": None,
        "review": None,
        "shipping": None,
        "status": "requires_confirmation" if method else "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **fields,
    }
    tx.insert(intent, private=private or {})
    tx.emit("payment_intent.created", intent)
    return intent


def retrieve(tx: Transaction, request: Request) -> Json:
    """GET /v1/payment_intents/{intent}."""
    intent = tx.get("payment_intent", request.names["intent"])
    request.params.text("client_secret")
    expand = request.params.texts("expand")
    request.params.finish()
    return expanded(tx, intent, expand)


def update(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_intents/{intent}."""
    params = request.params
    intent = tx.get("payment_intent", request.names["intent"])
    change = params.metadata()
    amount = params.integer("amount")
    changes = {
        name: params.text(name) for name in ("description", "receipt_email", "statement_descriptor") if name in params
    }
    method_name = params.text("payment_method")
    expand = params.texts("expand")
    params.finish()
    waiting = intent["status"] in {"requires_payment_method", "requires_confirmation", "requires_action"}
    if not waiting and (amount is not None or method_name is not None):
        raise unexpected_state(intent, "be updated in this way")
    if amount is not None:
        check_amount(amount, intent["currency"], param="amount")
        intent["amount"] = amount
    if method_name is not None:
        method = resolve(tx, method_name)
        confirmation.check_ownership(method, intent["customer"])
        intent["payment_method"], intent["status"], intent["next_action"] = method["id"], "requires_confirmation", None
    intent.update(changes)
    intent["metadata"] = merged_metadata(intent["metadata"], change)
    tx.update(intent, metadata_changed=change is not None)
    return expanded(tx, intent, expand)


def confirm(tx: Transaction, request: Request) -> Json | Answer:
    """POST /v1/payment_intents/{intent}/confirm."""
    params = request.params
    intent = tx.get("payment_intent", request.names["intent"])
    options = confirmation.Options.read(params)
    method_name = params.text("payment_method")
    usage = params.choice("setup_future_usage", {"off_session", "on_session"})
    expand = params.texts("expand")
    params.text("client_secret")
    params.finish()
    if intent["status"] not in {"requires_payment_method", "requires_confirmation", "requires_action"}:
        raise unexpected_state(intent, "be confirmed")
    name = method_name or intent["payment_method"]
    if name is None:
        raise InvalidParameterError(
            "You cannot confirm this PaymentIntent because it's missing a payment method.", param="payment_method"
        )
    method = resolve(tx, name)
    confirmation.check_ownership(method, intent["customer"])
    intent["setup_future_usage"] = usage or intent["setup_future_usage"]
    return confirmation.answer(tx, confirmation.confirm(tx, request.settings, intent, method, options), expand)


def capture(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_intents/{intent}/capture."""
    params = request.params
    intent = tx.get("payment_intent", request.names["intent"])
    amount = params.integer("amount_to_capture")
    change = params.metadata()
    expand = params.texts("expand")
    params.finish()
    if intent["status"] != "requires_capture":
        raise unexpected_state(intent, "be captured")
    amount = intent["amount_capturable"] if amount is None else amount
    if not 1 <= amount <= intent["amount_capturable"]:
        raise StateError("The amount to capture is more than can be captured.", param="amount_to_capture")
    charges.capture_charge(tx, tx.get("charge", intent["latest_charge"]), amount)
    intent["amount_received"], intent["amount_capturable"], intent["status"] = amount, 0, "succeeded"
    intent["metadata"] = merged_metadata(intent["metadata"], change)
    tx.update(intent, metadata_changed=change is not None)
    tx.emit("payment_intent.succeeded", intent)
    return expanded(tx, intent, expand)


def cancel(tx: Transaction, request: Request) -> Json:
    """POST /v1/payment_intents/{intent}/cancel."""
    params = request.params
    intent = tx.get("payment_intent", request.names["intent"])
    reason = params.choice("cancellation_reason", CANCELLATION_REASONS)
    expand = params.texts("expand")
    params.finish()
    if intent["status"] not in CANCELLABLE:
        raise unexpected_state(intent, "be canceled")
    if "session" in tx.private(intent["id"]):
        raise StateError("You cannot cancel a PaymentIntent created by Checkout; expire its Checkout Session instead.")
    return expanded(tx, cancel_intent(tx, intent, reason), expand)


def cancel_intent(tx: Transaction, intent: Json, reason: str | None) -> Json:
    """Makes an intent unpayable for ever."""
    if intent["status"] == "requires_capture":
        charges.release_charge(tx, tx.get("charge", intent["latest_charge"]))
        intent["amount_capturable"] = 0
    intent["status"], intent["canceled_at"], intent["cancellation_reason"] = "canceled", tx.now, reason
    intent["next_action"] = None
    tx.update(intent)
    tx.emit("payment_intent.canceled", intent)
    return intent


def list_intents(tx: Transaction, request: Request) -> Json:
    """GET /v1/payment_intents."""
    return page(tx, request, "payment_intent", filters=("customer",))


def search(tx: Transaction, request: Request) -> Json:
    """GET /v1/payment_intents/search: clauses on metadata, status, customer and currency, joined by AND."""
    params = request.params
    query = params.required_text("query")
    limit = params.integer("limit") or 10
    start = params.text("page")
    expand = params.texts("expand")
    params.finish()
    clauses = [SEARCH_CLAUSE.fullmatch(part) for part in re.split(r"\s+AND\s+", query)]
    if any(clause is None for clause in clauses) or not 1 <= limit <= 100 or (start and not start.isdecimal()):  # noqa: PLR2004 - Stripe's page limit
        raise InvalidParameterError("We were unable to parse your search query, limit or page.", param="query")
    conditions = ["kind = 'payment_intent'"]
    values: list[Any] = []
    for clause in clauses:
        assert clause is not None
        if clause["key"] is not None:
            conditions.append(
                "seq IN (SELECT seq FROM metadata WHERE kind = 'payment_intent' AND key = ? AND value = ?)"
            )
            values.extend((clause["key"], clause["value"]))
        else:
            conditions.append("json_extract(CAST(body AS TEXT), ?) = ?")
            values.extend((f"$.{clause['field']}", clause["value"]))
    if start is not None:
        conditions.append("seq < ?")
        values.append(int(start))
    rows = tx.rows(
        f"SELECT seq, body FROM objects WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - conditions are ours, values are bound
        (*values, limit + 1),
    )
    more = len(rows) > limit
    found = {
        "object": "search_result",
        "data": [orjson.loads(row[1]) for row in rows[:limit]],
        "has_more": more,
        "next_page": str(rows[limit - 1][0]) if more else None,
        "url": request.path,
    }
    return expanded(tx, found, expand)


def unexpected_state(intent: Json, verb: str) -> StateError:
    """Stripe's error for a call that the intent's status does not allow; it carries the intent."""
    return StateError(
        f"This PaymentIntent could not {verb} because it has a status of {intent['status']}.",
        code="payment_intent_unexpected_state",
        payment_intent=intent,
    )
