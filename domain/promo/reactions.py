"""What a promo code and the accounts that use it say to each other. Pure values: the gateway carries them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.effects import SendCommand
from domain.ids import EffectId, derive, promo_key
from domain.promo.commands import (
    AnswerPromoReservation,
    PromoOutcome,
    ReleasePromoCode,
    ReservePromoCode,
    SettlePromoCode,
)
from domain.promo.events import (
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoUseCallRepeated,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from domain.promo.state import PromoUseStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import OrderId
    from domain.promo.events import PromoEvent, PromoUseEvent
    from domain.promo.state import PromoUse


def ask(uses: Mapping[OrderId, PromoUse], event: PromoUseEvent) -> SendCommand | None:
    """Return what an account says to a promo code after the event. `uses` are those after it."""
    if isinstance(event, PromoUseSettled):
        settle = SettlePromoCode(code=event.code, order_id=event.order_id)
        return SendCommand(effect_id=event.effect_id, attempt=1, key=promo_key(event.code), data=settle)
    if not isinstance(event, PromoUseRequested | PromoUseReleaseRequested | PromoUseCallRepeated):
        return None
    use = uses[event.order_id]
    if use.call is None or use.account is None:
        raise AssertionError(f"the use of {use.code} by the order {use.order_id} asks without a call")
    asked = ReservePromoCode if use.status is PromoUseStatus.RESERVING else ReleasePromoCode
    data = asked(
        code=use.code,
        account=use.account,
        order_id=use.order_id,
        effect_id=use.call.effect_id,
        attempt=use.call.attempt,
    )
    return SendCommand(effect_id=use.call.effect_id, attempt=use.call.attempt, key=promo_key(use.code), data=data)


def answer(event: PromoEvent) -> SendCommand | None:
    """Return what a promo code says to an account after the event."""
    match event:
        case PromoCodeReserved():
            return _answer(event, PromoOutcome.RESERVED, None)
        case PromoCodeRefused():
            return _answer(event, PromoOutcome.REFUSED, event.reason)
        case PromoCodeReleased():
            return _answer(event, PromoOutcome.RELEASED, None)
        case _:
            return None


def _answer(
    event: PromoCodeReserved | PromoCodeRefused | PromoCodeReleased, outcome: PromoOutcome, reason: str | None
) -> SendCommand:
    told = AnswerPromoReservation(
        order_id=event.order_id, effect_id=event.effect_id, attempt=event.attempt, outcome=outcome, reason=reason
    )
    return SendCommand(
        effect_id=EffectId(derive(event.effect_id, "answer")), attempt=event.attempt, key=event.account, data=told
    )
