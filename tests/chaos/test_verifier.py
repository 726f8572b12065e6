"""The judge judged: a sound log passes, and each way of tampering is found by the check that is meant for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.ids import PriceId
from domain.orders.commands import OrderItem, PlaceOrder
from tests.chaos.evidence import Access, Charge, Evidence, ReadModels, Record, Refund, Sent
from tests.chaos.fold import fold_of
from tests.chaos.verifier import Finding, is_good, verify
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER_FILM = PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe")


def sound() -> Evidence:
    """Two customers who buy, one who never comes back, one who gets the money back, and one poison record."""
    log = SampleLog()
    sent = []
    for account in ("alice", "bob"):
        log.buy(account)
        log.buy(account, "premium:month")
    abandoned = log.do("carol", ORDER_FILM, name="carol's order")
    sent.append(Sent(account="carol", idempotency_key="k1", answer="accepted", command_id=abandoned))
    sent.append(Sent(account="carol", idempotency_key="k1", answer="accepted", command_id=abandoned))
    sent.append(Sent(account="carol", idempotency_key="k2", answer="unknown"))
    carols = str(next(iter(log.accounts["carol"].orders)))
    log.open_page("carol", carols)
    log.refund("dave", log.buy("dave"))
    records = [
        Record(
            partition=record.partition,
            offset=record.offset,
            key=(record.key or b"").decode(),
            value=record.value or b"",
            headers={name: value.decode() for name, value in record.headers},
        )
        for record in log.records
    ]
    charges = [
        Charge(id=f"ch_{number}", reference=c["reference"], amount=c["amount"], currency=c["currency"])
        for number, c in enumerate(log.charges)
    ]
    refunds = [
        Refund(id=refund["reference"], amount=refund["amount"], currency=refund["currency"]) for refund in log.refunds
    ]
    fold = fold_of(records)
    shown = {account: fold.access(account) for account in fold.entitlements}
    return Evidence(
        sent=sent,
        log=records,
        charges=charges,
        refunds=refunds,
        read_models=ReadModels(
            orders=dict(fold.orders),
            payments=dict(fold.payments),
            subscriptions=dict(fold.subscriptions),
            entitlements={account: set(access) for account, access in shown.items()},
        ),
        published={account: set(access) for account, access in shown.items()},
        poison={"poison 1"},
        dead_letters=["poison 1"],
        abandoned_orders={carols},
    )


def index_of(evidence: Evidence, wire_type: str) -> int:
    return next(i for i, record in enumerate(evidence.log) if record.headers["ce_type"] == wire_type)


def with_headers(record: Record, **changes: str) -> Record:
    return replace(record, headers=record.headers | changes)


def double_outcome(evidence: Evidence) -> None:
    outcome = evidence.log[index_of(evidence, "billing.command.accepted")]
    evidence.log.append(replace(outcome, offset=10_000))


def lost_command(evidence: Evidence) -> None:
    evidence.sent.append(Sent(account="bob", idempotency_key="lost", answer="accepted", command_id="nowhere"))


def accepted_without_a_name(evidence: Evidence) -> None:
    evidence.sent.append(Sent(account="bob", idempotency_key="lost", answer="accepted"))


def refused_and_done(evidence: Evidence) -> None:
    done = evidence.log[index_of(evidence, "billing.command.accepted")].headers["command_id"]
    evidence.sent.append(Sent(account="alice", idempotency_key="refused", answer="refused", command_id=done))


def same_key_two_commands(evidence: Evidence) -> None:
    first = evidence.sent[0]
    other = evidence.log[index_of(evidence, "billing.command.accepted")].headers["command_id"]
    evidence.sent.append(replace(first, command_id=other))


def missing_event(evidence: Evidence) -> None:
    del evidence.log[index_of(evidence, "billing.order.fulfilled")]


def torn_transaction(evidence: Evidence) -> None:
    last = evidence.log[-1]
    evidence.log[:] = [record for record in evidence.log if record is not last]


def repeated_event(evidence: Evidence) -> None:
    evidence.log.insert(1, evidence.log[0])


def changed_body(evidence: Evidence) -> None:
    index = index_of(evidence, "billing.order.placed")
    record = evidence.log[index]
    evidence.log[index] = replace(record, value=record.value.replace(b'"amount":499', b'"amount":498'))


def changed_time(evidence: Evidence) -> None:
    index = index_of(evidence, "billing.order.placed")
    evidence.log[index] = with_headers(evidence.log[index], ce_time="2020-01-01T00:00:00.000000Z")


def changed_type(evidence: Evidence) -> None:
    index = index_of(evidence, "billing.order.fulfilled")
    evidence.log[index] = with_headers(evidence.log[index], ce_type="billing.order.expired")


def missing_charge(evidence: Evidence) -> None:
    evidence.charges.pop()


def double_charge(evidence: Evidence) -> None:
    evidence.charges.append(replace(evidence.charges[0], id="ch_again"))


def unknown_charge(evidence: Evidence) -> None:
    evidence.charges.append(Charge(id="ch_x", reference="cs_unknown", amount=1, currency="EUR"))


def wrong_amount(evidence: Evidence) -> None:
    evidence.charges[0] = replace(evidence.charges[0], amount=evidence.charges[0].amount + 1)


def wrong_currency(evidence: Evidence) -> None:
    evidence.charges[0] = replace(evidence.charges[0], currency="JPY")


def again(evidence: Evidence, wire_type: str, **changes: str) -> None:
    """The same event once more, with other texts in its body."""
    record = evidence.log[index_of(evidence, wire_type)]
    body = {**json.loads(record.value), **changes}
    evidence.log.append(replace(record, offset=10_000, value=json.dumps(body).encode()))


def order_paid_by_two_payments(evidence: Evidence) -> None:
    again(evidence, "billing.payment.succeeded", payment_id="another")


def refund_not_in_the_books(evidence: Evidence) -> None:
    evidence.refunds.clear()


def refund_not_in_the_log(evidence: Evidence) -> None:
    evidence.refunds.append(Refund(id="re_x", amount=1, currency="EUR"))


def refund_of_another_amount(evidence: Evidence) -> None:
    evidence.refunds[0] = replace(evidence.refunds[0], amount=1)


def refund_told_twice(evidence: Evidence) -> None:
    again(evidence, "billing.refund.succeeded", refund_id="another")


def refunds_above_what_was_paid(evidence: Evidence) -> None:
    again(evidence, "billing.refund.requested", refund_id="another")


def order_that_bought_two_periods(evidence: Evidence) -> None:
    again(evidence, "billing.subscription.started", subscription_id="another")


def period_sold_twice(evidence: Evidence) -> None:
    record = evidence.log[index_of(evidence, "billing.subscription.started")]
    renewed = with_headers(record, ce_type="billing.subscription.renewed")
    evidence.log.append(replace(renewed, offset=10_000, value=record.value.replace(b'"order_id":"', b'"order_id":"x')))


def stuck_order(evidence: Evidence) -> None:
    evidence.abandoned_orders.clear()


def paid_without_access(evidence: Evidence) -> None:
    del evidence.log[index_of(evidence, "billing.entitlement.granted")]


def stale_row(evidence: Evidence) -> None:
    order_id = next(iter(evidence.read_models.orders))
    evidence.read_models.orders[order_id] = ("alice", "pending")


def missing_row(evidence: Evidence) -> None:
    evidence.read_models.payments.popitem()


def extra_row(evidence: Evidence) -> None:
    evidence.read_models.subscriptions["from nowhere"] = ("alice", "active")


def row_of_another(evidence: Evidence) -> None:
    order_id = next(iter(evidence.read_models.orders))
    evidence.read_models.orders[order_id] = ("mallory", evidence.read_models.orders[order_id][1])


def access_for_longer(evidence: Evidence) -> None:
    evidence.read_models.entitlements["alice"] = {Access(resource="role:premium", until=None)}


def access_not_published(evidence: Evidence) -> None:
    evidence.published["bob"] = set()


def lost_poison(evidence: Evidence) -> None:
    evidence.dead_letters.clear()


def good_record_among_the_dead(evidence: Evidence) -> None:
    evidence.dead_letters.append("a good command")


TAMPERED: list[tuple[Callable[[Evidence], None], str]] = [
    (double_outcome, "no command has two outcomes"),
    (lost_command, "every accepted command has exactly one outcome"),
    (accepted_without_a_name, "every accepted command has exactly one outcome"),
    (refused_and_done, "every accepted command has exactly one outcome"),
    (same_key_two_commands, "the same key is the same command"),
    (missing_event, "every account's sequence is 1, 2, 3, …"),
    (missing_event, "every chain of hashes holds"),
    (torn_transaction, "the events of a command stand together and end with its outcome"),
    (repeated_event, "every account's sequence is 1, 2, 3, …"),
    (changed_body, "every chain of hashes holds"),
    (changed_time, "every chain of hashes holds"),
    (changed_type, "every chain of hashes holds"),
    (changed_type, "every paid order is fulfilled, with its access, or paid back"),
    (missing_charge, "every payment in the log has exactly one charge in the books"),
    (double_charge, "every payment in the log has exactly one charge in the books"),
    (unknown_charge, "every charge in the books has exactly one payment in the log"),
    (wrong_amount, "every payment in the log has exactly one charge in the books"),
    (wrong_currency, "every payment in the log has exactly one charge in the books"),
    (order_paid_by_two_payments, "no order is paid twice, unless the rest went back"),
    (refund_not_in_the_books, "every refund in the log is in the books, and the other way round"),
    (refund_not_in_the_log, "every refund in the log is in the books, and the other way round"),
    (refund_of_another_amount, "every refund in the log is in the books, and the other way round"),
    (refund_told_twice, "every refund in the log is in the books, and the other way round"),
    (refunds_above_what_was_paid, "refunds are never more than was paid"),
    (order_that_bought_two_periods, "every period of a subscription is sold once"),
    (period_sold_twice, "every period of a subscription is sold once"),
    (stuck_order, "no order is stuck"),
    (paid_without_access, "every paid order is fulfilled, with its access, or paid back"),
    (stale_row, "read models are the fold of the log"),
    (missing_row, "read models are the fold of the log"),
    (extra_row, "read models are the fold of the log"),
    (row_of_another, "read models are the fold of the log"),
    (access_for_longer, "read models are the fold of the log"),
    (access_not_published, "the newest record of each account on the topic of entitlements is the fold"),
    (lost_poison, "every unreadable record lies among the dead letters"),
    (good_record_among_the_dead, "every unreadable record lies among the dead letters"),
]


def faults(findings: list[Finding]) -> dict[str, list[str]]:
    return {finding.name: finding.faults for finding in findings if finding.faults}


def test_a_sound_run_is_good() -> None:
    findings = verify(sound())

    assert faults(findings) == {}
    assert is_good(findings)


@pytest.mark.parametrize(("tamper", "check"), TAMPERED, ids=[f"{t.__name__}-{c[:30]}" for t, c in TAMPERED])
def test_tampering_is_found(tamper: Callable[[Evidence], None], check: str) -> None:
    evidence = sound()
    tamper(evidence)

    findings = verify(evidence)

    assert check in faults(findings)
    assert not is_good(findings)


def test_a_payment_that_succeeded_twice_is_found() -> None:
    evidence = sound()
    first = evidence.log[index_of(evidence, "billing.payment.succeeded")]
    evidence.log.append(replace(first, offset=10_000))

    found = faults(verify(evidence))

    twice = found["every charge in the books has exactly one payment in the log"]
    assert any("succeeded 2 times" in fault for fault in twice)
    paid = found["no order is paid twice, unless the rest went back"]
    assert any("was paid 2 times" in fault for fault in paid)


def test_every_check_can_fail() -> None:
    failing = {check for _, check in TAMPERED}

    assert failing == {finding.name for finding in verify(sound())}


def test_nothing_to_look_at_is_not_good() -> None:
    assert not is_good(verify(Evidence()))
