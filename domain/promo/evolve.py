"""The fold of one account's uses of promo codes. No rules here; a known event never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.promo.events import (
    PromoUseCallRepeated,
    PromoUseEvent,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from domain.promo.state import PromoCall, PromoUse, PromoUseStatus
from domain.records import replace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ids import OrderId


def evolve(uses: Mapping[OrderId, PromoUse], event: PromoUseEvent) -> Mapping[OrderId, PromoUse]:
    """Return the account's uses after the event."""
    match event:
        case PromoUseRequested():
            use = PromoUse(
                order_id=event.order_id,
                code=event.code,
                is_limited=True,
                status=PromoUseStatus.RESERVING,
                account=event.account,
                expires_at=event.expires_at,
                call=PromoCall(effect_id=event.effect_id, attempt=1, repeat_at=event.repeat_at),
            )
            return {**uses, use.order_id: use}
        case PromoUseHeld():
            known = uses.get(event.order_id)
            use = PromoUse(
                order_id=event.order_id,
                code=event.code,
                is_limited=event.is_limited,
                status=PromoUseStatus.HELD,
                account=None if known is None else known.account,
            )
            return {**uses, use.order_id: use}
        case PromoUseCallRepeated():
            call = PromoCall(effect_id=event.effect_id, attempt=event.attempt, repeat_at=event.repeat_at)
            return {**uses, event.order_id: replace(uses[event.order_id], call=call)}
        case PromoUseReleaseRequested():
            call = PromoCall(effect_id=event.effect_id, attempt=1, repeat_at=event.repeat_at)
            use = replace(uses[event.order_id], status=PromoUseStatus.RELEASING, call=call, expires_at=None)
            return {**uses, use.order_id: use}
        case PromoUseRefused() | PromoUseReleased():
            return {order_id: use for order_id, use in uses.items() if order_id != event.order_id}
        case PromoUseSettled():
            return uses
        case _:
            assert_never(event)
