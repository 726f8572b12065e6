"""What the hosted pages do: `/pay/<session>`, `/3d_secure/<intent>/<challenge>`. Who knows the address may use it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from infra.sandbox import checkout, confirmation, pages, setup_intents
from infra.sandbox.cards import BEHAVIOURS, CARDS
from infra.sandbox.customers import MONTHS, new_payment_method, read_card, tx_year
from infra.sandbox.errors import ApiError, CardDeclinedError
from infra.sandbox.service import Call, Reply

if TYPE_CHECKING:
    from infra.sandbox.ledger import Ledger
    from infra.sandbox.settings import SandboxSettings
    from infra.sandbox.store import Transaction

Json = dict[str, Any]

FIELD_LENGTH_MAX = 200
EXPIRY_PARTS = 2


class HostedPages:
    """The customer's side of Checkout."""

    def __init__(self, ledger: Ledger, settings: SandboxSettings) -> None:
        self._ledger = ledger
        self._settings = settings

    async def call(self, call: Call) -> Reply:
        """Answers a browser; what does not exist is a plain page too."""
        parts = call.path.strip("/").split("/")
        fields = _fields(call.body if call.method == "POST" else call.query)
        if call.method not in {"GET", "POST"}:
            return _page(pages.message_page("Not allowed", "Use GET or POST.", state="error"), status=405)
        try:
            match parts:
                case ["pay", session]:
                    return await self._ledger.run(lambda tx: self._pay(tx, call.method, session, fields))
                case ["3d_secure", intent, challenge]:
                    return await self._ledger.run(
                        lambda tx: self._challenge(tx, call.method, intent, challenge, fields)
                    )
        except ApiError as error:
            return _page(pages.message_page("Not possible", error.message, state="error"), status=error.status)
        return _not_found()

    def _pay(self, tx: Transaction, method: str, identifier: str, fields: dict[str, str]) -> Reply:
        session = tx.find("checkout.session", identifier)
        if session is None:
            return _not_found()
        if session["status"] == "complete":
            return _page(_complete(session))
        if session["status"] == "expired" or session["expires_at"] <= tx.now:
            if session["status"] == "open":
                checkout.expire_session(tx, session)
            return _page(_expired(session))
        if method == "GET":
            return self._form(tx, session, card=fields.get("card", ""), alert=_last_error(tx, session, fields))
        match fields.get("action"):
            case "abandon":
                checkout.expire_session(tx, session)
                return _see(session["cancel_url"]) if session["cancel_url"] else _page(_expired(session))
            case "pay" | "decline":
                return self._charge(tx, session, fields)
            case _:
                return _page(
                    pages.message_page("Not possible", "The form was not complete.", state="error"), status=400
                )

    def _form(
        self,
        tx: Transaction,
        session: Json,
        *,
        card: str = "",
        email: str = "",
        alert: Json | None = None,
        status: int = 200,
    ) -> Reply:
        items = tx.private(session["id"])["line_items"]
        shown = card if card in CARDS else ""
        body = pages.payment_page(session, items, card=shown, email=email, alert=alert)
        return _page(body, session["success_url"], session["cancel_url"], status=status)

    def _charge(self, tx: Transaction, session: Json, fields: dict[str, str]) -> Reply:
        email = fields.get("email") or session["customer_email"]
        number = fields.get("card_number", "").replace(" ", "").replace("-", "")
        try:
            if fields.get("action") == "decline":
                card, month, year = BEHAVIOURS["generic_decline"], MONTHS, tx_year(tx) + 1
            else:
                card, month, year = read_card(tx, number, *_expiry(fields.get("expiry", "")))
        except CardDeclinedError as error:
            return self._form(tx, session, card=number, email=email or "", alert=error.body()["error"], status=402)
        method = new_payment_method(tx, card, month, year)
        outcome = checkout.pay(tx, self._settings, session, method, email)
        if outcome.error is not None:
            return self._form(tx, session, card=number, email=email or "", alert=outcome.error, status=402)
        if outcome.intent["next_action"] is not None:
            return _see(outcome.intent["next_action"]["redirect_to_url"]["url"])
        return _see(_success_url(session))

    def _challenge(
        self, tx: Transaction, method: str, identifier: str, challenge: str, fields: dict[str, str]
    ) -> Reply:
        kind = "setup_intent" if identifier.startswith("seti_") else "payment_intent"
        intent = tx.find(kind, identifier)
        private = tx.private(identifier) if intent is not None else {}
        if intent is None or not secrets.compare_digest(private.get("challenge", "").encode(), challenge.encode()):
            return _not_found()
        if intent["status"] != "requires_action":
            return _page(pages.message_page("Over", "There is nothing to confirm any more.", state="error"))
        return_url = private.get("return_url")
        if method == "GET":
            card = tx.get("payment_method", intent["payment_method"])["card"]
            session = tx.find("checkout.session", private["session"]) if "session" in private else None
            targets = (session["success_url"], session["cancel_url"]) if session else (return_url,)
            return _page(pages.challenge_page(intent, card), *targets)
        if fields.get("action") not in {"authenticate", "fail"}:
            return _page(pages.message_page("Not possible", "The form was not complete.", state="error"), status=400)
        passed = fields["action"] == "authenticate"
        if "session" in private:
            return self._session_challenge(tx, private["session"], intent, passed=passed)
        if kind == "setup_intent":
            after = setup_intents.authenticated(tx, intent, passed=passed)
        else:
            after = confirmation.authenticated(tx, intent, passed=passed).intent
        if not return_url:
            return _page(pages.message_page("Done", "You can close this page.", state="done"))
        return _see(_returning(return_url, after))

    def _session_challenge(self, tx: Transaction, session_id: str, intent: Json, *, passed: bool) -> Reply:
        session = tx.get("checkout.session", session_id)
        outcome = checkout.settled(tx, session, confirmation.authenticated(tx, intent, passed=passed))
        if outcome.error is not None:
            # This page is used up: the customer is sent back to the payment page, which tells what went wrong.
            return _see(f"{session['url']}?failed=1")
        return _see(_success_url(session))


def _fields(encoded: bytes) -> dict[str, str]:
    try:
        parsed = parse_qs(encoded.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: values[-1][:FIELD_LENGTH_MAX] for name, values in parsed.items()}


def _expiry(text: str) -> tuple[int, int]:
    parts = [part.strip() for part in text.split("/")]
    if len(parts) != EXPIRY_PARTS or not all(part.isascii() and part.isdecimal() for part in parts):
        raise CardDeclinedError(
            "Your card's expiration date is incomplete.", code="invalid_expiry_month", param="exp_month"
        )
    return int(parts[0]), int(parts[1])


def _returning(return_url: str, intent: Json) -> str:
    """The address with what Stripe tells in it; who wants to know more asks by the intent's name."""
    is_over = intent["status"] in {"succeeded", "requires_capture", "processing"}
    told = {intent["object"]: intent["id"], "redirect_status": "succeeded" if is_over else "failed"}
    return f"{return_url}{'&' if '?' in return_url else '?'}{urlencode(told)}"


def _success_url(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _last_error(tx: Transaction, session: Json, fields: dict[str, str]) -> Json | None:
    if "failed" not in fields or session["payment_intent"] is None:
        return None
    error: Json | None = tx.get("payment_intent", session["payment_intent"])["last_payment_error"]
    return error


def _complete(session: Json) -> bytes:
    return pages.message_page("Paid", "This payment is complete.", state="complete", link=_success_url(session))


def _expired(session: Json) -> bytes:
    return pages.message_page(
        "Expired", "This page has expired; nothing was charged.", state="expired", link=session["cancel_url"]
    )


def _not_found() -> Reply:
    return _page(pages.message_page("Not found", "There is no such page.", state="error"), status=404)


def _page(body: bytes, *targets: str | None, status: int = 200) -> Reply:
    return Reply(status=status, body=body, headers=pages.headers(*targets))


def _see(url: str) -> Reply:
    return Reply(status=303, body=b"", headers={"Location": url, "Cache-Control": "no-store"})
