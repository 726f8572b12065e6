"""`billing sandbox`: the customer at the hosted page, and the provider's bad days."""

from __future__ import annotations

import re
from enum import StrEnum
from html import unescape
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer

from cli import roles
from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_in

if TYPE_CHECKING:
    import httpx

app = typer.Typer(help="The sandbox payment provider: play the customer, and the provider's bad days.")
app.command("serve")(roles.serve_sandbox)
faults_app = typer.Typer(help="Switch bad days on and off: latency, errors, silence, lost and doubled webhooks.")
app.add_typer(faults_app, name="faults")

_TIMEOUT_S = 30.0
_SEE_OTHER = 303
_PAYMENT_REQUIRED = 402
_EXPIRY = "12/99"
_MILLION = 1_000_000
_CHALLENGE = "/3d_secure/"

UrlArgument = Annotated[str, typer.Argument(help="The confirmation_url of the payment.")]
EmailOption = Annotated[str, typer.Option("--email", help="The e-mail address the customer types.")]


class Verdict(StrEnum):
    """How a dispute ends."""

    WON = "won"
    LOST = "lost"


class Authentication(StrEnum):
    """What the customer does when the card's bank asks."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    LEAVE = "leave"


@app.command()
def pay(
    url: UrlArgument,
    card: Annotated[str, typer.Option("--card", help="One of Stripe's test card numbers.")] = "4242424242424242",
    email: EmailOption = "",
    authentication: Annotated[
        Authentication, typer.Option("--authentication", help="At 3-D Secure, where the card wants it.")
    ] = Authentication.PASS,
    as_json: JsonOption = False,
) -> None:
    """Pay at the hosted page, or confirm a charge of a saved card; exits with 1 where the card is declined."""
    if _CHALLENGE in url:
        _authenticate(url, authentication, as_json=as_json)
        return
    form = {"action": "pay", "card_number": card, "expiry": _EXPIRY, "cvc": "123"} | ({"email": email} if email else {})
    response = _post(url, form)
    if _CHALLENGE in (challenge := _location(response)):
        _authenticate(challenge, authentication, as_json=as_json)
        return
    if response.status_code == _PAYMENT_REQUIRED:
        _report("declined", _alert(response), as_json=as_json)
        raise typer.Exit(1)
    if response.status_code != _SEE_OTHER:
        raise UsageError(f"nothing was paid: {_alert(response)}")
    _report("paid", _location(response), as_json=as_json)


def _authenticate(challenge: str, authentication: Authentication, *, as_json: bool) -> None:
    """Answer the bank's question, which is the end of the payment."""
    if authentication is Authentication.LEAVE:
        _report("authentication_required", challenge, as_json=as_json)
        return
    action = "authenticate" if authentication is Authentication.PASS else "fail"
    response = _post(challenge, {"action": action})
    if response.status_code != _SEE_OTHER:
        raise UsageError(f"nothing was paid: {_alert(response)}")
    target = _location(response)
    if "failed=1" in target or "redirect_status=failed" in target:
        _report("declined", "3-D Secure failed, or the card was declined after it", as_json=as_json)
        raise typer.Exit(1)
    _report("paid", target, as_json=as_json)


@app.command()
def decline(url: UrlArgument, as_json: JsonOption = False) -> None:
    """Try to pay with a card that the bank declines; the page stays open for another try."""
    response = _post(url, {"action": "decline"})
    if response.status_code != _PAYMENT_REQUIRED:
        raise UsageError(f"nothing was declined: {_alert(response)}")
    _report("declined", _alert(response), as_json=as_json)


@app.command()
def abandon(url: UrlArgument, as_json: JsonOption = False) -> None:
    """Leave the hosted page without paying."""
    response = _post(url, {"action": "abandon"})
    if response.is_error:
        raise UsageError(f"the page could not be left: {_alert(response)}")
    _report("abandoned", _location(response), as_json=as_json)


@app.command()
def dispute(
    charge: Annotated[str, typer.Argument(help="A charge (ch_…), payment intent (pi_…) or checkout session (cs_…).")],
    reason: Annotated[str, typer.Option("--reason")] = "fraudulent",
    data_dir: DataDirOption = None,
) -> None:
    """Let the customer's bank open a dispute."""
    prefixes = {"ch": "charge", "pi": "payment_intent", "cs": "checkout_session"}
    name = prefixes.get(charge.partition("_")[0])
    if name is None:
        raise UsageError(f"{charge!r} is no charge, payment intent or checkout session")
    echo_json(_control("POST", "disputes", data_dir, {name: charge, "reason": reason}))


@app.command()
def card(  # noqa: PLR0917 - typer calls it by name
    name: Annotated[
        str,
        typer.Argument(help="A saved card (pm_…), or the payment intent (pi_…) or checkout session (cs_…) it paid."),
    ],
    decline: Annotated[bool, typer.Option("--decline", help="It declines from now on.")] = False,
    authenticate: Annotated[bool, typer.Option("--authenticate", help="Its owner has to confirm each charge.")] = False,
    ok: Annotated[bool, typer.Option("--ok", help="It pays everything.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Stripe's decline code.")] = "insufficient_funds",
    data_dir: DataDirOption = None,
) -> None:
    """Change what a saved card does from now on, such as at the next renewal."""
    if (decline, authenticate, ok).count(True) != 1:
        raise UsageError("say one of --decline, --authenticate and --ok")
    orders = {"decline": reason if decline else "", "authentication": "always" if authenticate else "never"}
    echo_json(_control("POST", f"payment_methods/{name}", data_dir, orders))


@app.command()
def verdict(
    dispute_id: Annotated[str, typer.Argument(help="A dispute (du_…).")],
    outcome: Annotated[Verdict, typer.Argument(help="How the bank decides, as the shop sees it.")],
    data_dir: DataDirOption = None,
) -> None:
    """Let the bank decide a dispute."""
    echo_json(_control("POST", f"disputes/{dispute_id}", data_dir, {"outcome": outcome.value}))


@app.command()
def books(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show every charge, refund and dispute, in the order of their making; one JSON object a line for machines."""
    after: int | None = 0
    while after is not None:
        page = _control("GET", f"books?after={after}", data_dir)
        for entry in page["entries"]:
            typer.echo(orjson.dumps(entry).decode() if as_json else _line(entry))
        after = page["next_after"]


def _line(entry: dict[str, Any]) -> str:
    amount = f"{entry['amount']:>10} {entry['currency'].upper()}"
    about = entry["metadata"].get("payment_id") or entry.get("charge") or ""
    return f"{entry['id']}  {entry['object']:<8} {entry['status']:<15} {amount}  {about}"


@faults_app.command("list")
def list_faults(data_dir: DataDirOption = None) -> None:
    """Show which faults are on."""
    echo_json(_control("GET", "faults", data_dir))


@faults_app.command("add")
def add_fault(  # noqa: PLR0917 - typer calls it by name
    kind: Annotated[
        str,
        typer.Argument(
            help="latency, refuse, error, error_after, timeout, timeout_before, reset, reset_after, webhook_lost, "
            "webhook_doubled, webhook_late, refund_pending or refund_failed."
        ),
    ],
    path: Annotated[str, typer.Option("--path", help="Only requests (or event types) that begin so.")] = "",
    method: Annotated[str, typer.Option("--method", help="Only this method; * for all. [default: POST]")] = "",
    percent: Annotated[int, typer.Option("--percent", min=0, max=100, help="How many it hits.")] = 100,
    count: Annotated[int | None, typer.Option("--count", min=1, help="How often. [default: always]")] = None,
    delay_ms: Annotated[
        int, typer.Option("--delay-ms", min=0, help="For latency, late webhooks and slow refunds.")
    ] = 0,
    status: Annotated[int, typer.Option("--status", help="For errors.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Makes chance repeatable.")] = 0,
    data_dir: DataDirOption = None,
) -> None:
    """Switch one fault on."""
    fault = {
        "kind": kind,
        "path": path,
        "method": method,
        "probability_ppm": percent * _MILLION // 100,
        "count": count,
        "delay_ms": delay_ms,
        "status": status,
        "seed": seed,
    }
    echo_json(_control("POST", "faults", data_dir, fault))


@faults_app.command("clear")
def clear_faults(data_dir: DataDirOption = None) -> None:
    """Switch all faults off."""
    echo_json(_control("DELETE", "faults", data_dir))


def _post(url: str, form: dict[str, str]) -> httpx.Response:
    """Look at the hosted page and send its form, as a browser would."""
    import httpx

    try:
        page = httpx.get(url, timeout=_TIMEOUT_S)
        if page.is_error:
            return page
        return httpx.post(url, data=form, timeout=_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"{url}: {error or type(error).__name__}") from error


def _location(response: httpx.Response) -> str:
    """Where the answer sends the customer, as a whole address; empty where nowhere."""
    target = response.headers.get("location", "")
    return str(response.url.join(target)) if target else ""


def _alert(response: httpx.Response) -> str:
    """What the page says, without its markup."""
    for pattern in (r'<p class="alert"[^>]*>(.*?)</p>', r"<main[^>]*>(.*?)</main>"):
        if found := re.search(pattern, response.text, re.DOTALL):
            return unescape(" ".join(re.sub(r"<[^>]*>", " ", found[1]).split()))
    return f"{response.status_code} {response.reason_phrase}"


def _control(method: str, path: str, data_dir: DataDirOption, body: dict[str, Any] | None = None) -> Any:
    """Call one of the sandbox's own controls."""
    import httpx

    settings = settings_in(data_dir)
    base = settings.sandbox_url or f"http://{settings.sandbox_host}:{settings.sandbox_port}"
    key = settings.stripe_secret_key.get_secret_value()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        response = httpx.request(method, f"{base}/_sandbox/{path}", json=body, headers=headers, timeout=_TIMEOUT_S)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        raise UsageError(f"no sandbox answers at {base}: {error or type(error).__name__}") from error
    if response.is_error:
        raise UsageError(str(answer.get("error", {}).get("message", answer)))
    return answer


def _report(outcome: str, detail: str, *, as_json: bool) -> None:
    if as_json:
        echo_json({"outcome": outcome, "detail": detail})
    else:
        typer.echo(f"{outcome}: {detail}" if detail else outcome)
