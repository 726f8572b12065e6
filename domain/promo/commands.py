"""What managers ask of a promo code, and what the orders of all accounts ask of one whose uses are limited."""

from __future__ import annotations

from enum import StrEnum

from domain.ids import AccountId, EffectId, OrderId
from domain.pricing.state import PromoCode
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinePromoCode:
    """Make the promo code be as given. What was used stays used; a lower limit takes nothing away."""

    promo: PromoCode


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivePromoCode:
    """Let nobody use the promo code any more. Orders that have it keep it."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservePromoCode:
    """An order wants one use of the code; it is told what became of it."""

    code: str
    account: AccountId
    order_id: OrderId
    effect_id: EffectId
    """Of the question, so that the answer finds it."""
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasePromoCode:
    """The order died: its use goes back. It is told so."""

    code: str
    account: AccountId
    order_id: OrderId
    effect_id: EffectId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlePromoCode:
    """The order was paid: its use is final."""

    code: str
    order_id: OrderId


PromoCommand = DefinePromoCode | ArchivePromoCode | ReservePromoCode | ReleasePromoCode | SettlePromoCode


class PromoOutcome(StrEnum):
    """What became of a question to a promo code."""

    RESERVED = "reserved"
    REFUSED = "refused"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerPromoReservation:
    """The promo code's answer, back at the account that asked."""

    order_id: OrderId
    effect_id: EffectId
    attempt: int
    outcome: PromoOutcome
    reason: str | None = None
    """Why it was refused, as a code such as `promo_code_used_up`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatPromoCall:
    """The promo code did not answer in time: ask again."""

    order_id: OrderId
    effect_id: EffectId
    attempt: int


PromoUseCommand = AnswerPromoReservation | RepeatPromoCall
