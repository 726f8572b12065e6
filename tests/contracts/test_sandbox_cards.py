"""Cards and refunds that go bad after the payment: by their number, by order, and from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import stripe
from typer.testing import CliRunner, Result

from cli.common import UsageError
from cli.main import app
from tests.contracts.sandbox_kit import session_params, wait_for

if TYPE_CHECKING:
    from tests.contracts.sandbox_kit import SandboxUnderTest

CARD = "4242424242424242"


def bought(sandbox: SandboxUnderTest, card: str = CARD) -> stripe.checkout.Session:
    """A customer who paid at the page and left the card."""
    opened = sandbox.client.v1.checkout.sessions.create(session_params())
    answer = sandbox.pay(str(opened.url), card)
    if "/3d_secure/" in answer.headers.get("location", ""):
        sandbox.act(answer.headers["location"], "authenticate")
    session = sandbox.client.v1.checkout.sessions.retrieve(opened.id, {"expand": ["payment_intent"]})
    assert session.payment_status == "paid"
    return session


def charged(sandbox: SandboxUnderTest, session: stripe.checkout.Session, **changes: Any) -> stripe.PaymentIntent:
    """A charge of the card that the customer left."""
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    params: Any = {
        "amount": 999,
        "currency": "usd",
        "customer": session.customer,
        "payment_method": intent.payment_method,
        "off_session": True,
        "confirm": True,
        **changes,
    }
    return sandbox.client.v1.payment_intents.create(params)


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("4999990000000015", "insufficient_funds"),
        ("4999990000000023", "expired_card"),
        ("4000002760003184", "authentication_required"),
    ],
)
def test_cards_that_pay_once_and_not_again(sandbox: SandboxUnderTest, card: str, code: str) -> None:
    session = bought(sandbox, card)
    with pytest.raises(stripe.CardError) as caught:
        charged(sandbox, session)
    assert caught.value.error is not None
    assert caught.value.error.decline_code == code
    assert len(sandbox.charges()) == 1


def test_a_card_takes_orders_by_any_name_that_leads_to_it(sandbox: SandboxUnderTest) -> None:
    session = bought(sandbox)
    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    for name in (session.id, intent.id, str(intent.payment_method)):
        sandbox.control("POST", f"payment_methods/{name}", {"decline": "lost_card"})
        with pytest.raises(stripe.CardError):
            charged(sandbox, session)
        answer = sandbox.control("POST", f"payment_methods/{name}", {"decline": ""})
        assert (answer["id"], answer["customer"], answer["last4"]) == (intent.payment_method, session.customer, "4242")
        assert charged(sandbox, session).status == "succeeded"


@pytest.mark.parametrize(
    "orders",
    [{"decline": "nonsense"}, {"decline": []}, {"authentication": "sometimes"}, {"authentication": {}}, {"other": 1}],
)
def test_orders_that_make_no_sense_are_refused(sandbox: SandboxUnderTest, orders: dict[str, Any]) -> None:
    answer = sandbox.http.post(f"/_sandbox/payment_methods/{bought(sandbox).id}", json=orders)
    assert answer.status_code == 400
    for name in ("pm_nobody", "cs_nobody", "pi_nobody"):
        assert sandbox.http.post(f"/_sandbox/payment_methods/{name}", json={}).status_code == 404


@pytest.mark.parametrize(("kind", "end"), [("refund_pending", "succeeded"), ("refund_failed", "failed")])
def test_the_next_refund_takes_its_time(sandbox: SandboxUnderTest, kind: str, end: str) -> None:
    charge = charged(sandbox, bought(sandbox))
    sandbox.fault(kind, count=1, delay_ms=60_000)
    other = bought(sandbox)
    refund = sandbox.client.v1.refunds.create({"payment_intent": charge.id, "metadata": {"refund_id": "r1"}})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert isinstance(other.payment_intent, stripe.PaymentIntent)
    assert sandbox.client.v1.refunds.create({"payment_intent": other.payment_intent.id}).status == "succeeded"
    sandbox.clock.advance(seconds=30)
    assert sandbox.client.v1.refunds.retrieve(refund.id).status == "pending"
    sandbox.clock.advance(seconds=31)
    wait_for(lambda: sandbox.client.v1.refunds.retrieve(refund.id).status == end, what=f"the refund {end}")
    (entry,) = [entry for entry in sandbox.books() if entry["id"] == refund.id]
    assert (entry["metadata"], entry["status"]) == ({"refund_id": "r1"}, end)
    left = sandbox.client.v1.charges.retrieve(str(charge.latest_charge)).amount_refunded
    assert left == (999 if end == "succeeded" else 0)


def run(sandbox: SandboxUnderTest, *arguments: str) -> Result:
    environment = {"BILLING_SANDBOX_URL": sandbox.settings.base_url}
    return CliRunner().invoke(app, ["sandbox", *arguments], env=environment)


def test_the_command_line_spoils_and_mends_a_card(sandbox: SandboxUnderTest) -> None:
    session = bought(sandbox)
    told = run(sandbox, "card", session.id, "--decline", "--reason", "expired_card")
    assert json.loads(told.stdout)["decline"] == "expired_card"
    with pytest.raises(stripe.CardError, match="expired"):
        charged(sandbox, session)
    assert run(sandbox, "card", session.id, "--ok").exit_code == 0
    assert charged(sandbox, session).status == "succeeded"
    for wrong in ((), ("--ok", "--decline")):
        assert isinstance(run(sandbox, "card", session.id, *wrong).exception, UsageError)
    assert isinstance(run(sandbox, "card", "pm_nobody", "--ok").exception, UsageError)


def test_the_command_line_confirms_a_charge(sandbox: SandboxUnderTest) -> None:
    session = bought(sandbox)
    run(sandbox, "card", session.id, "--authenticate")
    with pytest.raises(stripe.CardError, match="authentication"):
        charged(sandbox, session)
    for answer, outcome, code in (("fail", "declined", 1), ("pass", "paid", 0)):
        asked = charged(sandbox, session, off_session=False, return_url="https://shop.example/back?a=b")
        assert asked.next_action is not None
        assert asked.next_action.redirect_to_url is not None
        url = str(asked.next_action.redirect_to_url.url)
        told = run(sandbox, "pay", url, "--authentication", answer, "--json")
        assert (json.loads(told.stdout)["outcome"], told.exit_code) == (outcome, code)
        if outcome == "paid":
            back = f"https://shop.example/back?a=b&payment_intent={asked.id}&redirect_status=succeeded"
            assert json.loads(told.stdout)["detail"] == back
    assert len(sandbox.charges()) == 2
