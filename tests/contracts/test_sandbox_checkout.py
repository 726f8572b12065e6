"""Checkout at the sandbox, driven by the official SDK and by what a browser does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe

from tests.contracts.sandbox_kit import alert_of, session_params, wait_for

if TYPE_CHECKING:
    from tests.contracts.sandbox_kit import SandboxUnderTest

THREE_D_SECURE = "4000002760003184"
EXPANSION = ["payment_intent.latest_charge", "payment_intent.payment_method", "customer", "line_items"]


def opened(sandbox: SandboxUnderTest, **changes: Any) -> tuple[stripe.checkout.Session, str]:
    session = sandbox.client.v1.checkout.sessions.create(session_params(**changes))
    assert session.url is not None
    assert session.status == "open"
    assert session.payment_intent is None
    return session, session.url


def read(sandbox: SandboxUnderTest, session: stripe.checkout.Session) -> stripe.checkout.Session:
    return sandbox.client.v1.checkout.sessions.retrieve(session.id, {"expand": EXPANSION})


def test_paid_at_the_hosted_page(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    page = sandbox.http.get(url)
    assert "$9.99" in page.text
    assert "A film" in page.text

    answer = sandbox.pay(url, email="alice@example.com")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"https://shop.example/thanks?session={session.id}"
    paid = read(sandbox, session)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received) == ("succeeded", 999)
    assert intent.metadata["payment_id"] == "payment-1"
    assert isinstance(intent.latest_charge, stripe.Charge)
    assert intent.latest_charge.metadata["payment_id"] == "payment-1"
    assert isinstance(paid.customer, stripe.Customer)
    assert paid.customer.email == "alice@example.com"
    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    assert intent.payment_method.customer == paid.customer.id
    assert [entry["amount"] for entry in sandbox.charges()] == [999]


def test_a_saved_card_can_be_charged_later(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    sandbox.pay(url)
    paid = read(sandbox, session)
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert isinstance(paid.payment_intent.payment_method, stripe.PaymentMethod)
    assert isinstance(paid.customer, stripe.Customer)

    renewal = sandbox.client.v1.payment_intents.create(
        {
            "amount": 999,
            "currency": "usd",
            "customer": paid.customer.id,
            "payment_method": paid.payment_intent.payment_method.id,
            "off_session": True,
            "confirm": True,
        }
    )

    assert renewal.status == "succeeded"
    assert len(sandbox.charges()) == 2


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("4000000000000002", "declined"),
        ("4000000000009995", "insufficient funds"),
        ("4000000000009987", "declined"),
        ("4000000000000069", "expired"),
        ("4000000000000341", "declined"),
        ("4242424242424241", "number is incorrect"),
        ("4111111111111111", "test cards only"),
        ("", "number is incorrect"),
    ],
)
def test_declined_and_paid_with_another_card(sandbox: SandboxUnderTest, card: str, reason: str) -> None:
    session, url = opened(sandbox)

    answer = sandbox.pay(url, card)

    assert answer.status_code == 402
    assert reason in alert_of(answer)
    assert read(sandbox, session).status == "open"
    assert sandbox.charges() == []
    assert sandbox.pay(url).status_code == 303
    assert read(sandbox, session).payment_status == "paid"
    assert len(sandbox.charges()) == 1


def test_the_decline_button_is_the_banks_no(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    assert sandbox.act(url, "decline").status_code == 402
    declined = read(sandbox, session)
    assert isinstance(declined.payment_intent, stripe.PaymentIntent)
    assert declined.payment_intent.status == "requires_payment_method"
    assert declined.payment_intent.last_payment_error is not None
    assert declined.payment_intent.last_payment_error.decline_code == "generic_decline"


def test_three_d_secure_is_paid_only_after_it(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    answer = sandbox.pay(url, THREE_D_SECURE)
    challenge = answer.headers["location"]
    assert "/3d_secure/" in challenge
    assert sandbox.charges() == []
    waiting = read(sandbox, session)
    assert isinstance(waiting.payment_intent, stripe.PaymentIntent)
    assert waiting.payment_intent.status == "requires_action"
    assert sandbox.http.get(challenge).status_code == 200
    assert sandbox.http.get(challenge + "x").status_code == 404

    done = sandbox.act(challenge, "authenticate")

    assert done.headers["location"].startswith("https://shop.example/thanks")
    paid = read(sandbox, session)
    assert paid.payment_status == "paid"
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert isinstance(paid.payment_intent.latest_charge, stripe.Charge)
    details = paid.payment_intent.latest_charge.payment_method_details
    assert details is not None
    assert details.card is not None
    assert details.card.three_d_secure is not None
    assert details.card.three_d_secure.result == "authenticated"


def test_three_d_secure_refused_pays_nothing(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    challenge = sandbox.pay(url, THREE_D_SECURE).headers["location"]

    back = sandbox.act(challenge, "fail")

    assert back.headers["location"] == f"{url}?failed=1"
    assert "failed authentication" in alert_of(sandbox.http.get(back.headers["location"]))
    assert read(sandbox, session).status == "open"
    assert sandbox.charges() == []
    assert sandbox.act(challenge, "authenticate").status_code == 404


def test_abandoned_is_expired_and_cannot_be_paid(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    assert sandbox.act(url, "abandon").headers["location"] == "https://shop.example/cart"
    assert read(sandbox, session).status == "expired"
    assert "expired" in sandbox.http.post(url, data={"action": "pay", "card_number": "4242424242424242"}).text
    assert sandbox.charges() == []


def test_expires_by_the_clock_and_by_the_api(sandbox: SandboxUnderTest) -> None:
    session, url = opened(sandbox)
    other, other_url = opened(sandbox)
    expired = sandbox.client.v1.checkout.sessions.expire(other.id)
    assert (expired.status, expired.url) == ("expired", None)
    with pytest.raises(stripe.InvalidRequestError, match="status of `expired`"):
        sandbox.client.v1.checkout.sessions.expire(other.id)

    sandbox.clock.advance(hours=25)

    assert "expired" in sandbox.pay(url).text
    wait_for(lambda: read(sandbox, session).status == "expired", what="the session expires")
    assert sandbox.charges() == []
    assert "expired" in sandbox.http.get(other_url).text


def test_paying_twice_is_not_possible(sandbox: SandboxUnderTest) -> None:
    _, url = opened(sandbox)
    sandbox.pay(url)
    assert "complete" in sandbox.http.get(url).text
    assert sandbox.act(url, "pay").status_code == 200
    assert len(sandbox.charges()) == 1


def test_expiry_outside_stripes_limits_is_refused(sandbox: SandboxUnderTest) -> None:
    now = int(sandbox.clock.now().timestamp())
    for expires_at in (now + 60, now + 25 * 3600):
        with pytest.raises(stripe.InvalidRequestError, match="between 30 minutes and 24 hours"):
            sandbox.client.v1.checkout.sessions.create(session_params(expires_at=expires_at))


def test_text_of_others_is_escaped_and_nothing_is_loaded(sandbox: SandboxUnderTest) -> None:
    hostile = '<script>alert("1")</script>'
    item = {"price_data": {"currency": "jpy", "unit_amount": 1200, "product_data": {"name": hostile}}, "quantity": 2}
    _, url = opened(sandbox, line_items=[item], cancel_url='https://shop.example/"><script>')
    page = sandbox.pay(url, card='"><script>')
    for answer in (sandbox.http.get(url), page):
        assert "<script" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self' https://shop.example;" in policy
        assert "src=" not in answer.text
    assert "¥2,400" in page.text


@pytest.mark.parametrize(
    ("currency", "amount", "shown"),
    [("usd", 2697, "$26.97"), ("jpy", 2697, "¥2,697"), ("kwd", 26970, "26.970"), ("isk", 50000, "500.00")],
)
def test_amounts_are_shown_by_the_currencys_exponent(
    sandbox: SandboxUnderTest, currency: str, amount: int, shown: str
) -> None:
    item = {
        "price_data": {"currency": currency, "unit_amount": amount, "product_data": {"name": "A film"}},
        "quantity": 1,
    }
    _, url = opened(sandbox, line_items=[item])
    assert shown in sandbox.http.get(url).text
