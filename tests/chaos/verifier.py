"""The judge. It knows what was sent, the committed log, the provider's books and the read models, and nothing else.

It imports nothing of the product: hashes, folds and comparisons are written here a second time, from the contract of
the wire alone, so that a mistake in the product's own arithmetic cannot excuse itself. Its own mistakes are judged by
test_verifier.py, which feeds it logs that were tampered with.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tests.chaos.fold import fold_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chaos.evidence import Access, Body, Evidence, Record
    from tests.chaos.fold import Fold

OUTCOME_TYPES = {"billing.command.accepted", "billing.command.rejected"}
FAULTS_SHOWN_MAX = 20
FINAL_ORDER_STATUSES = {"fulfilled", "cancelled", "expired", "failed"}


@dataclass(slots=True)
class Finding:
    """The result of one check."""

    name: str
    checked: int = 0
    faults: list[str] = field(default_factory=list)

    def require(self, holds: bool, fault: str) -> None:  # noqa: FBT001  reads like an assertion
        """Count one thing looked at, and what is wrong with it."""
        self.checked += 1
        if not holds:
            self.faults.append(fault)


def verify(evidence: Evidence) -> list[Finding]:
    """Judge all of it; a run is good when no finding has a fault and every finding has looked at something."""
    fold = fold_of(evidence.log)
    return [
        each_accepted_command_has_one_outcome(evidence),
        no_outcome_is_doubled(evidence),
        repeats_are_the_same_command(evidence),
        groups_end_with_their_outcome(evidence),
        sequences_have_no_gap(evidence),
        chains_hold(evidence),
        each_payment_has_one_charge(evidence),
        each_charge_has_one_payment(evidence),
        each_order_is_paid_once(evidence),
        each_refund_is_in_the_books(evidence),
        nobody_gets_back_more_than_was_paid(evidence),
        each_period_is_sold_once(evidence),
        paid_orders_are_fulfilled(evidence, fold),
        no_order_is_stuck(evidence, fold),
        read_models_are_the_fold(evidence, fold),
        published_access_is_the_fold(evidence, fold),
        poison_is_among_the_dead_letters(evidence),
    ]


def is_good(findings: list[Finding]) -> bool:
    """Whether nothing failed and nothing passed merely because there was nothing to look at."""
    return all(finding.checked and not finding.faults for finding in findings)


def _outcomes(log: list[Record]) -> Counter[str]:
    return Counter(record.headers["command_id"] for record in log if record.headers["ce_type"] in OUTCOME_TYPES)


def each_accepted_command_has_one_outcome(evidence: Evidence) -> Finding:
    """What was promised (202 or better) happened or was rejected, once; what was refused at the door, never."""
    finding = Finding("every accepted command has exactly one outcome")
    outcomes = _outcomes(evidence.log)
    accepted = {sent.command_id for sent in evidence.sent if sent.answer == "accepted"}
    for sent in evidence.sent:
        count = 0 if sent.command_id is None else outcomes[sent.command_id]
        name = f"{sent.account} {sent.idempotency_key} (command {sent.command_id})"
        if sent.answer == "accepted":
            finding.require(sent.command_id is not None and count == 1, f"{name} was accepted and has {count} outcomes")
        elif sent.answer == "refused" and sent.command_id is not None and sent.command_id not in accepted:
            finding.require(count == 0, f"{name} was refused and has {count} outcomes")
    return finding


def no_outcome_is_doubled(evidence: Evidence) -> Finding:
    """Whoever gave the command: customer, gateway, webhook or timer."""
    finding = Finding("no command has two outcomes")
    for command_id, count in _outcomes(evidence.log).items():
        finding.require(count == 1, f"the command {command_id} has {count} outcomes")
    return finding


def repeats_are_the_same_command(evidence: Evidence) -> Finding:
    """The same key of the same account is the same command, however often and through whatever it was sent."""
    finding = Finding("the same key is the same command")
    known: dict[tuple[str, str], str] = {}
    for sent in evidence.sent:
        if sent.command_id is not None:
            first = known.setdefault((sent.account, sent.idempotency_key), sent.command_id)
            finding.require(
                first == sent.command_id,
                f"{sent.account} {sent.idempotency_key} is the command {first} and also {sent.command_id}",
            )
    return finding


def groups_end_with_their_outcome(evidence: Evidence) -> Finding:
    """The events of a command stand together, and its outcome is the last of them: no transaction was torn."""
    finding = Finding("the events of a command stand together and end with its outcome")
    open_command: dict[str, str] = {}
    for record in evidence.log:
        command_id = record.headers["command_id"]
        before = open_command.pop(record.key, command_id)
        finding.require(
            before == command_id,
            f"{record.position}: {record.key}: the command {before} has no outcome before {command_id} begins",
        )
        if record.headers["ce_type"] not in OUTCOME_TYPES:
            open_command[record.key] = command_id
    for key, command_id in open_command.items():
        finding.require(False, f"{key}: the command {command_id} ends without an outcome")  # noqa: FBT003
    return finding


def sequences_have_no_gap(evidence: Evidence) -> Finding:
    """1, 2, 3, … for every account."""
    finding = Finding("every account's sequence is 1, 2, 3, …")
    last: dict[str, int] = {}
    for record in evidence.log:
        sequence, before = int(record.headers["sequence"]), last.get(record.key, 0)
        finding.require(sequence == before + 1, f"{record.position}: {record.key}: {sequence} comes after {before}")
        last[record.key] = sequence
    return finding


def chains_hold(evidence: Evidence) -> Finding:
    """Every hash is SHA-256 of the one before, id, type, time and body, with a zero byte between them."""
    finding = Finding("every chain of hashes holds")
    last: dict[str, str] = {}
    for record in evidence.log:
        headers = record.headers
        parts = (
            last.get(record.key, "0" * 64),
            headers["ce_id"],
            headers["ce_type"],
            headers["ce_time"],
        )
        hashed = hashlib.sha256(b"\0".join([*(part.encode() for part in parts), record.value])).hexdigest()
        finding.require(hashed == headers["chain_hash"], f"{record.position}: {record.key}: the chain breaks here")
        last[record.key] = headers["chain_hash"]
    return finding


def _bodies(log: list[Record], wire_type: str) -> list[tuple[Record, Body]]:
    return [(record, json.loads(record.value)) for record in log if record.headers["ce_type"] == wire_type]


def _succeeded(log: list[Record]) -> list[tuple[Record, Body]]:
    return _bodies(log, "billing.payment.succeeded")


def each_payment_has_one_charge(evidence: Evidence) -> Finding:
    """Money that we say arrived is in the provider's books, once, to the minor unit."""
    finding = Finding("every payment in the log has exactly one charge in the books")
    charges: dict[str, list[tuple[int, str]]] = {}
    for charge in evidence.charges:
        charges.setdefault(charge.reference, []).append((charge.amount, charge.currency))
    for record, body in _succeeded(evidence.log):
        expected = [(body["amount"]["amount"], body["amount"]["currency"])]
        found = charges.get(body["reference"], [])
        finding.require(
            found == expected, f"{record.position}: payment {body['payment_id']} of {expected} has the charges {found}"
        )
    return finding


def each_charge_has_one_payment(evidence: Evidence) -> Finding:
    """Nobody's money is kept silently, and nobody is charged twice for one payment."""
    finding = Finding("every charge in the books has exactly one payment in the log")
    succeeded = _succeeded(evidence.log)
    by_reference = Counter(body["reference"] for _, body in succeeded)
    for charge in evidence.charges:
        count = by_reference[charge.reference]
        finding.require(count == 1, f"charge {charge.id} of {charge.amount} {charge.currency} has {count} payments")
    for payment_id, count in Counter(body["payment_id"] for _, body in succeeded).items():
        finding.require(count == 1, f"payment {payment_id} succeeded {count} times")
    return finding


def _refunded(log: list[Record]) -> Counter[str]:
    """Minor units that went back, by payment."""
    back: Counter[str] = Counter()
    for _, body in _bodies(log, "billing.refund.succeeded"):
        back[body["payment_id"]] += body["amount"]["amount"]
    return back


def each_order_is_paid_once(evidence: Evidence) -> Finding:
    """Money that comes a second time for one order goes back whole."""
    finding = Finding("no order is paid twice, unless the rest went back")
    back = _refunded(evidence.log)
    kept: Counter[str] = Counter()
    for _, body in _succeeded(evidence.log):
        kept[body["order_id"]] += back[body["payment_id"]] < body["amount"]["amount"]
    for order_id, count in kept.items():
        finding.require(count <= 1, f"order {order_id} was paid {count} times")
    return finding


def each_refund_is_in_the_books(evidence: Evidence) -> Finding:
    """What we say went back did, once, to the minor unit; and nothing went back that we do not know of."""
    finding = Finding("every refund in the log is in the books, and the other way round")
    booked = {refund.id: (refund.amount, refund.currency) for refund in evidence.refunds}
    finding.require(len(booked) == len(evidence.refunds), "a refund stands in the books twice")
    told: Counter[str] = Counter()
    for record, body in _bodies(evidence.log, "billing.refund.succeeded"):
        told[body["reference"]] += 1
        expected = (body["amount"]["amount"], body["amount"]["currency"])
        found = booked.get(body["reference"])
        finding.require(found == expected, f"{record.position}: refund {body['refund_id']} of {expected} is {found}")
    for refund_id in booked:
        finding.require(told[refund_id] == 1, f"refund {refund_id} in the books is {told[refund_id]} times in the log")
    return finding


def nobody_gets_back_more_than_was_paid(evidence: Evidence) -> Finding:
    """The sum of what was asked back of a payment, without what the provider refused, is never above it."""
    finding = Finding("refunds are never more than was paid")
    paid = {body["payment_id"]: body["amount"]["amount"] for _, body in _succeeded(evidence.log)}
    asked: Counter[str] = Counter()
    for wire_type, sign in (("billing.refund.requested", 1), ("billing.refund.failed", -1)):
        for _, body in _bodies(evidence.log, wire_type):
            asked[body["payment_id"]] += sign * body["amount"]["amount"]
    for payment_id, amount in asked.items():
        limit = paid.get(payment_id, 0)
        finding.require(amount <= limit, f"payment {payment_id} of {limit} has refunds of {amount}")
    return finding


def each_period_is_sold_once(evidence: Evidence) -> Finding:
    """A subscription's periods follow each other, each bought by an order of its own."""
    finding = Finding("every period of a subscription is sold once")
    reached: dict[str, datetime] = {}
    orders: Counter[str] = Counter()
    for record in evidence.log:
        kind = record.headers["ce_type"]
        if kind not in {"billing.subscription.started", "billing.subscription.renewed"}:
            continue
        body = json.loads(record.value)
        orders[body["order_id"]] += 1
        start, end = (datetime.fromisoformat(body[name]) for name in ("period_start", "period_end"))
        before = reached.get(body["subscription_id"])
        begins_later = kind == "billing.subscription.started" or before is None or start >= before
        finding.require(begins_later and start < end, f"{record.position}: the period from {start} was sold already")
        reached[body["subscription_id"]] = end
    for order_id, count in orders.items():
        finding.require(count == 1, f"order {order_id} bought {count} periods")
    return finding


def paid_orders_are_fulfilled(evidence: Evidence, fold: Fold) -> Finding:
    """Whoever paid has what they paid for, or got the money back."""
    finding = Finding("every paid order is fulfilled, with its access, or paid back")
    back = _refunded(evidence.log)
    granted = {
        json.loads(record.value)["order_id"]
        for record in evidence.log
        if record.headers["ce_type"] == "billing.entitlement.granted"
    }
    for record, body in _succeeded(evidence.log):
        order_id = body["order_id"]
        if back[body["payment_id"]] == body["amount"]["amount"]:
            finding.require(True, "")  # noqa: FBT003
            continue
        status = fold.orders.get(order_id, ("", "missing"))[1]
        finding.require(status == "fulfilled", f"{record.position}: order {order_id} is paid and {status}")
        finding.require(order_id in granted, f"{record.position}: order {order_id} is paid and gave no access")
    return finding


def no_order_is_stuck(evidence: Evidence, fold: Fold) -> Finding:
    """When all is settled, an order has ended, or waits for a customer who never came back."""
    finding = Finding("no order is stuck")
    for order_id, (account, status) in fold.orders.items():
        waits = status == "awaiting_payment" and order_id in evidence.abandoned_orders
        finding.require(status in FINAL_ORDER_STATUSES or waits, f"{account}: order {order_id} is still {status}")
    return finding


def read_models_are_the_fold(evidence: Evidence, fold: Fold) -> Finding:
    """What customers are shown is what the log says, no row more and no row less."""
    finding = Finding("read models are the fold of the log")
    models = evidence.read_models
    _compare(finding, "order", fold.orders, models.orders)
    _compare(finding, "payment", fold.payments, models.payments)
    _compare(finding, "subscription", fold.subscriptions, models.subscriptions)
    _compare_access(finding, "read model", fold, models.entitlements)
    return finding


def published_access_is_the_fold(evidence: Evidence, fold: Fold) -> Finding:
    """Whoever reads only the newest record of each account knows all that it may watch."""
    finding = Finding("the newest record of each account on the topic of entitlements is the fold")
    _compare_access(finding, "topic", fold, evidence.published)
    return finding


def poison_is_among_the_dead_letters(evidence: Evidence) -> Finding:
    """What nobody can read is kept for people, and nothing else lies there."""
    finding = Finding("every unreadable record lies among the dead letters")
    found = set(evidence.dead_letters)
    for name in evidence.poison:
        finding.require(name in found, f"the poison record {name} is nowhere")
    for name in sorted(found - evidence.poison):
        finding.require(False, f"{name} lies among the dead letters and is no poison")  # noqa: FBT003
    return finding


def _compare(
    finding: Finding, what: str, fold: Mapping[str, tuple[str, str]], rows: Mapping[str, tuple[str, str]]
) -> None:
    for identifier in fold.keys() | rows.keys():
        told, shown = fold.get(identifier), rows.get(identifier)
        finding.require(told == shown, f"{what} {identifier} is {told} in the log and {shown} in the read model")


def _compare_access(finding: Finding, where: str, fold: Fold, shown: Mapping[str, set[Access]]) -> None:
    for account in fold.entitlements.keys() | shown.keys():
        told, there = fold.access(account), shown.get(account, set())
        finding.require(told == there, f"{account} may watch {told} by the log and {there} by the {where}")
