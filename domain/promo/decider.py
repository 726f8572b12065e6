"""Decisions at a promo code's own key: the one place where its uses are counted, so that no race exceeds the limit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never

from domain.errors import PromoCodeInvalid, PromoCodeUnknown
from domain.ids import spelled
from domain.money import checked
from domain.pricing.state import BASIS_POINTS, PromoCode, is_valid
from domain.promo.commands import (
    ArchivePromoCode,
    DefinePromoCode,
    PromoCommand,
    ReleasePromoCode,
    ReservePromoCode,
    SettlePromoCode,
)
from domain.promo.events import (
    PromoCodeArchived,
    PromoCodeDefined,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoCodeSettled,
    PromoEvent,
)
from domain.promo.state import NoPromoCode, PromoCodeUses, PromoState
from domain.records import replace

if TYPE_CHECKING:
    from domain.decider import Command
    from domain.ids import AccountId, OrderId

INITIAL = NoPromoCode()
USES_MAX = 1_000_000
PRODUCTS_MAX = 100
MONTHS_MAX = 120
UNKNOWN = "promo_code_unknown"
EXPIRED = "promo_code_expired"
USED_UP = "promo_code_used_up"
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{1,62}")


def decide(state: PromoState, command: Command[PromoCommand]) -> tuple[PromoEvent, ...]:
    """Return what happens to the promo code; `()` when it already is as asked. Raises DomainError."""
    data = command.data
    match data:
        case DefinePromoCode():
            return _define(state, data.promo)
        case ArchivePromoCode():
            if isinstance(state, NoPromoCode):
                raise PromoCodeUnknown(promo_code=data.code)
            return (PromoCodeArchived(code=data.code),) if state.promo.active else ()
        case ReservePromoCode():
            return (_reserve(state, data, command),)
        case ReleasePromoCode():
            released = PromoCodeReleased(
                code=data.code,
                account=data.account,
                order_id=data.order_id,
                effect_id=data.effect_id,
                attempt=data.attempt,
            )
            return (released,)
        case SettlePromoCode():
            if isinstance(state, NoPromoCode) or data.order_id not in state.reserved:
                return ()
            return (PromoCodeSettled(code=data.code, order_id=data.order_id),)
        case _:
            assert_never(data)


def evolve(state: PromoState, event: PromoEvent) -> PromoState:
    """Return the promo code after the event."""
    if isinstance(event, PromoCodeDefined):
        return PromoCodeUses(promo=event.promo) if isinstance(state, NoPromoCode) else replace(state, promo=event.promo)
    if isinstance(state, NoPromoCode):
        return state
    match event:
        case PromoCodeArchived():
            return replace(state, promo=replace(state.promo, active=False))
        case PromoCodeReserved():
            return replace(state, reserved={**state.reserved, event.order_id: event.account})
        case PromoCodeRefused():
            return state
        case PromoCodeReleased():
            return replace(state, reserved=_without(state, event))
        case PromoCodeSettled():
            return replace(state, reserved=_without(state, event), settled=state.settled + 1)
        case _:
            assert_never(event)


def _without(state: PromoCodeUses, event: PromoCodeReleased | PromoCodeSettled) -> dict[OrderId, AccountId]:
    return {order_id: account for order_id, account in state.reserved.items() if order_id != event.order_id}


def _reserve(
    state: PromoState, asked: ReservePromoCode, command: Command[PromoCommand]
) -> PromoCodeReserved | PromoCodeRefused:
    """Give one of the uses to the order; asked again, the answer for an order that has one is the same."""
    reason = _refusal(state, asked, command)
    if reason is None:
        return PromoCodeReserved(
            code=asked.code,
            account=asked.account,
            order_id=asked.order_id,
            effect_id=asked.effect_id,
            attempt=asked.attempt,
        )
    return PromoCodeRefused(
        code=asked.code,
        account=asked.account,
        order_id=asked.order_id,
        effect_id=asked.effect_id,
        attempt=asked.attempt,
        reason=reason,
    )


def _refusal(state: PromoState, asked: ReservePromoCode, command: Command[PromoCommand]) -> str | None:
    if isinstance(state, NoPromoCode):
        return UNKNOWN
    if asked.order_id in state.reserved:
        return None
    if not state.promo.active:
        return UNKNOWN
    if not is_valid(state.promo.valid_from, state.promo.valid_until, command.at):
        return EXPIRED
    return USED_UP if state.is_used_up else None


def _define(state: PromoState, promo: PromoCode) -> tuple[PromoEvent, ...]:
    """Make the code be as given. One that was without a limit gets none: its uses were not counted, so that more than
    the limit could come to use it, and orders that have not heard of the limit yet would not ask for a use.
    """
    _require_valid(promo)
    if isinstance(state, NoPromoCode):
        return (PromoCodeDefined(promo=promo),)
    if state.promo.uses_max is None and promo.uses_max is not None:
        raise PromoCodeInvalid(promo_code=promo.code, reason="it had no limit, and what was used of it is not counted")
    return () if state.promo == promo else (PromoCodeDefined(promo=promo),)


def _require_valid(promo: PromoCode) -> None:
    reason = None
    if not _CODE.fullmatch(promo.code) or spelled(promo.code) != promo.code:
        reason = "it must be 2 to 63 upper-case letters, digits, dashes and underscores"
    elif (promo.basis_points is None) == (promo.amount is None):
        reason = "it needs either basis_points or an amount"
    elif promo.basis_points is not None and not 0 < promo.basis_points <= BASIS_POINTS:
        reason = f"basis_points must be 1 to {BASIS_POINTS}"
    elif promo.uses_max is not None and not 0 < promo.uses_max <= USES_MAX:
        reason = f"uses_max must be 1 to {USES_MAX}"
    elif promo.uses_per_account_max is not None and not 0 < promo.uses_per_account_max <= USES_MAX:
        reason = f"uses_per_account_max must be 1 to {USES_MAX}"
    elif promo.months_min is not None and not 0 < promo.months_min <= MONTHS_MAX:
        reason = f"months_min must be 1 to {MONTHS_MAX}"
    elif len(promo.products) > PRODUCTS_MAX:
        reason = f"it may name up to {PRODUCTS_MAX} products"
    elif promo.valid_from is not None and promo.valid_until is not None and promo.valid_from >= promo.valid_until:
        reason = "valid_from must be before valid_until"
    elif not promo.active:
        reason = "archive it instead of defining it inactive"
    if reason:
        raise PromoCodeInvalid(promo_code=promo.code, reason=reason)
    if promo.amount is not None:
        checked(promo.amount)
