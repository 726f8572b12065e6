"""Setup intents: `/v1/setup_intents`. A card is saved for later without a charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.sandbox import confirmation
from infra.sandbox.cards import Authentication
from infra.sandbox.customers import attach, card_of, declined, live_customer, resolve
from infra.sandbox.errors import DOCUMENTATION_URL, CardDeclinedError, InvalidParameterError, StateError
from infra.sandbox.requests import Answer, Request, expanded, merged_metadata, page
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.settings import SandboxSettings

Json = dict[str, Any]

WAITING = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})


def create(tx: Transaction, request: Request) -> Json | Answer:
    """POST /v1/setup_intents."""
    params = request.params
    customer, method_name = params.text("customer"), params.text("payment_method")
    types = params.texts("payment_method_types")
    if types not in (None, ["card"]):
        raise InvalidParameterError("The sandbox offers cards only.", param="payment_method_types")
    automatic = params.child("automatic_payment_methods")
    enabled = automatic.boolean("enabled") or False if automatic else types is None
    redirects = (automatic.choice("allow_redirects", {"always", "never"}) if automatic else None) or "always"
    usage = params.choice("usage", {"off_session", "on_session"}) or "off_session"
    description = params.text("description")
    metadata = merged_metadata({}, params.metadata())
    confirm = params.boolean("confirm") or False
    options = confirmation.Options.read(params)
    expand = params.texts("expand")
    params.finish()
    if customer is not None:
        live_customer(tx, customer)
    method = resolve(tx, method_name) if method_name else None
    if method is not None:
        confirmation.check_ownership(method, customer)
    identifier = new_id("seti")
    intent: Json = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": {"enabled": enabled, "allow_redirects": redirects},
        "cancellation_reason": None,
        "client_secret": new_id(f"{identifier}_secret"),
        "created": tx.now,
        "customer": customer,
        "description": description,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": metadata,
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": method["id"] if method else None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_confirmation" if method else "requires_payment_method",
        "usage": usage,
    }
    tx.insert(intent, private={})
    tx.emit("setup_intent.created", intent)
    if not confirm:
        return expanded(tx, intent, expand)
    if method is None:
        raise InvalidParameterError("You cannot confirm this SetupIntent because it's missing a payment method.")
    answer = _confirmed(tx, request.settings, intent, method, options)
    return answer if isinstance(answer, Answer) else expanded(tx, answer, expand)


def confirm(tx: Transaction, request: Request) -> Json | Answer:
    """POST /v1/setup_intents/{intent}/confirm."""
    params = request.params
    intent = tx.get("setup_intent", request.names["intent"])
    name = params.text("payment_method") or intent["payment_method"]
    options = confirmation.Options.read(params)
    expand = params.texts("expand")
    params.text("client_secret")
    params.finish()
    if intent["status"] not in WAITING:
        raise _unexpected(intent)
    if name is None:
        raise InvalidParameterError("You cannot confirm this SetupIntent because it's missing a payment method.")
    method = resolve(tx, name)
    confirmation.check_ownership(method, intent["customer"])
    answer = _confirmed(tx, request.settings, intent, method, options)
    return answer if isinstance(answer, Answer) else expanded(tx, answer, expand)


def _confirmed(
    tx: Transaction, settings: SandboxSettings, intent: Json, method: Json, options: confirmation.Options
) -> Json | Answer:
    card, _ = card_of(tx, method["id"])
    intent["payment_method"], intent["next_action"] = method["id"], None
    if card.attach_decline:
        return _failed(tx, intent, method, declined(card.attach_decline))
    if card.authentication is Authentication.BROKEN:
        return _failed(tx, intent, method, declined("processing_error"))
    if card.authentication in {Authentication.ALWAYS, Authentication.UNLESS_SET_UP}:
        challenge = new_id("3ds")
        intent["status"] = "requires_action"
        intent["next_action"] = confirmation.next_action(settings, intent["id"], challenge, options.return_url)
        tx.update(intent, private={"challenge": challenge, "return_url": options.return_url})
        tx.emit("setup_intent.requires_action", intent)
        return intent
    return _succeeded(tx, intent, method)


def _succeeded(tx: Transaction, intent: Json, method: Json) -> Json:
    _, private = card_of(tx, method["id"])
    if intent["customer"] is not None:
        attach(tx, method, intent["customer"], set_up=True)
    tx.update(method, private={**private, "set_up": intent["usage"] == "off_session"})
    intent["status"], intent["last_setup_error"] = "succeeded", None
    tx.update(intent, private={})
    tx.emit("setup_intent.succeeded", intent)
    return intent


def _failed(tx: Transaction, intent: Json, method: Json, error: CardDeclinedError) -> Answer:
    body = {**error.body()["error"], "payment_method": method}
    _fail(tx, intent, body)
    return Answer(402, {"error": {**body, "setup_intent": intent}})


def _fail(tx: Transaction, intent: Json, error: Json) -> None:
    intent["status"], intent["payment_method"], intent["last_setup_error"] = "requires_payment_method", None, error
    tx.update(intent)
    tx.emit("setup_intent.setup_failed", intent)


def authenticated(tx: Transaction, intent: Json, *, passed: bool) -> Json:
    """The customer came back from 3-D Secure."""
    method = tx.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if passed:
        return _succeeded(tx, intent, method)
    error = {
        "type": "invalid_request_error",
        "code": "setup_intent_authentication_failure",
        "doc_url": DOCUMENTATION_URL + "setup-intent-authentication-failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide a new one and try again.",
        "payment_method": method,
    }
    _fail(tx, intent, error)
    tx.update(intent, private={})
    return intent


def cancel(tx: Transaction, request: Request) -> Json:
    """POST /v1/setup_intents/{intent}/cancel."""
    intent = tx.get("setup_intent", request.names["intent"])
    reason = request.params.choice("cancellation_reason", {"abandoned", "duplicate", "requested_by_customer"})
    expand = request.params.texts("expand")
    request.params.finish()
    if intent["status"] not in WAITING:
        raise _unexpected(intent)
    intent["status"], intent["cancellation_reason"], intent["next_action"] = "canceled", reason, None
    tx.update(intent, private={})
    tx.emit("setup_intent.canceled", intent)
    return expanded(tx, intent, expand)


def list_intents(tx: Transaction, request: Request) -> Json:
    """GET /v1/setup_intents."""
    return page(tx, request, "setup_intent", filters=("customer",))


def _unexpected(intent: Json) -> StateError:
    return StateError(
        f"This SetupIntent could not go on because it has a status of {intent['status']}.",
        code="setup_intent_unexpected_state",
        setup_intent=intent,
    )
