"""What the log tells, from the JSON of its events alone: orders, payments, refunds, subscriptions, access, prices.

It imports nothing of the product, so a mistake of the product cannot excuse itself here. Whatever a single event does
that it must not do is noted on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.facts import Code, Dispute, Held, Order, Payment, Refund, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.evidence import Entry

GRACE = timedelta(days=2)
UNIT_DAYS_MAX = {"day": 1, "month": 31}
PAYMENT_ENDS = {"succeeded", "failed", "cancelled", "expired"}
DISPUTE_OPEN = {"needs_response", "under_review"}
ORDER_ENDS = {"fulfilled", "cancelled", "expired", "failed"}


@dataclass(slots=True)
class Story:
    """All of it."""

    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    access: dict[str, dict[str, Held]] = field(default_factory=dict)
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Take in one event."""
        _, noun, verb = entry.kind.split(".")
        teller = _TELLERS.get(noun)
        if teller is not None:
            teller(self, entry, verb)

    def require(self, holds: bool, entry: Entry, fault: str) -> None:  # noqa: FBT001  reads like an assertion
        """Note what must not be."""
        if not holds:
            self.faults.append(f"{entry.position} {entry.key} {entry.kind}: {fault}")


def moment(text: str) -> datetime:
    """Return a time of the wire."""
    return datetime.fromisoformat(text)


def _tell_order(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    if verb == "placed":
        _check_total(story, entry)
        story.orders[body["order_id"]] = Order(entry.key, body)
        return
    order = story.orders[body["order_id"]]
    if verb == "already_placed":
        return
    if verb in {"paid", "payment_waived"}:
        story.require(not order.is_covered, entry, "the order was paid before")
        if verb == "paid":
            payment = story.payments.get(body["payment_id"])
            is_paid = payment is not None and payment.successes == 1 and payment.order_id == body["order_id"]
            story.require(is_paid, entry, "no money arrived for it")
            order.paid_by = body["payment_id"]
        else:
            story.require(order.to_pay == 0, entry, "something was to be paid")
        order.is_covered = True
        order.status = "paid"
        return
    order.status = verb
    if verb == "fulfilled":
        story.require(order.is_covered, entry, "it was not paid")


def _check_total(story: Story, entry: Entry) -> None:
    """An order costs what its lines say, each of them at a price that exists or was agreed with the subscriber."""
    body = entry.body
    subtotal = sum(line["total"]["amount"] for line in body["lines"])
    net = sum(line["total"]["amount"] - line["discount_amount"] for line in body["lines"])
    amounts = [body[name]["amount"] for name in ("subtotal", "discount", "total")]
    story.require(amounts == [subtotal, subtotal - net, net], entry, f"the sums {amounts} are wrong")
    story.require(0 <= net <= subtotal, entry, f"the total is {net}")
    for line in body["lines"]:
        if body["purpose"] == "renewal":
            subscription = story.subscriptions[line["subscription_id"]]
            agreed = [subscription.price, subscription.planned]
        else:
            agreed = [story.prices.get(line["price_id"])]
        story.require(line["unit_price"] in agreed, entry, f"{line['unit_price']} is not the price {agreed}")
        story.require(line["total"]["amount"] == line["unit_price"]["amount"] * line["quantity"], entry, "wrong line")


def _tell_payment(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    if verb == "created":
        amount = body["amount"]
        order = story.orders.get(body["order_id"])
        is_agreed = order is not None and order.to_pay == amount["amount"]
        story.require(is_agreed, entry, f"{amount} is not what was agreed")
        is_new = body["payment_id"] not in story.payments
        story.require(is_new, entry, "the payment was created before")
        story.payments[body["payment_id"]] = Payment(entry.key, body["order_id"], amount["amount"], amount["currency"])
        return
    payment = story.payments[body["payment_id"]]
    if verb in {"action_required", "processing"}:
        payment.status = verb
        order = story.orders[payment.order_id]
        if order.status == "pending":
            order.status = "awaiting_payment"
    elif verb == "succeeded":
        payment.successes += 1
        story.require(payment.successes == 1, entry, "it succeeded before")
        is_agreed = body["amount"] == {"amount": payment.amount, "currency": payment.currency}
        story.require(is_agreed, entry, "another amount was paid than was agreed")
        payment.status, payment.reference = verb, body["reference"]
    elif verb in PAYMENT_ENDS:
        story.require(payment.successes == 0, entry, "it had succeeded")
        payment.status = verb


def _tell_refund(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    if verb == "requested":
        payment = story.payments[body["payment_id"]]
        amount = body["amount"]["amount"]
        payment.refunding += amount
        payment.asked_back += amount
        story.require(body["refund_id"] not in story.refunds, entry, "it was requested before")
        story.refunds[body["refund_id"]] = Refund(body["payment_id"], amount)
        story.require(amount > 0, entry, "it gives nothing back")
        promised = payment.refunding + payment.refunded + payment.disputed
        paid = payment.amount if payment.successes else 0
        story.require(promised <= paid, entry, f"{promised} would go back of {paid}")
        return
    refund = story.refunds[body["refund_id"]]
    refund.is_known = refund.is_known or verb in {"submitted", "succeeded"}
    if verb == "submitted":
        refund.status = verb
    if verb == "reversed":
        story.require(refund.status == "succeeded", entry, "it had not succeeded")
        refund.status = "failed"
        story.payments[refund.payment_id].refunded -= refund.amount
    if verb in {"succeeded", "failed"}:
        refund.ends += 1
        refund.status = verb
        story.require(refund.ends == 1, entry, "it ended before")
        payment = story.payments[refund.payment_id]
        payment.refunding -= refund.amount
        payment.refunded += refund.amount if verb == "succeeded" else 0


def _tell_dispute(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    payment, known = story.payments[body["payment_id"]], story.disputes.get(body["dispute_id"])
    amount = body["amount"]
    if verb == "opened":
        story.require(known is None, entry, "it was opened before")
        known = Dispute(
            payment_id=body["payment_id"],
            reference=body["reference"],
            amount=amount["amount"],
            currency=amount["currency"],
            status=body["status"],
            is_inquiry=body["is_inquiry"],
        )
        story.disputes[body["dispute_id"]] = known
    elif known is None:
        story.require(False, entry, "it was never opened")  # noqa: FBT003
        return
    before = known.withheld if verb != "opened" else 0
    is_over = known.status not in DISPUTE_OPEN
    story.require(not is_over or verb == "updated", entry, f"it was {known.status}")
    known.amount = amount["amount"]
    known.is_inquiry = body.get("is_inquiry", known.is_inquiry and verb != "lost")
    known.status = body.get("status", verb)
    payment.disputed += known.withheld - before
    payment.disputed_most = max(payment.disputed_most, payment.disputed)
    told = body["disputed"]["amount"]
    story.require(payment.disputed == told, entry, f"{payment.disputed} is in dispute, and {told} told")


def _tell_subscription(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    known = story.subscriptions.get(body["subscription_id"])
    if verb in {"started", "renewed"}:
        _check_period(story, entry, known)
    if verb == "started":
        story.subscriptions[body["subscription_id"]] = Subscription(
            entry.key, body["price"], moment(body["access_end"])
        )
        return
    if known is None:
        story.require(False, entry, "it never started")  # noqa: FBT003
        return
    if "access_end" in body:
        known.access_end = moment(body["access_end"])
    elif verb == "shortened":
        known.access_end = moment(body["period_end"])
    known.resume_by = moment(body["resume_by"]) if verb == "paused" else known.resume_by
    if verb in {"continued", "ended"}:
        known.resume_by = None
    _tell_plan(known, body, verb)
    if verb == "ended":
        known.is_running = False
    elif verb in {"renewed", "restored"}:
        known.is_running = True


def _tell_plan(known: Subscription, body: dict[str, Any], verb: str) -> None:
    if verb == "plan_change_scheduled":
        known.planned = body["change"]["plan"]["price"]
    elif verb == "plan_change_dropped":
        known.planned = None
    elif verb == "plan_changed":
        known.price, known.planned = body["plan"]["price"], None


def _check_period(story: Story, entry: Entry, known: Subscription | None) -> None:
    """A period is given for an order that was paid, once, and is no longer than what was bought."""
    body = entry.body
    order = story.orders.get(body["order_id"])
    if order is None or order.account != entry.key:
        story.require(False, entry, "its order is not there")  # noqa: FBT003
        return
    story.require(order.is_covered, entry, "nobody paid for it")
    story.require(body["subscription_id"] not in order.given, entry, "its order gave it before")
    order.given.add(body["subscription_id"])
    longest = max(
        (
            UNIT_DAYS_MAX[line["period"]["unit"]] * line["period"]["count"] * line["quantity"]
            for line in order.body["lines"]
            if line["period"] is not None
        ),
        default=0,
    )
    start, end = moment(body["period_start"]), moment(body["period_end"])
    story.require(end - start <= timedelta(days=longest), entry, f"{end - start} is more than was bought")
    story.require(moment(body["access_end"]) - end <= GRACE, entry, "the grace is too long")


def _tell_entitlement(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    held = story.access.setdefault(entry.key, {})
    if verb == "ended":
        held.pop(body["resource"], None)
        return
    order = story.orders.get(body["order_id"])
    story.require(order is not None and order.is_covered, entry, "access without money")
    until = None if body["until"] is None else moment(body["until"])
    subscription = story.subscriptions.get(body["subscription_id"] or "")
    if body["subscription_id"] is None and order is not None:
        order.films.add(body["resource"])
    if body["subscription_id"] is not None:
        is_within = subscription is not None and until is not None and until <= subscription.access_end
        story.require(is_within, entry, "access beyond the subscription's end")
    held[body["resource"]] = Held(until, body["order_id"], body["subscription_id"])


def _tell_price(story: Story, entry: Entry, verb: str) -> None:
    if verb == "added":
        price = entry.body["price"]
        before = story.prices.setdefault(price["id"], price["amount"])
        story.require(before == price["amount"], entry, "a price changed its amount")


def _tell_promo_code(story: Story, entry: Entry, verb: str) -> None:
    body = entry.body
    if verb == "defined":
        story.codes.setdefault(body["promo"]["code"], Code(body["promo"]["uses_max"]))
        return
    code = story.codes.get(body["code"])
    if code is None or "order_id" not in body:
        return
    order_id = body["order_id"]
    if verb == "reserved":
        code.reserved.add(order_id)
    elif verb == "released":
        code.reserved.discard(order_id)
    elif verb == "settled":
        code.reserved.discard(order_id)
        code.settled.add(order_id)
    uses = len(code.reserved) + len(code.settled)
    story.require(code.uses_max is None or uses <= code.uses_max, entry, f"{uses} uses of {code.uses_max}")


_TELLERS: dict[str, Callable[[Story, Entry, str], None]] = {
    "order": _tell_order,
    "payment": _tell_payment,
    "refund": _tell_refund,
    "dispute": _tell_dispute,
    "subscription": _tell_subscription,
    "entitlement": _tell_entitlement,
    "price": _tell_price,
    "promo_code": _tell_promo_code,
}
