"""The state that the log tells, folded a second time from the JSON of its events, with nothing of the product."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.chaos.evidence import Access

if TYPE_CHECKING:
    from tests.chaos.evidence import Body, Record

ORDER_STATUS = {
    "billing.order.placed": "pending",
    "billing.order.paid": "paid",
    "billing.order.fulfilled": "fulfilled",
    "billing.order.cancelled": "cancelled",
    "billing.order.expired": "expired",
    "billing.order.failed": "failed",
    "billing.payment.action_required": "awaiting_payment",
    "billing.payment.processing": "awaiting_payment",
}
PAYMENT_STATUS = {
    "billing.payment.created": "created",
    "billing.payment.action_required": "action_required",
    "billing.payment.processing": "processing",
    "billing.payment.succeeded": "succeeded",
    "billing.payment.failed": "failed",
    "billing.payment.cancelled": "cancelled",
    "billing.payment.expired": "expired",
}
SUBSCRIPTION_STATUS = {
    "billing.subscription.started": "active",
    "billing.subscription.renewed": "active",
    "billing.subscription.extended": "active",
    "billing.subscription.shortened": "active",
    "billing.subscription.grace_started": "grace",
    "billing.subscription.ended": "ended",
}


@dataclass(slots=True)
class Fold:
    """The state that the log tells, by ids, from the JSON of the events alone."""

    orders: dict[str, tuple[str, str]] = field(default_factory=dict)
    payments: dict[str, tuple[str, str]] = field(default_factory=dict)
    subscriptions: dict[str, tuple[str, str]] = field(default_factory=dict)
    entitlements: dict[str, dict[str, str | None]] = field(default_factory=dict)

    def apply(self, account: str, kind: str, body: Body) -> None:
        """One event."""
        if kind in ORDER_STATUS:
            self.orders[body["order_id"]] = (account, ORDER_STATUS[kind])
        if kind in PAYMENT_STATUS:
            self.payments[body["payment_id"]] = (account, PAYMENT_STATUS[kind])
        if kind in SUBSCRIPTION_STATUS:
            self.subscriptions[body["subscription_id"]] = (account, SUBSCRIPTION_STATUS[kind])
        if kind == "billing.entitlement.granted":
            self.entitlements.setdefault(account, {})[body["resource"]] = body["until"]
        if kind == "billing.entitlement.ended":
            self.entitlements.setdefault(account, {}).pop(body["resource"], None)

    def access(self, account: str) -> set[Access]:
        """What the account may watch."""
        held = self.entitlements.get(account, {})
        return {Access(resource=resource, until=utc(until)) for resource, until in held.items()}


def utc(moment: str | None) -> str | None:
    """One spelling for each moment."""
    return None if moment is None else datetime.fromisoformat(moment).astimezone(UTC).isoformat()


def fold_of(log: list[Record]) -> Fold:
    """The state that the log tells."""
    fold = Fold()
    for record in log:
        fold.apply(record.key, record.headers["ce_type"], json.loads(record.value))
    return fold
