"""Idempotency keys, and the provider's bad days: what was done once is never done twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stripe

from tests.contracts.sandbox_kit import served, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contracts.sandbox_kit import SandboxUnderTest

CHARGE: Any = {"amount": 1000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}


def pay_with(sandbox: SandboxUnderTest, key: str, **changes: Any) -> stripe.PaymentIntent:
    params: Any = {**CHARGE, **changes}
    return sandbox.client.v1.payment_intents.create(params, {"idempotency_key": key})


def replayed(answer: Any) -> bool:
    return bool(answer.last_response.headers.get("Idempotent-Replayed") == "true")


def test_the_first_answer_is_given_again(sandbox: SandboxUnderTest) -> None:
    first = pay_with(sandbox, "key-1", metadata={"a": "1", "b": "2"})
    second = pay_with(sandbox, "key-1", metadata={"b": "2", "a": "1"})
    assert first.id == second.id
    assert (replayed(first), replayed(second)) == (False, True)
    assert first.last_response is not None
    assert second.last_response is not None
    assert first.last_response.body == second.last_response.body
    assert second.last_response.headers["Original-Request"] == first.last_response.request_id
    assert len(sandbox.charges()) == 1


def test_other_parameters_or_another_path_are_an_error(sandbox: SandboxUnderTest) -> None:
    pay_with(sandbox, "key-1")
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        pay_with(sandbox, "key-1", amount=2000)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        sandbox.client.v1.customers.create({}, {"idempotency_key": "key-1"})
    with pytest.raises(stripe.InvalidRequestError, match="255"):
        pay_with(sandbox, "k" * 256)
    assert len(sandbox.charges()) == 1


def test_a_decline_is_remembered_and_wrong_parameters_are_not(sandbox: SandboxUnderTest) -> None:
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            pay_with(sandbox, "key-1", payment_method="pm_card_visa_chargeDeclined")
    assert caught.value.headers is not None
    assert caught.value.headers["idempotent-replayed"] == "true"
    assert len([entry for entry in sandbox.books() if entry["object"] == "charge"]) == 1
    with pytest.raises(stripe.InvalidRequestError):
        pay_with(sandbox, "key-2", currency="nonsense")
    assert pay_with(sandbox, "key-2").status == "succeeded"


def test_a_key_lives_for_a_day_of_the_sandboxs_clock(sandbox: SandboxUnderTest) -> None:
    first = pay_with(sandbox, "key-1")
    sandbox.clock.advance(hours=23, minutes=59)
    assert pay_with(sandbox, "key-1").id == first.id
    sandbox.clock.advance(minutes=2)
    assert pay_with(sandbox, "key-1").id != first.id
    assert len(sandbox.charges()) == 2


def test_the_same_key_at_the_same_time_is_a_conflict(sandbox: SandboxUnderTest) -> None:
    sandbox.fault("latency", delay_ms=1500, count=1, path="/v1/payment_intents")
    results: list[Any] = []
    slow = threading.Thread(target=lambda: results.append(pay_with(sandbox, "key-1")))
    slow.start()
    wait_for(lambda: not sandbox.control("GET", "faults")["faults"], what="the slow request is under way")
    with pytest.raises(stripe.APIError) as caught:
        pay_with(sandbox, "key-1")
    assert caught.value.http_status == 409
    assert caught.value.error is not None
    assert caught.value.error.code == "idempotency_key_in_use"
    slow.join()
    assert pay_with(sandbox, "key-1").id == results[0].id
    assert len(sandbox.charges()) == 1


def test_twenty_at_once_charge_once(sandbox: SandboxUnderTest) -> None:
    answers: list[str] = []

    def attempt() -> None:
        while True:
            try:
                intent = pay_with(sandbox, "key-1")
            except stripe.APIError as error:
                if error.http_status != 409:
                    raise
                continue
            answers.append(intent.id)
            return

    threads = [threading.Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert len(set(answers)) == 1
    assert len(sandbox.charges()) == 1


def test_refunds_at_once_never_exceed_the_charge(sandbox: SandboxUnderTest) -> None:
    intent = pay_with(sandbox, "key-1")
    outcomes: list[str] = []

    def refund() -> None:
        try:
            sandbox.client.v1.refunds.create({"payment_intent": intent.id, "amount": 600})
            outcomes.append("refunded")
        except stripe.InvalidRequestError:
            outcomes.append("refused")

    threads = [threading.Thread(target=refund) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refunded", *["refused"] * 5]


def test_an_error_before_the_work_is_not_remembered(sandbox: SandboxUnderTest) -> None:
    sandbox.fault("refuse", count=1)
    with pytest.raises(stripe.APIError) as caught:
        pay_with(sandbox, "key-1")
    assert caught.value.http_status == 503
    sandbox.fault("refuse", status=429, count=1)
    with pytest.raises(stripe.RateLimitError):
        pay_with(sandbox, "key-1")
    assert pay_with(sandbox, "key-1").status == "succeeded"


@pytest.mark.parametrize(("kind", "charges"), [("error", 0), ("error_after", 1)])
def test_an_error_of_the_work_is_remembered(sandbox: SandboxUnderTest, kind: str, charges: int) -> None:
    sandbox.fault(kind, count=1)
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            pay_with(sandbox, "key-1")
        assert caught.value.http_status == 500
    assert caught.value.headers is not None
    assert caught.value.headers["idempotent-replayed"] == "true"
    assert len(sandbox.charges()) == charges


@pytest.mark.parametrize(("kind", "charges"), [("timeout", 1), ("timeout_before", 0), ("reset_after", 1), ("reset", 0)])
def test_silence_and_resets_leave_the_truth_to_the_key(sandbox: SandboxUnderTest, kind: str, charges: int) -> None:
    sandbox.fault(kind, count=1)
    with pytest.raises(httpx.TransportError) as caught:
        sandbox.http.post(
            "/v1/payment_intents",
            data={"amount": "1000", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"},
            headers={"Authorization": f"Bearer {sandbox.settings.secret_key}", "Idempotency-Key": "key-1"},
            timeout=2.0,
        )
    assert isinstance(caught.value, httpx.ReadTimeout if kind.startswith("timeout") else httpx.ReadError)
    assert len(sandbox.charges()) == charges
    assert replayed(pay_with(sandbox, "key-1")) == (charges == 1)
    assert len(sandbox.charges()) == 1


def test_faults_hit_by_chance_that_a_seed_repeats(sandbox: SandboxUnderTest) -> None:
    def outcomes() -> list[bool]:
        sandbox.control("DELETE", "faults")
        sandbox.fault("refuse", probability_ppm=500_000, seed=7, method="GET")
        key = {"Authorization": f"Bearer {sandbox.settings.secret_key}"}
        return [sandbox.http.get("/v1/customers", headers=key).is_success for _ in range(40)]

    first = outcomes()
    assert 5 < sum(first) < 35
    sandbox.control("DELETE", "faults")
    assert outcomes() == first


def test_switches_survive_a_restart(tmp_path: Path) -> None:
    with served(tmp_path) as sandbox:
        sandbox.fault("refuse", count=2, path="/v1/payment_intents")
        with pytest.raises(stripe.APIError):
            pay_with(sandbox, "key-1")
    with served(tmp_path) as sandbox:
        assert [fault["count"] for fault in sandbox.control("GET", "faults")["faults"]] == [1]
        with pytest.raises(stripe.APIError):
            pay_with(sandbox, "key-1")
        assert pay_with(sandbox, "key-1").status == "succeeded"
