"""Every body that the sandbox answers in any scenario is one that Stripe could answer, by Stripe's own document."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from infra.sandbox.routes import ROUTES, Router
from infra.stripe.names import API_VERSION
from tests.judges.document import broken

if TYPE_CHECKING:
    from tests.judges.document import StripeDocument

KINDS = {
    "charge",
    "checkout.session",
    "customer",
    "dispute",
    "payment_intent",
    "payment_method",
    "refund",
    "setup_intent",
}


def test_every_answer(document: StripeDocument, answers: list[dict[str, Any]]) -> None:
    faults: Counter[str] = Counter()
    judged = 0
    for answer in answers:
        if answer.get("webhook") or not answer["body"]:
            continue
        judged += 1
        for problem in document.problems(
            answer["method"], answer["path"], answer["status"], json.loads(answer["body"])
        ):
            faults[f"{answer['method']} {answer['path'][:40]} → {answer['status']} {problem}"] += 1
    assert judged > 500
    assert not faults, "\n".join(f"{count} × {fault}" for fault, count in faults.most_common(40))


def test_every_event_and_the_object_in_it(document: StripeDocument, answers: list[dict[str, Any]]) -> None:
    events = [json.loads(answer["body"]) for answer in answers if answer.get("webhook")]
    for answer in answers:
        if not answer.get("webhook") and answer["path"] == "/v1/events" and answer["status"] == 200:
            events += json.loads(answer["body"])["data"]
    faults: Counter[str] = Counter()
    for event in events:
        for problem in document.problems_of_event(event):
            faults[f"{event['type']} {problem}"] += 1
    assert not faults, "\n".join(f"{count} × {fault}" for fault, count in faults.most_common(40))
    assert {event["data"]["object"]["object"] for event in events} == KINDS


def test_every_call_that_the_sandbox_offers_was_judged(answers: list[dict[str, Any]]) -> None:
    router = Router(ROUTES)
    seen = set()
    for answer in answers:
        if not answer.get("webhook") and answer["status"] == 200:
            found = router.find(answer["method"], answer["path"])
            assert found is not None
            seen.add((answer["method"], found[2]))
    never = {(method, pattern) for method, pattern, _ in ROUTES} - seen
    assert never == {("POST", "/v1/refunds/{refund}/cancel")}, (
        "a card's refund cannot be cancelled: it answers 400 only"
    )


def test_the_judge_finds_faults(document: StripeDocument, answers: list[dict[str, Any]]) -> None:
    """One thing wrong in a good body, and the judge says no."""
    judged: dict[str, dict[str, Any]] = {}
    for answer in answers:
        if not answer.get("webhook") and answer["body"]:
            body = json.loads(answer["body"])
            if body.get("object") in KINDS and not body.get("deleted"):
                judged.setdefault(body["object"], body)
    assert judged.keys() == KINDS
    for kind, body in judged.items():
        assert document.problems_of(kind, body) == []
        for fault, wrong in broken(body):
            assert document.problems_of(kind, wrong), f"{kind}: {fault} was accepted"
    session = judged["checkout.session"]
    for path, value in (("status", "paid"), ("amount_total", "9.99"), ("metadata", {"a": 1}), ("custom_fields", {})):
        assert document.problems_of("checkout.session", {**session, path: value})
    assert document.problems("GET", "/v1/charges/ch_1", 200, judged["refund"])
    assert document.problems("GET", "/v1/charges/ch_1", 404, {"error": {"type": "nonsense"}})


def test_the_adapter_and_the_sandbox_speak_the_judges_version(document: StripeDocument) -> None:
    assert document.version == API_VERSION
