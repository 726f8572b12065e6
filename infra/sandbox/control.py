"""Controls that Stripe does not have, under `/_sandbox/`: faults, disputes, cards that go bad, and the books."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from infra.sandbox import disputes
from infra.sandbox.cards import DECLINE_MESSAGES, Authentication
from infra.sandbox.errors import ApiError, InvalidParameterError, StateError, UnknownRouteError
from infra.sandbox.faults import Fault, Switches
from infra.sandbox.service import Call, Reply, authenticate

if TYPE_CHECKING:
    from infra.sandbox.ledger import Ledger
    from infra.sandbox.settings import SandboxSettings
    from infra.sandbox.store import Transaction

Json = dict[str, Any]

BOOKS_PAGE_LENGTH_DEFAULT = 500
BOOKS_PAGE_LENGTH_MAX = 1_000
BOOKED_FIELDS = (
    "id", "object", "amount", "currency", "status", "created", "metadata", "payment_intent", "customer",
)  # fmt: skip


class Controls:
    """Answers the sandbox's own calls, for the holder of the key and for programs of this machine."""

    def __init__(self, ledger: Ledger, settings: SandboxSettings, switches: Switches) -> None:
        self._ledger = ledger
        self._settings = settings
        self._switches = switches

    async def call(self, call: Call, client: str | None) -> Reply:
        """Answers a call in JSON."""
        try:
            if not _is_loopback(client):
                authenticate(call.headers, self._settings.secret_key)
            body = await self._call(call)
        except ApiError as error:
            return Reply(status=error.status, body=orjson.dumps(error.body()), headers=JSON_HEADERS)
        return Reply(status=200, body=orjson.dumps(body, option=orjson.OPT_INDENT_2), headers=JSON_HEADERS)

    async def _call(self, call: Call) -> Json:
        parts = call.path.removeprefix("/_sandbox").strip("/").split("/")
        match call.method, parts:
            case "GET", ["health"]:
                return await self._ledger.run(_health)
            case "GET", ["books"]:
                return await self._ledger.run(lambda tx: books(tx, call.query))
            case "GET", ["faults"]:
                return {"faults": self._switches.listing()}
            case "POST", ["faults"]:
                return await self._add_faults(_json(call))
            case "DELETE", ["faults"]:
                await self._ledger.run(self._clear_faults)
                return {"faults": self._switches.listing()}
            case "POST", ["disputes"]:
                wanted = _json(call)
                return await self._ledger.run(lambda tx: _open_dispute(tx, wanted))
            case "POST", ["disputes", identifier]:
                verdict = _json(call)
                return await self._ledger.run(lambda tx: _close_dispute(tx, identifier, verdict))
            case "POST", ["payment_methods", identifier]:
                change = _json(call)
                return await self._ledger.run(lambda tx: _spoil(tx, identifier, change))
        raise UnknownRouteError(f"The sandbox has no control {call.method} {call.path[:200]}.")

    async def _add_faults(self, body: Json) -> Json:
        wanted = [Fault.read(item) for item in (body["faults"] if isinstance(body.get("faults"), list) else [body])]

        def add(tx: Transaction) -> None:
            self._switches.save_counts(tx)
            for fault in wanted:
                self._switches.add(tx, fault)
            self._switches.load(tx)

        await self._ledger.run(add)
        return {"faults": self._switches.listing()}

    def _clear_faults(self, tx: Transaction) -> None:
        self._switches.clear(tx)
        self._switches.load(tx)


JSON_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def _is_loopback(client: str | None) -> bool:
    try:
        return client is not None and ipaddress.ip_address(client).is_loopback
    except ValueError:
        return False


def _json(call: Call) -> Json:
    # Insisting on this type keeps web pages in a browser of this machine from posting here.
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidParameterError("Send JSON as application/json.")
    try:
        body = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        raise InvalidParameterError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise InvalidParameterError("The body has to be a JSON object.")
    return body


def _health(tx: Transaction) -> Json:
    return {"status": "ok", "webhooks_waiting": tx.rows("SELECT count(*) FROM deliveries")[0][0]}


def _number(fields: dict[str, list[str]], name: str, default: int, maximum: int) -> int:
    text = fields.get(name, [str(default)])[-1]
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or not 0 <= int(text) <= maximum:  # noqa: PLR2004 - fits SQLite
        raise InvalidParameterError(f"{name} must be a number up to {maximum}", param=name)
    return int(text)


def books(tx: Transaction, query: bytes) -> Json:
    """GET /_sandbox/books?after=&limit=: every charge, refund and dispute in the order of making, as they are now.

    `next_after` is the cursor of the next page, or null at the end.
    """
    fields = parse_qs(query.decode("ascii", "replace"), max_num_fields=10)
    after = _number(fields, "after", 0, 2**62)
    limit = _number(fields, "limit", BOOKS_PAGE_LENGTH_DEFAULT, BOOKS_PAGE_LENGTH_MAX) or 1
    rows = tx.rows(
        "SELECT entry.seq, entry.body, json_extract(CAST(intent.private AS TEXT), '$.session') FROM objects AS entry "
        "LEFT JOIN objects AS intent ON intent.id = entry.payment_intent "
        "WHERE entry.kind IN ('charge', 'refund', 'dispute') AND entry.seq > ? ORDER BY entry.seq LIMIT ?",
        (after, limit + 1),
    )
    entries = [_entry(seq, orjson.loads(body), session) for seq, body, session in rows[:limit]]
    return {"entries": entries, "next_after": entries[-1]["seq"] if len(rows) > limit else None}


def _entry(seq: int, body: Json, session: str | None) -> Json:
    entry = {name: body.get(name) for name in BOOKED_FIELDS}
    entry |= {"seq": seq, "checkout_session": session}
    if body["object"] == "charge":
        names = ("amount_captured", "amount_refunded", "captured", "disputed", "failure_code", "paid", "payment_method")
        entry |= {name: body[name] for name in names}
    else:
        entry |= {"charge": body["charge"], "reason": body["reason"]}
    return entry


def _open_dispute(tx: Transaction, wanted: Json) -> Json:
    names = {"charge", "payment_intent", "checkout_session"}
    given = names & wanted.keys()
    reason = wanted.get("reason", "fraudulent")
    texts = all(isinstance(value, str) for value in wanted.values())
    if len(given) != 1 or wanted.keys() - names - {"reason"} or not texts:
        raise InvalidParameterError("Name one of charge, payment_intent or checkout_session, and perhaps a reason.")
    name = given.pop()
    identifier = wanted[name]
    if name == "checkout_session":
        identifier = tx.get("checkout.session", identifier)["payment_intent"] or ""
    if name != "charge":
        identifier = tx.get("payment_intent", identifier)["latest_charge"] or ""
    return disputes.open_dispute(tx, tx.get("charge", identifier), reason)


def _close_dispute(tx: Transaction, identifier: str, verdict: Json) -> Json:
    outcome = verdict.get("outcome")
    if outcome not in {"won", "lost"}:
        raise InvalidParameterError("outcome must be won or lost", param="outcome")
    return disputes.close_dispute(tx, tx.get("dispute", identifier), won=outcome == "won")


def _spoil(tx: Transaction, identifier: str, change: Json) -> Json:
    """From now on the card behaves so; what the change does not name is as the card's number has it.

    `decline`: the code with which it declines everything, or empty for none. `authentication`: `always` or `never`. The
    card may be named by itself, or by the payment intent or checkout session that it paid.
    """
    decline, authentication = change.get("decline"), change.get("authentication")
    if change.keys() - {"decline", "authentication"}:
        raise InvalidParameterError("A card takes the orders decline and authentication.")
    if decline not in (None, "", *DECLINE_MESSAGES):
        raise InvalidParameterError(f"decline must be empty or one of {', '.join(DECLINE_MESSAGES)}", param="decline")
    if authentication not in (None, Authentication.ALWAYS, Authentication.NEVER):
        raise InvalidParameterError("authentication must be always or never", param="authentication")
    if identifier.startswith("cs_"):
        identifier = tx.get("checkout.session", identifier)["payment_intent"] or ""
    if identifier.startswith("pi_"):
        identifier = tx.get("payment_intent", identifier)["payment_method"] or ""
    method = tx.get("payment_method", identifier)
    private = tx.private(identifier)
    if "behaviour" not in private:
        raise StateError("This payment method has no behaviour.")
    private |= {"decline": decline, "authentication": authentication}
    tx.execute("UPDATE objects SET private = ? WHERE id = ?", (orjson.dumps(private), identifier))
    return {
        "id": identifier,
        "customer": method["customer"],
        "last4": method["card"]["last4"],
        "decline": decline,
        "authentication": authentication,
    }
