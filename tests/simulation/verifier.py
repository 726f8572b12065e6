"""The judge of a history. It knows the commands, the log, the provider's books, and what was believed of them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.account.state import Account
from domain.policies.reactions import pending
from tests.simulation.story import ORDER_ENDS, PAYMENT_ENDS, Story, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.evidence import Evidence

OUTCOMES = {"billing.command.accepted", "billing.command.rejected"}
FAULT_CHARACTERS_MAX = 500
PATIENCE = timedelta(minutes=90)
"""How long something may be due at rest: the longest time between two repeats of a call, and a bit."""
PAYMENT_LIFE = timedelta(hours=26)
"""How long an order of a customer may be open: its payment expires before, and the provider confirms it."""


@dataclass(slots=True)
class Finding:
    """The result of one check."""

    name: str
    checked: int = 0
    faults: list[str] = field(default_factory=list)

    def require(self, holds: bool, fault: str, *parts: Any) -> None:  # noqa: FBT001  reads like an assertion
        """Count one thing looked at, and what is wrong with it: `parts` go into it where it is told."""
        self.checked += 1
        if not holds:
            self.faults.append(fault.format(*parts)[:FAULT_CHARACTERS_MAX] if parts else fault)


def verify(evidence: Evidence) -> list[Finding]:
    """Return what every check found."""
    story = story_of(evidence)
    checks: tuple[Callable[[Evidence, Story], Finding], ...] = (
        commands_have_one_outcome,
        groups_end_with_their_outcome,
        sequences_and_chains_hold,
        decisions_never_fail,
        nothing_was_told_that_must_not_be,
        charges_are_payments,
        money_bought_something_or_goes_back,
        books_are_the_providers,
        refunds_are_refunds,
        disputes_are_disputes,
        access_is_paid,
        nothing_is_left_behind,
        promo_codes_are_settled,
        state_is_the_fold,
        read_models_are_the_fold,
        published_access_is_the_fold,
    )
    return [check(evidence, story) for check in checks]


def story_of(evidence: Evidence) -> Story:
    """Return what the log tells; the catalogue first, since everything else refers to it."""
    story = Story()
    for is_catalogue in (True, False):
        for entry in evidence.events:
            if entry.key.startswith("catalog/") is is_catalogue:
                try:
                    story.add(entry)
                except (KeyError, TypeError, ValueError) as error:
                    story.faults.append(f"{entry.position} {entry.key} {entry.kind}: it does not fit: {error!r}")
    return story


def commands_have_one_outcome(evidence: Evidence, story: Story) -> Finding:
    """Whoever gave the command, and however often it was sent."""
    finding = Finding("every command has exactly one outcome")
    outcomes = Counter(entry.command_id for entry in evidence.events if entry.kind in OUTCOMES)
    sent = {entry.command_id: (entry.key, entry.kind) for entry in evidence.commands}
    for command_id, (key, kind) in sent.items():
        count = outcomes[command_id]
        finding.require(count == 1, f"{key}: the command {kind} {command_id} has {count} outcomes")
    for command_id in outcomes.keys() - sent.keys():
        finding.require(False, f"an outcome of the command {command_id}, which nobody sent")  # noqa: FBT003
    for command_id in evidence.accepted:
        finding.require(command_id in sent, f"the command {command_id} was acknowledged and is not there")
    finding.require(evidence.dead_letters == 0, f"{evidence.dead_letters} commands are among the dead letters")
    return finding


def groups_end_with_their_outcome(evidence: Evidence, story: Story) -> Finding:
    """The events of a command stand together, and its outcome is the last of them: no transaction was torn."""
    finding = Finding("the events of a command end with its outcome")
    open_commands: dict[str, str] = {}
    for entry in evidence.events:
        before = open_commands.pop(entry.key, entry.command_id)
        finding.require(before == entry.command_id, f"{entry.position} {entry.key}: {before} has no outcome")
        if entry.kind not in OUTCOMES:
            open_commands[entry.key] = entry.command_id
    for key, command_id in open_commands.items():
        finding.require(False, f"{key}: the command {command_id} ends without an outcome")  # noqa: FBT003
    return finding


def sequences_and_chains_hold(evidence: Evidence, story: Story) -> Finding:
    """1, 2, 3, … for every key, and each hash is SHA-256 of the one before, id, type, time and body."""
    finding = Finding("every sequence is 1, 2, 3, … and every chain of hashes holds")
    last: dict[str, tuple[int, bytes]] = {}
    for entry in evidence.events:
        headers = entry.headers
        number, chained = last.get(entry.key, (0, b"0" * 64))
        sequence = int(headers["sequence"])
        finding.require(sequence == number + 1, f"{entry.position} {entry.key}: {sequence} comes after {number}")
        parts = (chained, headers["ce_id"], headers["ce_type"], headers["ce_time"], entry.value)
        hashed = hashlib.sha256(b"\0".join(parts)).hexdigest().encode()
        finding.require(hashed == headers["chain_hash"], f"{entry.position} {entry.key}: the chain breaks here")
        last[entry.key] = (sequence, headers["chain_hash"])
    return finding


def decisions_never_fail(evidence: Evidence, story: Story) -> Finding:
    """A rejection names a rule; one that says that the decision failed is a bug."""
    finding = Finding("no decision failed")
    for entry in evidence.events:
        if entry.kind == "billing.command.rejected":
            is_rule = entry.body["code"] != "decision_failed"
            finding.require(is_rule, f"{entry.position} {entry.key}: {entry.body['command_type']} could not be decided")
    finding.checked += 1
    return finding


def nothing_was_told_that_must_not_be(evidence: Evidence, story: Story) -> Finding:
    """Agreed prices, sums, access only for what was paid, refunds within what was paid: see `Story`."""
    return Finding("every event may follow those before it", len(evidence.events), list(story.faults))


def charges_are_payments(evidence: Evidence, story: Story) -> Finding:
    """Every charge in the books has exactly one payment in the log, to the minor unit, and the other way round."""
    finding = Finding("charges and payments are the same")
    charges: Counter[tuple[str, str, str | None, int, str]] = Counter(
        (charge.account, charge.payment_id, charge.reference, charge.amount, charge.currency)
        for charge in evidence.charges
    )
    payments: Counter[tuple[str, str, str | None, int, str]] = Counter(
        (payment.account, payment_id, payment.reference, payment.amount, payment.currency)
        for payment_id, payment in story.payments.items()
        if payment.successes
    )
    for found in charges.keys() | payments.keys():
        finding.require(
            charges[found] == payments[found] == 1,
            f"{found} is {charges[found]} charge(s) in the books and {payments[found]} payment(s) in the log",
        )
    return finding


def money_bought_something_or_goes_back(evidence: Evidence, story: Story) -> Finding:
    """No money is silently kept: what bought nothing was asked to go back, or a bank has taken it.

    A bank that does not take a refund leaves it with us, and the customer may ask for it again.
    """
    finding = Finding("money bought something, or goes back")
    for payment_id, payment in story.payments.items():
        if not payment.successes:
            continue
        order = story.orders[payment.order_id]
        is_bought = order.paid_by == payment_id
        unused = order.not_given if is_bought else payment.amount
        back = payment.asked_back + payment.disputed_most
        finding.require(back >= unused, f"{payment_id} bought nothing for {unused}, of which {back} went back")
        finding.require(
            not is_bought or order.status == "fulfilled", f"{payment.order_id} was paid, and is {order.status}"
        )
    return finding


def books_are_the_providers(evidence: Evidence, story: Story) -> Finding:
    """By our books a provider holds of every customer's money what it holds by its own."""
    finding = Finding("our books have the money that the provider has")
    theirs: Counter[str] = Counter()
    for charge in evidence.charges:
        theirs[charge.account] += charge.amount - charge.returned - charge.disputed
    for account in evidence.cash.keys() | theirs.keys():
        ours = evidence.cash[account]
        finding.require(ours == theirs[account], f"{account}: {ours} by our books, {theirs[account]} by the provider's")
    return finding


def refunds_are_refunds(evidence: Evidence, story: Story) -> Finding:
    """Every refund in the books is one in the log, with the same end, and no payment gives back more than it got."""
    finding = Finding("refunds in books and log are the same, and never more than was paid")
    in_books = {refund.refund_id: refund for refund in evidence.refunds}
    for refund_id, refund in story.refunds.items():
        known = in_books.pop(refund_id, None)
        if known is None:
            is_refused = refund.status == "failed" and not refund.is_known
            finding.require(is_refused, f"the refund {refund_id} is {refund.status} and in no book")
            continue
        ours, theirs = (refund.status, refund.amount), (known.status, known.amount)
        finding.require(ours == theirs, f"the refund {refund_id} is {ours} in the log and {theirs} in the books")
    for refund_id in in_books:
        finding.require(False, f"the refund {refund_id} is in the books alone")  # noqa: FBT003
    for charge in evidence.charges:
        gone = charge.returned + charge.disputed
        finding.require(gone <= charge.amount, f"{charge.reference} gave {gone} back")
    for payment_id, payment in story.payments.items():
        finding.require(payment.kept >= 0, f"{payment_id} gave {payment.refunded} back, {payment.disputed} disputed")
    return finding


def disputes_are_disputes(evidence: Evidence, story: Story) -> Finding:
    """Every dispute in the books is one in the log that stands the same, whichever of its webhooks were lost."""
    finding = Finding("disputes in books and log are the same")
    ours = Counter(
        (each.reference, each.payment_id, each.amount, each.currency, each.status, each.is_inquiry)
        for each in story.disputes.values()
    )
    theirs = Counter(
        (each.reference, each.payment_id, each.amount, each.currency, each.status, each.is_inquiry)
        for each in evidence.disputes
    )
    for found in ours.keys() | theirs.keys():
        finding.require(
            ours[found] == theirs[found] == 1,
            f"{found} is {theirs[found]} dispute(s) in the books and {ours[found]} in the log",
        )
    return finding


def access_is_paid(evidence: Evidence, story: Story) -> Finding:
    """What is held in the end has money behind it that did not go back, and is not over."""
    finding = Finding("nobody has access without money")
    now = evidence.now
    covered: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for dispute in story.disputes.values():
        lost[dispute.payment_id] += dispute.withheld if dispute.status == "lost" else 0
    for payment_id, payment in story.payments.items():
        if payment.successes:
            covered[payment.order_id] += payment.kept + (payment.disputed - lost[payment_id])
    for account, access in story.access.items():
        for resource, held in access.items():
            order = story.orders[held.order_id]
            is_free = order.body["total"]["amount"] == 0
            if held.subscription_id is None:
                has_money = is_free or covered[held.order_id] > 0
                finding.require(has_money, f"{account}: {resource} is held, and its money went back")
            else:
                subscription = story.subscriptions[held.subscription_id]
                finding.require(subscription.is_running, f"{account}: {resource} is held after its subscription")
            is_over = held.until is not None and held.until < now - PATIENCE
            finding.require(not is_over, f"{account}: {resource} is held, and was to end at {held.until}")
    finding.checked += 1
    return finding


def nothing_is_left_behind(evidence: Evidence, story: Story) -> Finding:
    """At rest nothing is due and nothing unanswered: no open call, order, payment, refund or timer of the past."""
    finding = Finding("nothing is left behind")
    for fault in left_behind(evidence, story):
        finding.faults.append(fault)
    finding.checked += len(story.orders) + 1
    return finding


def left_behind(evidence: Evidence, story: Story) -> list[str]:
    """Return all that is late."""
    late: list[str] = []
    now = evidence.now
    for order_id, order in story.orders.items():
        age = now - moment(order.body["placed_at"])
        if order.body["purpose"] != "renewal" and order.status not in ORDER_ENDS and age > PAYMENT_LIFE:
            late.append(f"{order.account}: the order {order_id} is still {order.status} after {age}")
    for payment_id, payment in story.payments.items():
        order = story.orders[payment.order_id]
        is_purchase = order.body["purpose"] != "renewal"
        age = now - moment(order.body["placed_at"])
        if payment.status not in PAYMENT_ENDS and is_purchase and age > PAYMENT_LIFE:
            late.append(f"{payment.account}: the payment {payment_id} is still {payment.status} after {age}")
    for refund_id, refund in story.refunds.items():
        if not refund.ends:
            late.append(f"the refund {refund_id} is still {refund.status}")
    for subscription_id, subscription in story.subscriptions.items():
        end = subscription.resume_by or subscription.access_end
        if subscription.is_running and end < now - PATIENCE:
            late.append(f"the subscription {subscription_id} runs as if nothing were to happen at {end}")
    for key, stream in evidence.believed.items():
        timers = pending(stream.state) if isinstance(stream.state, Account) else ()
        late += [f"{key}: {each.name} is due since {each.due_at}" for each in timers if each.due_at < now - PATIENCE]
    late += _unanswered(evidence)
    return late


def _unanswered(evidence: Evidence) -> list[str]:
    """Effects whose newest attempt was not answered: by an answer of its own, or by a later word about the same."""
    answered = {
        (entry.body["effect_id"], entry.body["attempt"])
        for entry in evidence.commands
        if "effect_id" in entry.body and "answer" in entry.body
    }
    relayed = {entry.headers["causation_id"].decode() for entry in evidence.commands}
    newest: dict[str, tuple[str, str, int, str]] = {}
    for entry in evidence.effects:
        ce_id = entry.headers["ce_id"].decode()
        newest[entry.body["effect_id"]] = (entry.key, entry.kind, entry.body["attempt"], ce_id)
    return [
        f"{key}: nobody answered {kind} {effect_id} attempt {attempt}"
        for effect_id, (key, kind, attempt, ce_id) in newest.items()
        if (effect_id, attempt) not in answered and ce_id not in relayed
    ]


def promo_codes_are_settled(evidence: Evidence, story: Story) -> Finding:
    """A use is held by an order that is open or was fulfilled, and by no other."""
    finding = Finding("uses of promo codes belong to orders")
    for name, code in story.codes.items():
        for order_id in code.settled:
            order = story.orders.get(order_id)
            is_paid = order is not None and order.is_covered
            finding.require(is_paid, f"{name}: the order {order_id} has a use for good and is not paid")
        for order_id in code.reserved:
            order = story.orders.get(order_id)
            is_open = order is not None and order.status not in ORDER_ENDS
            finding.require(is_open, f"{name}: the order {order_id} has a use and is over")
    finding.checked += 1
    return finding


def state_is_the_fold(evidence: Evidence, story: Story) -> Finding:
    """What the engines believe in the end is the fold of the log from its beginning."""
    finding = Finding("the state of the engines is the fold of the log")
    for key in evidence.folded.keys() | evidence.believed.keys():
        folded, believed = evidence.folded.get(key), evidence.believed.get(key)
        finding.require(folded == believed, "{}: {} is believed, the log gives {}", key, believed, folded)
    return finding


def read_models_are_the_fold(evidence: Evidence, story: Story) -> Finding:
    """What the projector wrote, batch by batch and over its own deaths, is what all of the log gives at once."""
    finding = Finding("the read models are the fold of the log")
    for model in evidence.tables.rows.keys() | evidence.tables_anew.rows.keys():
        shown, anew = evidence.tables.rows.get(model, {}), evidence.tables_anew.rows.get(model, {})
        for key in shown.keys() | anew.keys():
            there, told = shown.get(key), anew.get(key)
            finding.require(there == told, "{} {} is {}, the log gives {}", model, key, there, told)
    rows = evidence.tables.rows
    for order_id, order in story.orders.items():
        status = rows.get("orders", {}).get((order_id,), {}).get("status")
        finding.require(status == order.status, f"the order {order_id} is {order.status} and shown as {status}")
    for name, ended in (("refunds", story.refunds), ("disputes", story.disputes)):
        for entity_id, each in ended.items():
            status = rows.get(name, {}).get((entity_id,), {}).get("status")
            finding.require(status == each.status, f"{name}: {entity_id} is {each.status} and shown as {status}")
    for payment_id, payment in story.payments.items():
        row = rows.get("payments", {}).get((payment_id,), {})
        finding.require(
            (row.get("refunded"), row.get("disputed")) == (payment.refunded, payment.disputed),
            "{}: {} went back, {} is in dispute, and shown is {}",
            *(payment_id, payment.refunded, payment.disputed, row),
        )
    return finding


def published_access_is_the_fold(evidence: Evidence, story: Story) -> Finding:
    """Whoever reads only the newest public record of an account knows all that it may watch."""
    finding = Finding("the newest public record of access is the fold")
    for account in story.access.keys() | evidence.published.keys():
        held = {resource: one.until for resource, one in story.access.get(account, {}).items()}
        shown = {
            resource: None if until is None else moment(until)
            for resource, until in evidence.published.get(account, {}).items()
        }
        finding.require(held == shown, f"{account} may watch {held}, and is published with {shown}")
    return finding
