"""Checkout Sessions: `/v1/checkout/sessions`, and what the hosted page does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.sandbox import confirmation, payment_intents
from infra.sandbox.customers import NO_ADDRESS, live_customer, new_customer
from infra.sandbox.errors import InvalidParameterError, StateError
from infra.sandbox.requests import Request, expanded, listing, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.forms import Params
    from infra.sandbox.settings import SandboxSettings

Json = dict[str, Any]

LIFETIME_SECONDS_DEFAULT = 24 * 3600
LIFETIME_SECONDS_MIN = 30 * 60
LIFETIME_SECONDS_MAX = 24 * 3600
CLOCK_SLACK_SECONDS = 60
LINE_ITEMS_MAX = 100
QUANTITY_MAX = 999_999
URL_LENGTH_MAX = 5_000


def create(tx: Transaction, request: Request) -> Json:
    """POST /v1/checkout/sessions, mode `payment`."""
    params = request.params
    mode = params.choice("mode", {"payment", "setup", "subscription"})
    if mode != "payment":
        raise InvalidParameterError("The sandbox offers mode=payment only.", param="mode")
    items = [_line_item(tx, item) for item in params.children("line_items")]
    if not 1 <= len(items) <= LINE_ITEMS_MAX:
        raise InvalidParameterError("You must pass 1 to 100 line_items in payment mode.", param="line_items")
    currency = items[0]["currency"]
    if any(item["currency"] != currency for item in items):
        raise InvalidParameterError("All line items must have the same currency.", param="line_items")
    total = sum(item["amount_total"] for item in items)
    payment_intents.check_amount(total, currency, param="line_items")
    customer = params.text("customer")
    intent_fields = _payment_intent_data(params)
    private: Json = {"intent": intent_fields, "line_items": items}
    identifier = new_id("cs_test", length=58)
    session = _session(tx, request, identifier, total, currency)
    session["customer"] = customer
    expand = params.texts("expand")
    params.finish()
    if customer is not None:
        live_customer(tx, customer)
        session["customer_creation"] = None
    tx.insert(session, private=private, due=session["expires_at"])
    return expanded(tx, _with_line_items(tx, session, expand), expand)


def _line_item(tx: Transaction, item: Params) -> Json:
    quantity = item.integer("quantity") or 1
    if not 1 <= quantity <= QUANTITY_MAX:
        raise InvalidParameterError("Invalid quantity", param=item.name("quantity"))
    data = item.child("price_data")
    if data is None:
        raise InvalidParameterError("The sandbox takes line items with price_data.", param=item.name("price_data"))
    currency = data.required_text("currency")
    amount = data.required_integer("unit_amount")
    if amount < 0 or not (currency.isalpha() and currency.islower() and len(currency) == 3):  # noqa: PLR2004 - ISO 4217
        raise InvalidParameterError("Invalid currency or unit_amount", param=item.name("price_data"))
    data.choice("tax_behavior", {"exclusive", "inclusive", "unspecified"})
    product = data.child("product_data")
    name = product.required_text("name") if product else data.required_text("product")
    if product is not None:
        product.text("description")
        product.metadata()
    return {
        "id": new_id("li"),
        "object": "item",
        "amount_discount": 0,
        "amount_subtotal": amount * quantity,
        "amount_tax": 0,
        "amount_total": amount * quantity,
        "currency": currency,
        "description": name,
        "price": {
            "id": new_id("price"),
            "object": "price",
            "active": False,
            "billing_scheme": "per_unit",
            "created": tx.now,
            "currency": currency,
            "custom_unit_amount": None,
            "livemode": False,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": new_id("prod", length=14),
            "recurring": None,
            "tax_behavior": "unspecified",
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "one_time",
            "unit_amount": amount,
            "unit_amount_decimal": str(amount),
        },
        "quantity": quantity,
    }


def _payment_intent_data(params: Params) -> Json:
    data = params.child("payment_intent_data")
    fields: Json = {
        "automatic_payment_methods": None,
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "customer": None,
        "description": None,
        "metadata": {},
        "receipt_email": None,
        "setup_future_usage": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
    }
    if data is not None:
        fields["capture_method"] = (
            data.choice("capture_method", {"automatic", "automatic_async", "manual"}) or "automatic_async"
        )
        fields["setup_future_usage"] = data.choice("setup_future_usage", {"off_session", "on_session"})
        fields["metadata"] = merged_metadata({}, data.metadata())
        for name in ("description", "receipt_email", "statement_descriptor", "statement_descriptor_suffix"):
            fields[name] = data.text(name, length_max=1000)
    return fields


def _url(params: Params, name: str) -> str | None:
    url = params.text(name, length_max=URL_LENGTH_MAX)
    if url is not None and not url.startswith(("http://", "https://")):
        raise InvalidParameterError("Not a valid URL: use http:// or https://.", code="url_invalid", param=name)
    return url


def _expiry(tx: Transaction, params: Params) -> int:
    expires_at = params.integer("expires_at")
    if expires_at is None:
        return tx.now + LIFETIME_SECONDS_DEFAULT
    lifetime = expires_at - tx.now
    if not LIFETIME_SECONDS_MIN - CLOCK_SLACK_SECONDS <= lifetime <= LIFETIME_SECONDS_MAX + CLOCK_SLACK_SECONDS:
        raise InvalidParameterError(
            "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.",
            param="expires_at",
        )
    return expires_at


NOT_OFFERED: Json = {
    **dict.fromkeys(
        (
            "adaptive_pricing", "after_expiration", "allow_promotion_codes", "billing_address_collection",
            "client_secret", "collected_information", "consent", "consent_collection", "currency_conversion", "invoice",
            "invoice_creation", "origin_context", "payment_link", "payment_method_configuration_details", "permissions",
            "recovered_from", "saved_payment_method_options", "setup_intent", "shipping_address_collection",
            "shipping_cost", "subscription", "wallet_options",
        )
    ),
    "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
    "custom_fields": [],
    "custom_text": dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
    "discounts": [],
    "phone_number_collection": {"enabled": False},
    "shipping_options": [],
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
}  # fmt: skip
"""What a session of Stripe has and a session of the sandbox never uses, as it looks when it is not used."""


def _session(tx: Transaction, request: Request, identifier: str, total: int, currency: str) -> Json:
    params = request.params
    success_url = _url(params, "success_url")
    if success_url is None:
        params.missing("success_url")
    types = params.texts("payment_method_types")
    if types not in (None, ["card"]):
        raise InvalidParameterError("The sandbox offers cards only.", param="payment_method_types")
    params.choice("ui_mode", {"hosted_page"})
    return {
        **NOT_OFFERED,
        "id": identifier,
        "object": "checkout.session",
        "amount_subtotal": total,
        "amount_total": total,
        "cancel_url": _url(params, "cancel_url"),
        "client_reference_id": params.text("client_reference_id", length_max=200),
        "created": tx.now,
        "currency": currency,
        "customer": None,
        "customer_creation": params.choice("customer_creation", {"always", "if_required"}) or "if_required",
        "customer_details": None,
        "customer_email": params.text("customer_email"),
        "expires_at": _expiry(tx, params),
        "livemode": False,
        "locale": params.text("locale"),
        "metadata": merged_metadata({}, params.metadata()),
        "mode": "payment",
        "payment_intent": None,
        "payment_method_collection": "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "status": "open",
        "submit_type": params.choice("submit_type", {"auto", "book", "donate", "pay"}),
        "success_url": success_url,
        "ui_mode": "hosted_page",
        "url": f"{request.settings.base_url}/pay/{identifier}",
    }


def _with_line_items(tx: Transaction, session: Json, expand: list[str] | None) -> Json:
    if expand and "line_items" in expand:
        items = tx.private(session["id"])["line_items"]
        session["line_items"] = listing(f"/v1/checkout/sessions/{session['id']}/line_items", items)
    return session


def retrieve(tx: Transaction, request: Request) -> Json:
    """GET /v1/checkout/sessions/{session}."""
    session = tx.get("checkout.session", request.names["session"])
    expand = request.params.texts("expand")
    request.params.finish()
    return expanded(tx, _with_line_items(tx, session, expand), expand)


def line_items(tx: Transaction, request: Request) -> Json:
    """GET /v1/checkout/sessions/{session}/line_items."""
    session = tx.get("checkout.session", request.names["session"])
    request.params.integer("limit")
    request.params.finish()
    return listing(request.path, tx.private(session["id"])["line_items"])


def update(tx: Transaction, request: Request) -> Json:
    """POST /v1/checkout/sessions/{session}: metadata only."""
    session = tx.get("checkout.session", request.names["session"])
    change = request.params.metadata()
    expand = request.params.texts("expand")
    request.params.finish()
    session["metadata"] = merged_metadata(session["metadata"], change)
    tx.update(session, due=session["expires_at"] if session["status"] == "open" else None)
    return expanded(tx, session, expand)


def expire(tx: Transaction, request: Request) -> Json:
    """POST /v1/checkout/sessions/{session}/expire."""
    session = tx.get("checkout.session", request.names["session"])
    expand = request.params.texts("expand")
    request.params.finish()
    if session["status"] != "open":
        raise StateError(
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{session['status']}`."
        )
    return expanded(tx, expire_session(tx, session), expand)


def list_sessions(tx: Transaction, request: Request) -> Json:
    """GET /v1/checkout/sessions."""
    status = request.params.choice("status", {"open", "complete", "expired"})
    return page(
        tx,
        request,
        "checkout.session",
        filters=("customer", "payment_intent"),
        fixed={"json_extract(CAST(body AS TEXT), '$.status')": status} if status else None,
    )


def expire_session(tx: Transaction, session: Json) -> Json:
    """The time to pay is over: the page is gone, and an intent that was begun is cancelled."""
    session["status"], session["url"] = "expired", None
    tx.update(session)
    if session["payment_intent"] is not None:
        intent = tx.get("payment_intent", session["payment_intent"])
        if intent["status"] in payment_intents.CANCELLABLE:
            payment_intents.cancel_intent(tx, intent, "expired")
    tx.emit("checkout.session.expired", session)
    return session


def pay(
    tx: Transaction, settings: SandboxSettings, session: Json, method: Json, email: str | None
) -> confirmation.Outcome:
    """The customer entered a card on the hosted page. The session has to be open."""
    private = tx.private(session["id"])
    if session["payment_intent"] is None:
        fields = {**private["intent"], "customer": _customer(tx, session, private, email), "receipt_email": email}
        intent = payment_intents.new_intent(
            tx, session["amount_total"], session["currency"], fields, None, private={"session": session["id"]}
        )
        session["payment_intent"] = intent["id"]
    else:
        intent = tx.get("payment_intent", session["payment_intent"])
    session["customer_details"] = {
        "address": dict(NO_ADDRESS),
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }
    tx.update(session, due=session["expires_at"])
    options = confirmation.Options(return_url=session["url"])
    return settled(tx, session, confirmation.confirm(tx, settings, intent, method, options))


def _customer(tx: Transaction, session: Json, private: Json, email: str | None) -> str | None:
    if session["customer"] is not None:
        return str(session["customer"])
    if session["customer_creation"] != "always" and private["intent"]["setup_future_usage"] is None:
        return None
    return str(new_customer(tx, metadata={}, email=email)["id"])


def settled(tx: Transaction, session: Json, outcome: confirmation.Outcome) -> confirmation.Outcome:
    """Completes the session if its intent has come to its end."""
    if outcome.error is None and outcome.intent["status"] in {"succeeded", "requires_capture"}:
        session["status"], session["url"] = "complete", None
        session["payment_status"] = "paid" if outcome.intent["status"] == "succeeded" else "unpaid"
        session["customer"] = outcome.intent["customer"]
        tx.update(session)
        tx.emit("checkout.session.completed", session)
    return outcome
