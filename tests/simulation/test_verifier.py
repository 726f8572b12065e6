"""The judge is judged: a good history has no fault, and whatever is changed in what it left is found by its check."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulation.evidence import Entry, Evidence
from tests.simulation.settings import Settings
from tests.simulation.verifier import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.pool import Pool

QUIET = Settings(customers=6, deeds=16, accident_s=0.0, bad_day_s=0.0, weeks=0.0)


@pytest.fixture(scope="session")
def good(pool: Pool) -> Evidence:
    """What a history left in which every kind of thing happened."""
    for seed in range(60):
        evidence = pool.evidence(seed, QUIET)
        kinds = {entry.kind for entry in evidence.events}
        needed = (
            "subscription.renewed",
            "refund.reversed",
            "refund.succeeded",
            "dispute.opened",
            "promo_code.settled",
            "order.expired",
        )
        if all(f"billing.{kind}" in kinds for kind in needed):
            return evidence
    raise AssertionError("no history has all that the tests need")


def events(evidence: Evidence) -> list[Entry]:
    assert isinstance(evidence.events, list)
    return evidence.events


def change(evidence: Evidence, kind: str, tamper: Callable[[dict[str, Any]], None]) -> None:
    """Change the body of the first event of a kind."""
    index = next(number for number, entry in enumerate(events(evidence)) if entry.kind == f"billing.{kind}")
    entry = events(evidence)[index]
    body = deepcopy(entry.body)
    tamper(body)
    events(evidence)[index] = entry._replace(body=body)


def remove(evidence: Evidence, kind: str) -> None:
    """Take the first event of a kind out."""
    held = events(evidence)
    held.remove(next(entry for entry in held if entry.kind == f"billing.{kind}"))


def remove_all(evidence: Evidence, kind: str) -> None:
    """Lose every event of a kind."""
    held = events(evidence)
    held[:] = [entry for entry in held if entry.kind != f"billing.{kind}"]


def double(evidence: Evidence, kind: str) -> None:
    """Tell the first event of a kind twice."""
    held = events(evidence)
    index = next(number for number, entry in enumerate(held) if entry.kind == f"billing.{kind}")
    held.insert(index, held[index])


def lose_charge(evidence: Evidence) -> None:
    evidence.charges.pop()


def charge_twice(evidence: Evidence) -> None:
    evidence.charges.append(replace(evidence.charges[0], reference="another"))


def return_too_much(evidence: Evidence) -> None:
    charge = evidence.charges[0]
    evidence.charges[0] = replace(charge, returned=charge.amount + 1)


def lose_refund(evidence: Evidence) -> None:
    evidence.refunds.remove(next(refund for refund in evidence.refunds if refund.status == "succeeded"))


def lose_bounced_refund(evidence: Evidence) -> None:
    bounced = {entry.body["refund_id"] for entry in events(evidence) if entry.kind == "billing.refund.reversed"}
    evidence.refunds.remove(next(refund for refund in evidence.refunds if refund.refund_id in bounced))


def lose_dispute(evidence: Evidence) -> None:
    evidence.disputes.pop()


def decide_otherwise(evidence: Evidence) -> None:
    evidence.disputes[0] = replace(evidence.disputes[0], status="under_review")


def lose_command(evidence: Evidence) -> None:
    evidence.accepted.append("a command that is nowhere")


def bury(evidence: Evidence) -> None:
    evidence.dead_letters += 1


def believe_otherwise(evidence: Evidence) -> None:
    key = next(iter(evidence.believed))
    evidence.believed[key] = replace(evidence.believed[key], sequence=10_000)


def show_otherwise(evidence: Evidence) -> None:
    next(iter(evidence.tables.rows["payments"].values()))["refunded"] += 1


def show_no_dispute(evidence: Evidence) -> None:
    key = next(iter(evidence.tables.rows["disputes"]))
    for tables in (evidence.tables, evidence.tables_anew):
        del tables.rows["disputes"][key]


def book_otherwise(evidence: Evidence) -> None:
    evidence.cash["customer-0"] -= 1


def publish_otherwise(evidence: Evidence) -> None:
    evidence.published["customer-0"] = {"film:nothing": None}


def be_late(evidence: Evidence) -> None:
    """An order that nobody ended."""
    remove(evidence, "order.expired")


def answer_nothing(evidence: Evidence) -> None:
    evidence.commands = [entry for entry in evidence.commands if entry.kind != "billing.payment.answer_call"]


def fail_to_decide(evidence: Evidence) -> None:
    change(evidence, "command.rejected", lambda body: body.update(code="decision_failed"))


def free_access(evidence: Evidence) -> None:
    remove(evidence, "order.paid")


def another_price(evidence: Evidence) -> None:
    change(evidence, "payment.created", lambda body: body["amount"].update(amount=body["amount"]["amount"] + 1))


def longer_access(evidence: Evidence) -> None:
    change(evidence, "subscription.started", lambda body: body.update(period_end="2030-01-01T00:00:00Z"))


def no_limit(evidence: Evidence) -> None:
    for entry in events(evidence):
        if entry.kind == "billing.promo_code.defined":
            entry.body["promo"]["uses_max"] = 0


def use_without_money(evidence: Evidence) -> None:
    change(evidence, "promo_code.settled", lambda body: body.update(order_id="nobody's"))


TAMPERED: list[tuple[Callable[[Evidence], None], str]] = [
    (lose_command, "every command has exactly one outcome"),
    (bury, "every command has exactly one outcome"),
    (lambda evidence: remove(evidence, "command.accepted"), "every command has exactly one outcome"),
    (lambda evidence: double(evidence, "command.accepted"), "every command has exactly one outcome"),
    (lambda evidence: remove(evidence, "command.accepted"), "the events of a command end with its outcome"),
    (lambda evidence: remove(evidence, "order.fulfilled"), "every sequence is 1, 2, 3, … and every chain"),
    (fail_to_decide, "no decision failed"),
    (another_price, "every event may follow those before it"),
    (free_access, "every event may follow those before it"),
    (longer_access, "every event may follow those before it"),
    (no_limit, "every event may follow those before it"),
    (lambda evidence: double(evidence, "payment.succeeded"), "every event may follow those before it"),
    (lambda evidence: double(evidence, "subscription.renewed"), "every event may follow those before it"),
    (lambda evidence: double(evidence, "refund.requested"), "every event may follow those before it"),
    (lose_charge, "charges and payments are the same"),
    (charge_twice, "charges and payments are the same"),
    (lambda evidence: remove(evidence, "payment.succeeded"), "charges and payments are the same"),
    (lambda evidence: remove_all(evidence, "order.paid"), "money bought something, or goes back"),
    (lambda evidence: remove_all(evidence, "entitlement.granted"), "money bought something, or goes back"),
    (book_otherwise, "our books have the money that the provider has"),
    (lose_charge, "our books have the money that the provider has"),
    (lose_refund, "refunds in books and log are the same"),
    (lose_bounced_refund, "refunds in books and log are the same"),
    (return_too_much, "refunds in books and log are the same"),
    (lambda evidence: remove(evidence, "refund.reversed"), "refunds in books and log are the same"),
    (lose_dispute, "disputes in books and log are the same"),
    (decide_otherwise, "disputes in books and log are the same"),
    (lambda evidence: double(evidence, "dispute.opened"), "every event may follow those before it"),
    (show_no_dispute, "the read models are the fold of the log"),
    (lambda evidence: remove_all(evidence, "entitlement.ended"), "nobody has access without money"),
    (be_late, "nothing is left behind"),
    (answer_nothing, "nothing is left behind"),
    (use_without_money, "uses of promo codes belong to orders"),
    (believe_otherwise, "the state of the engines is the fold of the log"),
    (show_otherwise, "the read models are the fold of the log"),
    (publish_otherwise, "the newest public record of access is the fold"),
]


def test_a_good_history_has_no_fault(good: Evidence) -> None:
    findings = verify(good)
    assert not [fault for finding in findings for fault in finding.faults]
    assert all(finding.checked for finding in findings), "a check looked at nothing"


@pytest.mark.parametrize(("tamper", "check"), TAMPERED, ids=[str(number) for number in range(len(TAMPERED))])
def test_what_was_changed_is_found(good: Evidence, tamper: Callable[[Evidence], None], check: str) -> None:
    evidence = deepcopy(good)
    tamper(evidence)
    faulty = [finding.name for finding in verify(evidence) if finding.faults]
    assert any(name.startswith(check) for name in faulty), faulty


def test_every_check_can_fail() -> None:
    """A check without a line above is a check of which nobody knows what it is worth."""
    names = {finding.name for finding in verify(Evidence(now=None))}  # type: ignore[arg-type]  # nothing is looked at
    assert {name for name in names if not any(name.startswith(check) for _, check in TAMPERED)} == set()
