"""What the gateway, webhooks and timers say about a payment."""

from __future__ import annotations

from domain.effects import ProviderAnswer
from domain.ids import EffectId, PaymentId
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerCall:
    """The gateway asked the provider and tells what it said."""

    payment_id: PaymentId
    effect_id: EffectId
    attempt: int
    answer: ProviderAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPayment:
    """The provider told by itself, by a verified webhook. `report_id` is the provider's name of the webhook."""

    payment_id: PaymentId
    provider: str
    report_id: str
    answer: ProviderAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatCall:
    """A call had no answer in time: ask again."""

    payment_id: PaymentId
    effect_id: EffectId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPayment:
    """The provider has been silent: ask how the payment stands."""

    payment_id: PaymentId
    sweep: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePayment:
    """The time to pay is over."""

    payment_id: PaymentId


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePaymentMethod:
    """Charge this saved means of payment no more."""

    method_reference: str


PaymentCommand = RemovePaymentMethod | AnswerCall | ReportPayment | RepeatCall | SweepPayment | ExpirePayment
