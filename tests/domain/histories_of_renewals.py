"""A first renewal at the end of the month that `subscribed()` bought, and what became of its charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.effects import AnswerStatus
from domain.ids import OrderId, PaymentId, derive
from domain.subscriptions.commands import RenewSubscription
from tests.domain.histories import END, FIRST, PLAN, charge_answered, subscribed

if TYPE_CHECKING:
    from datetime import datetime

    from tests.domain.spec import Spec

RENEW = RenewSubscription(subscription_id=PLAN, period_end=END, attempt=1)
RENEWAL = OrderId(derive("renew 1", "order"))
FIRST_CHARGE = PaymentId(derive(RENEWAL, "attempt 1"))
SECOND_CHARGE = PaymentId(derive(RENEWAL, "attempt 2"))


def charging() -> Spec:
    """The first renewal is being charged."""
    return subscribed().when(RENEW, at=FIRST, command_id="renew 1").happens()


def declined(spec: Spec, at: datetime, *, hard: bool = False, reason: str = "insufficient_funds") -> Spec:
    return charge_answered(spec, AnswerStatus.DECLINED, at=at, decline_reason=reason, hard=hard)


def renewed(spec: Spec, at: datetime) -> Spec:
    return charge_answered(spec, AnswerStatus.SUCCEEDED, at=at)


def count(spec: Spec, kind: type) -> int:
    return sum(isinstance(event, kind) for event in spec.events)
