"""The sandbox's API as the official SDK sees it: intents, cards, refunds, disputes, lists, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import stripe

from tests.contracts.sandbox_kit import client_of, session_params, wait_for

if TYPE_CHECKING:
    from tests.contracts.sandbox_kit import SandboxUnderTest


def saved(sandbox: SandboxUnderTest, token: str = "pm_card_visa") -> tuple[str, str]:
    """A customer with a card, by a setup intent; 3-D Secure is passed where it is wanted."""
    customer = sandbox.client.v1.customers.create({"email": "alice@example.com", "metadata": {"account": "alice"}})
    intent = sandbox.client.v1.setup_intents.create(
        {
            "customer": customer.id,
            "payment_method": token,
            "confirm": True,
            "usage": "off_session",
            "return_url": "https://shop.example/back",
        }
    )
    if intent.status == "requires_action":
        assert intent.next_action is not None
        assert intent.next_action.redirect_to_url is not None
        challenge = intent.next_action.redirect_to_url.url
        assert challenge is not None
        back = sandbox.act(challenge, "authenticate").headers["location"]
        assert back == f"https://shop.example/back?setup_intent={intent.id}&redirect_status=succeeded"
        intent = sandbox.client.v1.setup_intents.retrieve(intent.id)
    assert intent.status == "succeeded"
    assert isinstance(intent.payment_method, str)
    return customer.id, intent.payment_method


def charged(sandbox: SandboxUnderTest, customer: str, method: str, **changes: Any) -> stripe.PaymentIntent:
    """Charges a saved card without the customer."""
    params: Any = {
        "amount": 1000,
        "currency": "usd",
        "customer": customer,
        "payment_method": method,
        "off_session": True,
        "confirm": True,
        "metadata": {"payment_id": "payment-1"},
        **changes,
    }
    return sandbox.client.v1.payment_intents.create(params)


@pytest.mark.parametrize(
    ("token", "code", "decline_code", "advice"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline", "try_again_later"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds", "try_again_later"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card", "do_not_try_again"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card", "confirm_card_data"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error", "try_again_later"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline", "try_again_later"),
    ],
)
def test_a_declined_charge_says_why(
    sandbox: SandboxUnderTest, token: str, code: str, decline_code: str, advice: str
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        sandbox.client.v1.payment_intents.create(
            {"amount": 1000, "currency": "usd", "payment_method": token, "confirm": True}
        )
    error = caught.value.error
    assert error is not None
    assert (error.code, error.decline_code, error.to_dict().get("advice_code")) == (code, decline_code, advice)
    intent = error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    assert intent.latest_charge == error.charge
    assert sandbox.client.v1.charges.retrieve(str(error.charge)).status == "failed"
    assert sandbox.charges() == []


def test_cards_that_decline_cannot_be_saved(sandbox: SandboxUnderTest) -> None:
    customer = sandbox.client.v1.customers.create()
    with pytest.raises(stripe.CardError):
        sandbox.client.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer.id})
    with pytest.raises(stripe.CardError):
        saved(sandbox, "pm_card_visa_chargeDeclinedLostCard")
    sandbox.client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": customer.id})
    methods = sandbox.client.v1.customers.payment_methods.list(customer.id)
    assert [method.card.last4 for method in methods.data if method.card] == ["0341"]
    assert len(sandbox.client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data) == 1


def test_a_saved_card_that_wants_authentication_is_not_charged_blindly(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox, "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as caught:
        charged(sandbox, customer, method)
    error = caught.value.error
    assert error is not None
    assert error.code == "authentication_required"
    assert error.payment_intent is not None

    asked = sandbox.client.v1.payment_intents.confirm(
        error.payment_intent.id, {"payment_method": method, "return_url": "https://shop.example/back"}
    )
    assert asked.status == "requires_action"
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    sandbox.act(str(asked.next_action.redirect_to_url.url), "authenticate")

    assert sandbox.client.v1.payment_intents.retrieve(asked.id).status == "succeeded"
    assert len(sandbox.charges()) == 1


def test_a_card_that_was_set_up_is_charged_without_asking(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox, "pm_card_authenticationRequiredOnSetup")
    assert charged(sandbox, customer, method).status == "succeeded"


def test_a_saved_card_can_go_bad_and_good_again(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox)
    sandbox.control("POST", f"payment_methods/{method}", {"decline": "insufficient_funds"})
    with pytest.raises(stripe.CardError, match="insufficient funds"):
        charged(sandbox, customer, method)
    sandbox.control("POST", f"payment_methods/{method}", {"decline": None})
    assert charged(sandbox, customer, method).status == "succeeded"


def test_another_customers_card_is_refused(sandbox: SandboxUnderTest) -> None:
    _, method = saved(sandbox)
    other, _ = saved(sandbox)
    with pytest.raises(stripe.InvalidRequestError, match="another Customer"):
        charged(sandbox, other, method)
    sandbox.client.v1.payment_methods.detach(method)
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        sandbox.client.v1.payment_methods.attach(method, {"customer": other})


def test_created_confirmed_cancelled(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox)
    intent = sandbox.client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "customer": customer})
    assert intent.status == "requires_payment_method"
    intent = sandbox.client.v1.payment_intents.update(intent.id, {"payment_method": method, "metadata": {"order": "7"}})
    assert (intent.status, intent.metadata["order"]) == ("requires_confirmation", "7")
    assert sandbox.client.v1.payment_intents.confirm(intent.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="status of succeeded"):
        sandbox.client.v1.payment_intents.cancel(intent.id)

    other = sandbox.client.v1.payment_intents.create({"amount": 1000, "currency": "usd"})
    cancelled = sandbox.client.v1.payment_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert (cancelled.status, cancelled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        sandbox.client.v1.payment_intents.confirm(other.id, {"payment_method": "pm_card_visa"})


def test_authorised_then_captured_or_released(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox)
    held = charged(sandbox, customer, method, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1000, 0)
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1001})
    captured = sandbox.client.v1.payment_intents.capture(held.id, {"amount_to_capture": 600})
    assert (captured.status, captured.amount_received) == ("succeeded", 600)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        sandbox.client.v1.refunds.create({"payment_intent": held.id, "amount": 601})
    released = charged(sandbox, customer, method, capture_method="manual")
    assert sandbox.client.v1.payment_intents.cancel(released.id).status == "canceled"


def test_never_more_is_refunded_than_was_paid(sandbox: SandboxUnderTest) -> None:
    intent = charged(sandbox, *saved(sandbox))
    first = sandbox.client.v1.refunds.create({"payment_intent": intent.id, "amount": 600, "metadata": {"refund": "1"}})
    assert (first.status, first.amount) == ("succeeded", 600)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        sandbox.client.v1.refunds.create({"payment_intent": intent.id, "amount": 600})
    rest = sandbox.client.v1.refunds.create({"charge": str(intent.latest_charge), "reason": "requested_by_customer"})
    assert rest.amount == 400
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded") as caught:
        sandbox.client.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"
    charge = sandbox.client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["balance_transaction"]})
    assert (charge.refunded, charge.amount_refunded) == (True, 1000)
    assert sum(entry["amount"] for entry in sandbox.books() if entry["object"] == "refund") == 1000
    refunds = sandbox.client.v1.refunds.list({"payment_intent": intent.id})
    assert [refund.id for refund in refunds.data] == [rest.id, first.id]


def test_a_refund_can_take_time_or_fail(sandbox: SandboxUnderTest) -> None:
    slow = sandbox.client.v1.refunds.create(
        {"payment_intent": charged(sandbox, *saved(sandbox, "pm_card_pendingRefund")).id}
    )
    failing_charge = charged(sandbox, *saved(sandbox, "pm_card_refundFail"))
    failing = sandbox.client.v1.refunds.create({"payment_intent": failing_charge.id})
    assert (slow.status, failing.status) == ("pending", "succeeded")

    sandbox.clock.advance(seconds=30)

    def status(refund: stripe.Refund) -> str | None:
        return sandbox.client.v1.refunds.retrieve(refund.id).status

    wait_for(lambda: status(slow) == "succeeded" and status(failing) == "failed", what="the refunds settle")
    assert sandbox.client.v1.charges.retrieve(str(failing_charge.latest_charge)).amount_refunded == 0


def test_disputes_are_opened_won_and_lost(sandbox: SandboxUnderTest) -> None:
    by_card = charged(sandbox, *saved(sandbox, "pm_card_createDispute"))
    by_control = charged(sandbox, *saved(sandbox))
    sandbox.control("POST", "disputes", {"payment_intent": by_control.id, "reason": "product_not_received"})
    (first,) = sandbox.client.v1.disputes.list({"payment_intent": by_card.id}).data
    (second,) = sandbox.client.v1.disputes.list({"payment_intent": by_control.id}).data
    assert (first.status, first.reason, second.reason) == ("needs_response", "fraudulent", "product_not_received")
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        sandbox.client.v1.refunds.create({"payment_intent": by_card.id})

    won = sandbox.client.v1.disputes.update(first.id, {"evidence": {"uncategorized_text": "winning_evidence"}})
    assert won.status == "won"
    assert len(won.balance_transactions) == 2
    assert sandbox.control("POST", f"disputes/{second.id}", {"outcome": "lost"})["status"] == "lost"
    with pytest.raises(stripe.InvalidRequestError, match="already closed"):
        sandbox.client.v1.disputes.close(second.id)
    inquiry = charged(sandbox, *saved(sandbox, "pm_card_createDisputeInquiry"))
    (asked,) = sandbox.client.v1.disputes.list({"payment_intent": inquiry.id}).data
    assert (asked.status, asked.is_charge_refundable) == ("warning_needs_response", True)


def test_lists_have_pages_and_search_finds_metadata(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox)
    made = [charged(sandbox, customer, method, metadata={"payment_id": f"p-{number}"}).id for number in range(5)]
    listed = sandbox.client.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert listed.has_more
    assert [intent.id for intent in listed.auto_paging_iter()] == made[::-1]
    back = sandbox.client.v1.payment_intents.list({"ending_before": made[1], "limit": 2})
    assert [intent.id for intent in back.data] == [made[3], made[2]]
    found = sandbox.client.v1.payment_intents.search({"query": "metadata['payment_id']:'p-3' AND status:'succeeded'"})
    assert [intent.id for intent in found.data] == [made[3]]
    everything = sandbox.client.v1.payment_intents.search({"query": "status:'succeeded'", "limit": 2})
    assert [intent.id for intent in everything.auto_paging_iter()] == made[::-1]
    balance = sandbox.client.v1.balance_transactions.list({"limit": 100})
    assert sum(item.amount for item in balance.data) == 5000
    assert sandbox.client.v1.balance_transactions.retrieve(balance.data[0].id).type == "charge"
    with pytest.raises(stripe.InvalidRequestError, match="parse your search"):
        sandbox.client.v1.payment_intents.search({"query": "metadata[payment_id]=1"})


def test_customers_are_updated_listed_and_deleted(sandbox: SandboxUnderTest) -> None:
    customer, method = saved(sandbox)
    updated = sandbox.client.v1.customers.update(
        customer,
        {"metadata": {"account": "", "tier": "gold"}, "invoice_settings": {"default_payment_method": method}},
    )
    assert updated.metadata is not None
    assert updated.metadata.to_dict() == {"tier": "gold"}
    assert [item.id for item in sandbox.client.v1.customers.list().data] == [customer]
    sandbox.client.v1.payment_methods.update(method, {"metadata": {"label": "mine"}})
    assert sandbox.client.v1.customers.delete(customer).deleted
    assert sandbox.client.v1.customers.retrieve(customer).deleted
    assert sandbox.client.v1.payment_methods.retrieve(method).customer is None
    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        sandbox.client.v1.payment_intents.create({"amount": 1000, "currency": "usd", "customer": customer})


def test_a_card_number_makes_a_card_and_is_not_kept(sandbox: SandboxUnderTest) -> None:
    number = "5555555555554444"
    method = sandbox.client.v1.payment_methods.create(
        {"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"}}
    )
    assert method.card is not None
    assert (method.card.brand, method.card.last4) == ("mastercard", "4444")
    session = sandbox.client.v1.checkout.sessions.create(session_params())
    sandbox.pay(str(session.url), number)
    sandbox.stop()
    files = list(sandbox.settings.data_dir.glob("sandbox.db*"))
    assert files
    assert not any(number.encode() in file.read_bytes() for file in files)


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"amount": 1000}, "currency"),
        ({"currency": "usd"}, "amount"),
        ({"amount": 1000, "currency": "USD"}, "currency"),
        ({"amount": "9.99", "currency": "usd"}, "amount"),
        ({"amount": 0, "currency": "usd"}, "amount"),
        ({"amount": 49, "currency": "usd"}, "amount"),
        ({"amount": 10**13, "currency": "usd"}, "amount"),
        ({"amount": 1001, "currency": "kwd"}, "amount"),
        ({"amount": 1050, "currency": "isk"}, "amount"),
        ({"amount": 1000, "currency": "usd", "colour": "red"}, "colour"),
        ({"amount": 1000, "currency": "usd", "metadata": {"k" * 41: "v"}}, "metadata"),
        ({"amount": 1000, "currency": "usd", "metadata": {"k": "v" * 501}}, "metadata"),
        ({"amount": 1000, "currency": "usd", "off_session": True}, "off_session"),
        ({"amount": 1000, "currency": "usd", "customer": "cus_nobody"}, "customer"),
        ({"amount": 1000, "currency": "usd", "expand": ["colour"]}, "expand"),
    ],
)
def test_wrong_parameters_are_named(sandbox: SandboxUnderTest, params: Any, param: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sandbox.client.v1.payment_intents.create(params)
    assert caught.value.param == param
    assert sandbox.client.v1.payment_intents.list().data == []


def test_keys_paths_and_bodies_that_are_wrong(sandbox: SandboxUnderTest) -> None:
    with pytest.raises(stripe.AuthenticationError):
        client_of(sandbox.settings.base_url, "sk_test_other").v1.customers.list()
    assert sandbox.http.get("/v1/customers").status_code == 401
    assert sandbox.http.get("/v1/customers", auth=(sandbox.settings.secret_key, "")).status_code == 200
    with pytest.raises(stripe.InvalidRequestError, match="No such charge") as caught:
        sandbox.client.v1.charges.retrieve("ch_nobody")
    assert caught.value.http_status == 404
    key = {"Authorization": f"Bearer {sandbox.settings.secret_key}"}
    assert sandbox.http.get("/v1/nothing", headers=key).status_code == 404
    assert sandbox.http.post("/v1/customers", headers=key, content=b"x" * 600_000).status_code == 413
    assert sandbox.http.post("/v1/customers", headers=key, content=b"\xff=\xfe").status_code == 400
    assert sandbox.http.post("/v1/customers", headers=key, content=b"a[b=1").status_code == 400
    deep = b"metadata" + b"[a]" * 50 + b"=1"
    assert sandbox.http.post("/v1/customers", headers=key, content=deep).status_code == 400
    many = b"&".join(b"a%d=1" % number for number in range(2000))
    assert sandbox.http.post("/v1/customers", headers=key, content=many).status_code == 400
    assert sandbox.http.get("/nothing").status_code == 404


def test_controls_are_for_this_machine_and_take_json_only(sandbox: SandboxUnderTest) -> None:
    form = sandbox.http.post("/_sandbox/faults", data={"kind": "reset"})
    assert form.status_code == 400
    assert sandbox.http.post("/_sandbox/faults", json={"kind": "nonsense"}).status_code == 400
    assert sandbox.http.post("/_sandbox/faults", json={"kind": "refuse", "count": 0}).status_code == 400
    assert sandbox.http.get("/_sandbox/books?limit=100000").status_code == 400
    assert sandbox.http.get("/_sandbox/nothing").status_code == 404
    assert sandbox.control("GET", "health")["status"] == "ok"


def test_setup_intents_are_confirmed_failed_and_cancelled(sandbox: SandboxUnderTest) -> None:
    intents = sandbox.client.v1.setup_intents
    customer = sandbox.client.v1.customers.create()
    intent = intents.create({"customer": customer.id})
    assert intent.status == "requires_payment_method"
    with pytest.raises(stripe.CardError):
        intents.confirm(intent.id, {"payment_method": "pm_card_visa_chargeDeclined"})
    asked = intents.confirm(
        intent.id, {"payment_method": "pm_card_authenticationRequired", "return_url": "https://shop.example/back"}
    )
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    sandbox.act(str(asked.next_action.redirect_to_url.url), "fail")
    failed = intents.retrieve(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_setup_error is not None
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    done = intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert done.status == "succeeded"
    assert sandbox.client.v1.customers.payment_methods.retrieve(customer.id, str(done.payment_method)).type == "card"
    other = intents.create({"customer": customer.id})
    assert intents.cancel(other.id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        intents.cancel(other.id)
    assert [found.id for found in intents.list({"customer": customer.id}).data] == [other.id, intent.id]


def test_metadata_can_be_changed_later(sandbox: SandboxUnderTest) -> None:
    change: Any = {"metadata": {"note": "seen"}}
    intent = charged(sandbox, *saved(sandbox))
    charge = sandbox.client.v1.charges.update(str(intent.latest_charge), change)
    refund = sandbox.client.v1.refunds.create({"payment_intent": intent.id, "amount": 1})
    refund = sandbox.client.v1.refunds.update(refund.id, change)
    disputed = charged(sandbox, *saved(sandbox, "pm_card_createDispute"))
    dispute = sandbox.client.v1.disputes.list({"payment_intent": disputed.id}).data[0]
    dispute = sandbox.client.v1.disputes.update(dispute.id, change)
    session = sandbox.client.v1.checkout.sessions.create(session_params())
    session = sandbox.client.v1.checkout.sessions.update(session.id, change)
    for body in (charge, refund, dispute, session):
        assert body.metadata is not None
        assert body.metadata["note"] == "seen"
    assert sandbox.client.v1.disputes.close(dispute.id).status == "lost"
    assert sandbox.client.v1.disputes.retrieve(dispute.id).status == "lost"
    assert sandbox.client.v1.checkout.sessions.line_items.list(session.id).data[0].description == "A film"
    assert [found.id for found in sandbox.client.v1.charges.list({"payment_intent": intent.id}).data] == [charge.id]
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        sandbox.client.v1.refunds.cancel(refund.id)
