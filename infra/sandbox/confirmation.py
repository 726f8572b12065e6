"""What confirming an intent does: 3-D Secure where the card wants it, then the charge, as the test card has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from infra.sandbox import charges, disputes
from infra.sandbox.cards import ADVICE, DECLINE_MESSAGES, Authentication, Card, behaving
from infra.sandbox.customers import attach, card_of
from infra.sandbox.errors import DOCUMENTATION_URL, InvalidParameterError, StateError
from infra.sandbox.requests import Answer, expanded
from infra.sandbox.store import Transaction, new_id

if TYPE_CHECKING:
    from infra.sandbox.forms import Params
    from infra.sandbox.settings import SandboxSettings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the client confirms."""

    off_session: bool = False
    return_url: str | None = None
    error_on_requires_action: bool = False

    @classmethod
    def read(cls, params: Params) -> Options:
        """From a request's parameters."""
        off_session = params.choice("off_session", {"true", "false", "one_off", "recurring"})
        options = params.child("payment_method_options")
        card = options.child("card") if options else None
        if card is not None:
            card.choice("request_three_d_secure", {"any", "automatic", "challenge"})
        params.boolean("use_stripe_sdk")
        return cls(
            off_session=off_session not in {None, "false"},
            return_url=params.text("return_url"),
            error_on_requires_action=params.boolean("error_on_requires_action") or False,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """The intent as it is now, and the error if the card was declined."""

    intent: Json
    error: Json | None = None


def answer(tx: Transaction, outcome: Outcome, expand: list[str] | None) -> Json | Answer:
    """The outcome as the API tells it: the intent, or 402 with the error that carries it."""
    if outcome.error is not None:
        return Answer(402, {"error": {**outcome.error, "payment_intent": outcome.intent}})
    return expanded(tx, outcome.intent, expand)


def check_ownership(method: Json, customer: str | None) -> None:
    """A saved card belongs to one customer, and can be used for that customer alone."""
    if method["customer"] is not None and method["customer"] != customer:
        message = (
            "The provided PaymentMethod cannot be used because it is attached to another Customer."
            if customer
            else "The provided PaymentMethod belongs to a Customer. Please include it in the `customer` parameter."
        )
        raise StateError(message, code="payment_method_customer_mismatch", param="payment_method")


def confirm(tx: Transaction, settings: SandboxSettings, intent: Json, method: Json, options: Options) -> Outcome:
    """Goes on with an intent until it is paid, declined, or waits for 3-D Secure."""
    card, private = card_of(tx, method["id"])
    if private.get("used") and method["customer"] is None:
        raise StateError(
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a "
            "Customer, and may not be used again.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )
    if options.off_session and intent["setup_future_usage"] is not None:
        raise InvalidParameterError("You cannot set off_session together with setup_future_usage.", param="off_session")
    intent["payment_method"] = method["id"]
    intent["next_action"] = None
    if _wants_authentication(card, private, options):
        if card.authentication is Authentication.BROKEN:
            return decline(tx, intent, method, behaving(card, "processing_error"), authenticated=False)
        if options.off_session or options.error_on_requires_action:
            return decline(tx, intent, method, behaving(card, "authentication_required"), authenticated=False)
        return Outcome(_challenge(tx, settings, intent, options))
    if options.off_session and card.absent_decline:
        return decline(tx, intent, method, behaving(card, card.absent_decline), authenticated=False)
    return collect(tx, intent, method, card, authenticated=False)


def _wants_authentication(card: Card, private: Json, options: Options) -> bool:
    match card.authentication:
        case Authentication.NEVER:
            return False
        case Authentication.ALWAYS | Authentication.BROKEN:
            return True
        case Authentication.UNLESS_SET_UP:
            return not (options.off_session and private.get("set_up"))
        case Authentication.ON_SESSION:
            return not options.off_session


def _challenge(tx: Transaction, settings: SandboxSettings, intent: Json, options: Options) -> Json:
    private = tx.private(intent["id"])
    private["challenge"] = new_id("3ds")
    private["return_url"] = options.return_url
    intent["status"] = "requires_action"
    intent["next_action"] = next_action(settings, intent["id"], private["challenge"], options.return_url)
    tx.update(intent, private=private)
    tx.emit("payment_intent.requires_action", intent)
    return intent


def next_action(settings: SandboxSettings, identifier: str, challenge: str, return_url: str | None) -> Json:
    """Where the customer has to go for 3-D Secure."""
    url = f"{settings.base_url}/3d_secure/{identifier}/{challenge}"
    if return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}
    return {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}


def authenticated(tx: Transaction, intent: Json, *, passed: bool) -> Outcome:
    """The customer came back from 3-D Secure."""
    method = tx.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    private = tx.private(intent["id"])
    private.pop("challenge", None)
    tx.update(intent, private=private)
    if passed:
        card, _ = card_of(tx, method["id"])
        return collect(tx, intent, method, card, authenticated=True)
    error: Json = {
        "type": "invalid_request_error",
        "code": "payment_intent_authentication_failure",
        "doc_url": DOCUMENTATION_URL + "payment-intent-authentication-failure",
        "message": "The provided PaymentMethod has failed authentication. You can provide a new one and try again.",
        "payment_method": method,
    }
    return _failed(tx, intent, error)


def collect(tx: Transaction, intent: Json, method: Json, card: Card, *, authenticated: bool) -> Outcome:
    """Charges the card; the money moves here and nowhere else."""
    if card.charge_decline:
        return decline(tx, intent, method, card, authenticated=authenticated)
    captured = intent["capture_method"] != "manual"
    private = tx.private(method["id"])
    known = {**private, "used": True}
    if intent["setup_future_usage"] is not None and intent["customer"] is not None:
        attach(tx, method, intent["customer"], set_up=True)
        known["set_up"] = private.get("set_up") or intent["setup_future_usage"] == "off_session"
    if known != private:
        tx.update(method, private=known)
    charge = charges.new_charge(tx, intent, method, card, authenticated=authenticated, captured=captured)
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = None
    if captured:
        intent["status"], intent["amount_received"] = "succeeded", intent["amount"]
    else:
        intent["status"], intent["amount_capturable"] = "requires_capture", intent["amount"]
    tx.update(intent)
    tx.emit("payment_intent.succeeded" if captured else "payment_intent.amount_capturable_updated", intent)
    if card.dispute and captured:
        disputes.open_dispute(tx, charge, card.dispute)
    return Outcome(intent)


def decline(tx: Transaction, intent: Json, method: Json, card: Card, *, authenticated: bool) -> Outcome:
    """Writes the failed charge and turns the intent back to where it needs another card."""
    charge = charges.new_charge(tx, intent, method, card, authenticated=authenticated, captured=False)
    intent["latest_charge"] = charge["id"]
    code, message = DECLINE_MESSAGES.get(card.charge_decline, DECLINE_MESSAGES["generic_decline"])
    error: Json = {
        "type": "card_error",
        "code": code,
        "decline_code": card.charge_decline,
        "doc_url": DOCUMENTATION_URL + code.replace("_", "-"),
        "message": message,
        "charge": charge["id"],
        "payment_method": method,
    }
    if card.charge_decline in ADVICE:
        error["advice_code"] = ADVICE[card.charge_decline]
    return _failed(tx, intent, error)


def _failed(tx: Transaction, intent: Json, error: Json) -> Outcome:
    intent["status"] = "requires_payment_method"
    intent["payment_method"] = None
    intent["last_payment_error"] = error
    tx.update(intent)
    tx.emit("payment_intent.payment_failed", intent)
    return Outcome(intent, error)
