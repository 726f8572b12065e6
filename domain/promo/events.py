"""What happened to a promo code, and to one account's use of a code."""

from __future__ import annotations

from datetime import datetime

from domain.ids import AccountId, EffectId, OrderId
from domain.pricing.state import PromoCode
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeDefined:
    """The promo code may be used, as described."""

    promo: PromoCode


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeArchived:
    """The promo code may be used no more."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeReserved:
    """An order has one of the uses. Told again when it was asked again."""

    code: str
    account: AccountId
    order_id: OrderId
    effect_id: EffectId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeRefused:
    """An order got none of the uses; `reason` is a code such as `promo_code_used_up`."""

    code: str
    account: AccountId
    order_id: OrderId
    effect_id: EffectId
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeReleased:
    """An order has no use of the code (any more)."""

    code: str
    account: AccountId
    order_id: OrderId
    effect_id: EffectId
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoCodeSettled:
    """The order was paid; its use is final."""

    code: str
    order_id: OrderId


PromoEvent = (
    PromoCodeDefined | PromoCodeArchived | PromoCodeReserved | PromoCodeRefused | PromoCodeReleased | PromoCodeSettled
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseRequested:
    """The order waits until its promo code says whether a use is left."""

    order_id: OrderId
    account: AccountId
    code: str
    effect_id: EffectId
    repeat_at: datetime
    expires_at: datetime
    """When the order is given up if the code never answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseHeld:
    """The order has a use of its promo code."""

    order_id: OrderId
    code: str
    is_limited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseRefused:
    """No use of the promo code is left for the order."""

    order_id: OrderId
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseCallRepeated:
    """The promo code did not answer and is asked again."""

    order_id: OrderId
    effect_id: EffectId
    attempt: int
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseReleaseRequested:
    """The order died, and its use of the limited code is given back."""

    order_id: OrderId
    code: str
    effect_id: EffectId
    repeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseReleased:
    """The order's use of the promo code was given back."""

    order_id: OrderId
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoUseSettled:
    """The order was paid: its use of the promo code is final."""

    order_id: OrderId
    code: str
    effect_id: EffectId


PromoUseEvent = (
    PromoUseRequested
    | PromoUseHeld
    | PromoUseRefused
    | PromoUseCallRepeated
    | PromoUseReleaseRequested
    | PromoUseReleased
    | PromoUseSettled
)
