"""The HTML that a customer's browser sees: the payment page, the 3-D Secure step, and what comes after. No scripts."""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal
from html import escape
from typing import Any
from urllib.parse import urlsplit

from babel.numbers import format_currency

from infra.sandbox.cards import CARDS
from infra.stripe.currencies import stripe_exponent

Json = dict[str, Any]

LOCALE = "en_US"
SHOWN_CARDS = (
    "4242424242424242",
    "5555555555554444",
    "4000000000000002",
    "4000000000009995",
    "4000000000009987",
    "4000000000000069",
    "4000002760003184",
    "4000002500003155",
    "4000008260003178",
    "4999990000000015",
    "4999990000000023",
    "4000000000000259",
    "4000000000005126",
)

STYLE = """
:root { color-scheme: light dark; --ink: #1a1f36; --soft: #5b6478; --line: #d9dee8; --page: #f5f7fa; --card: #fff;
  --accent: #4338ca; --on-accent: #fff; --bad: #b42318; --bad-page: #fef3f2; --good: #067647; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f8; --soft: #a3acc2; --line: #363d52; --page: #12151f;
  --card: #1c2130; --accent: #8b8cf9; --on-accent: #12151f; --bad: #fda29b; --bad-page: #3a1512; --good: #75e0a7; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
.banner { background: #fde68a; color: #422006; text-align: center; padding: .4rem 1rem; font-size: .875rem; }
main { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; display: grid; gap: 2rem; }
@media (min-width: 52rem) { main.wide { grid-template-columns: 5fr 6fr; align-items: start; margin-top: 4rem; } }
main.narrow { max-width: 30rem; margin-top: 4rem; }
h1 { font-size: 1rem; font-weight: 500; color: var(--soft); margin: 0; }
.amount { font-size: 2.5rem; font-weight: 650; letter-spacing: -.02em; margin: .1rem 0 1.5rem; }
.items { list-style: none; margin: 0; padding: 0; }
.items li { display: flex; justify-content: space-between; gap: 1rem; padding: .6rem 0;
  border-top: 1px solid var(--line); }
.items li span:first-child { overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: .875rem; }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1.5rem; }
label { display: block; font-weight: 550; font-size: .9rem; margin-bottom: .25rem; }
.field { margin-bottom: 1rem; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
input { width: 100%; font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line);
  border-radius: .5rem; padding: .65rem .75rem; }
button, .button { width: 100%; font: inherit; font-weight: 600; border-radius: .5rem; padding: .75rem 1rem;
  cursor: pointer; border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent);
  text-align: center; display: block; text-decoration: none; }
button.plain { background: none; color: var(--ink); border-color: var(--line); font-weight: 500; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.alert { background: var(--bad-page); color: var(--bad); border: 1px solid currentColor; border-radius: .5rem;
  padding: .75rem 1rem; margin: 0 0 1rem; }
.good { color: var(--good); }
table { width: 100%; border-collapse: collapse; font-size: .875rem; margin-top: .5rem; }
caption { text-align: left; font-weight: 550; margin-bottom: .25rem; }
td, th { text-align: left; padding: .3rem .25rem; border-top: 1px solid var(--line); font-weight: 400; }
td.number { font-family: ui-monospace, "SF Mono", Menlo, monospace; white-space: nowrap; }
a { color: var(--accent); }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def money(amount: int, currency: str) -> str:
    """A sum for people, with exactly the decimals that Stripe's amount has."""
    exponent = stripe_exponent(currency)
    pattern = "¤#,##0" + ("." + "0" * exponent if exponent else "")
    return format_currency(
        Decimal(amount).scaleb(-exponent), currency.upper(), format=pattern, currency_digits=False, locale=LOCALE
    )


def headers(*targets: str | None) -> dict[str, str]:
    """Headers of a page. A form may lead to the shop's addresses, which browsers hold against `form-action`."""
    origins = sorted({origin for target in targets if (origin := _origin(target))})
    targets_allowed = " ".join(["'self'", *origins])
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action {targets_allowed}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


def _origin(target: str | None) -> str | None:
    parts = urlsplit(target or "")
    safe = parts.scheme in {"http", "https"} and parts.netloc and not set(parts.netloc) & set(" ;,'\"@")
    return f"{parts.scheme}://{parts.netloc}" if safe else None


def _document(title: str, content: str, *, state: str, layout: str) -> bytes:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex">\n<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n'
        '<body>\n<p class="banner" role="note">Sandbox: nobody\'s money moves here. Use the test cards only.</p>\n'
        f'<main class="{layout}" data-state="{escape(state)}">\n{content}\n</main>\n</body>\n</html>\n'
    ).encode()


def payment_page(
    session: Json, items: list[Json], *, card: str = "", email: str = "", alert: Json | None = None
) -> bytes:
    """The form. `alert` is the error of a declined card, by Stripe's schema."""
    total = money(session["amount_total"], session["currency"])
    rows = "".join(_item(item) for item in items)
    back = ""
    if session["cancel_url"]:
        back = (
            f'<p><a href="{escape(session["cancel_url"])}">← Back to the shop</a> '
            '<span class="soft">(pay later)</span></p>'
        )
    summary = (
        f'<section aria-labelledby="what">{back}<h1 id="what">Pay</h1>\n<p class="amount">{escape(total)}</p>\n'
        f'<ul class="items">{rows}</ul></section>'
    )
    email = email or session["customer_email"] or ""
    form = (
        f'<section class="panel" aria-label="Card payment">{_alert(alert)}<form method="post">\n'
        '<div class="field"><label for="email">E-mail</label>'
        f'<input id="email" name="email" type="email" autocomplete="email" value="{escape(email)}"></div>\n'
        '<div class="field"><label for="card_number">Card number</label>'
        '<input id="card_number" name="card_number" inputmode="numeric" autocomplete="off" required maxlength="23" '
        f'placeholder="4242 4242 4242 4242" value="{escape(_spaced(card))}" aria-describedby="cards"></div>\n'
        '<div class="pair"><div class="field"><label for="expiry">Expires</label>'
        '<input id="expiry" name="expiry" value="12 / 34" autocomplete="off" maxlength="9"></div>\n'
        '<div class="field"><label for="cvc">CVC</label>'
        '<input id="cvc" name="cvc" value="123" inputmode="numeric" autocomplete="off" maxlength="4"></div></div>\n'
        f'<div class="field"><button name="action" value="pay">Pay {escape(total)}</button></div>\n'
        '<div class="pair"><button class="plain" name="action" value="decline" formnovalidate>Decline</button>'
        '<button class="plain" name="action" value="abandon" formnovalidate>Abandon</button></div>\n'
        '<p class="soft">Decline: the bank says no, whatever the card. Abandon: the customer leaves, and the session '
        f"expires at once.</p></form>{_cards()}</section>"
    )
    return _document(f"Pay {total}", summary + form, state="open", layout="wide")


def _item(item: Json) -> str:
    quantity = f' <span class="soft">× {item["quantity"]}</span>' if item["quantity"] != 1 else ""
    return (
        f"<li><span>{escape(item['description'])}{quantity}</span>"
        f"<span>{escape(money(item['amount_total'], item['currency']))}</span></li>"
    )


def _alert(error: Json | None) -> str:
    if error is None:
        return ""
    reason = error.get("decline_code") or error.get("code") or ""
    return f'<p class="alert" role="alert" data-reason="{escape(reason)}">{escape(error["message"])}</p>'


def _spaced(number: str) -> str:
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))


def _cards() -> str:
    rows = "".join(
        f'<tr><td class="number">{_spaced(number)}</td><td>{escape(CARDS[number].label)}</td>'
        f'<td><a href="?card={number}" aria-label="Use the card {_spaced(number)}">use</a></td></tr>'
        for number in SHOWN_CARDS
    )
    return f'<table id="cards"><caption>Test cards</caption><tbody>{rows}</tbody></table>'


def challenge_page(intent: Json, card: Json) -> bytes:
    """The bank's question of 3-D Secure."""
    about = f"card •••• {card['last4']}"
    if "amount" in intent:
        about = f"{money(intent['amount'], intent['currency'])} with the {about}"
    content = (
        '<section class="panel" aria-labelledby="bank"><h1 id="bank">Your bank asks (3-D Secure)</h1>\n'
        f"<p>Do you want to pay <strong>{escape(about)}</strong>?</p>\n"
        '<form method="post"><div class="field"><button name="action" value="authenticate">Yes, it is me</button></div>'
        '<button class="plain" name="action" value="fail">No, refuse</button></form></section>'
    )
    return _document("3-D Secure", content, state="authenticate", layout="narrow")


def message_page(title: str, text: str, *, state: str, link: str | None = None) -> bytes:
    """A page that only tells something."""
    back = f'<p><a class="button" href="{escape(link)}">Back to the shop</a></p>' if link else ""
    mark = ' class="good"' if state == "complete" else ""
    content = f'<section class="panel"><h1{mark}>{escape(title)}</h1>\n<p>{escape(text)}</p>{back}</section>'
    return _document(title, content, state=state, layout="narrow")
