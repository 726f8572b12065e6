"""What customers, managers, the gateway and timers say about a refund."""

from __future__ import annotations

from domain.effects import RefundAnswer
from domain.ids import EffectId, PaymentId, RefundId
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund:
    """Give money of a payment back. Without `amount`: all that the rules allow."""

    payment_id: PaymentId
    amount: int | None = None
    """Minor units of the payment's currency."""
    reason: str | None = None
    by_manager: bool = False
    """Set by the API for managers alone: no time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRefund:
    """The gateway asked the provider, or a verified webhook told: how the refund stands."""

    refund_id: RefundId
    effect_id: EffectId | None
    attempt: int
    answer: RefundAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatRefund:
    """A call had no answer in time: ask again."""

    refund_id: RefundId
    effect_id: EffectId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRefund:
    """The provider has been silent about a refund that it took: ask how it stands."""

    refund_id: RefundId
    sweep: int


RefundCommand = RequestRefund | AnswerRefund | RepeatRefund | SweepRefund
