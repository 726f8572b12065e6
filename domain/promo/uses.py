"""One account's side of the conversation with limited promo codes: ask, hold, give back; nothing stays unanswered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.errors import PromoCodeUsed
from domain.ids import AccountId, EffectId, derive
from domain.policies.settings import delay
from domain.pricing.state import DiscountKind
from domain.promo.events import (
    PromoUseCallRepeated,
    PromoUseHeld,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from domain.promo.state import PromoUseStatus

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import OrderId
    from domain.pricing.quote import Quote
    from domain.pricing.state import PromoCode
    from domain.promo.commands import RepeatPromoCall
    from domain.promo.events import PromoUseEvent


def wins(quote: Quote) -> bool:
    """Tell whether the promo code is what takes something off: only then is it used."""
    return quote.applied is not None and quote.applied.kind is DiscountKind.PROMO


def held_by(account: Account, code: str) -> int:
    """Return how many orders of the account use the promo code."""
    return sum(use.code == code and use.status is not PromoUseStatus.RELEASING for use in account.promo_uses.values())


def require_left(promo: PromoCode, uses: int) -> None:
    """Raise PromoCodeUsed when an account with so many uses may use the promo code no more."""
    if promo.uses_per_account_max is not None and uses >= promo.uses_per_account_max:
        raise PromoCodeUsed(promo_code=promo.code, uses_max=promo.uses_per_account_max)


def use(quote: Quote, order_id: OrderId, command: Command[object]) -> tuple[PromoUseRequested | PromoUseHeld, ...]:
    """Return what the order does about its promo code: nothing where another discount won."""
    promo = command.promo_code
    if promo is None or not wins(quote):
        return ()
    if promo.uses_max is None:
        return (PromoUseHeld(order_id=order_id, code=promo.code, is_limited=False),)
    requested = PromoUseRequested(
        order_id=order_id,
        account=AccountId(command.key),
        code=promo.code,
        effect_id=EffectId(derive(order_id, "reserve promo code")),
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
        expires_at=command.at + command.policies.payment_expiry,
    )
    return (requested,)


def release(account: Account, order_id: OrderId, command: Command[object]) -> tuple[PromoUseEvent, ...]:
    """Give the use of an order that died back."""
    held = account.promo_uses.get(order_id)
    if held is None or held.status is PromoUseStatus.RELEASING:
        return ()
    if not held.is_limited:
        return (PromoUseReleased(order_id=order_id, code=held.code),)
    requested = PromoUseReleaseRequested(
        order_id=order_id,
        code=held.code,
        effect_id=EffectId(derive(order_id, "release promo code")),
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )
    return (requested,)


def settle(account: Account, order_id: OrderId) -> tuple[PromoUseSettled, ...]:
    """Make the use of an order that is paid final."""
    held = account.promo_uses.get(order_id)
    if held is None or not held.is_limited or held.status is PromoUseStatus.RELEASING:
        return ()
    settled = PromoUseSettled(
        order_id=order_id, code=held.code, effect_id=EffectId(derive(order_id, "settle promo code"))
    )
    return (settled,)


def repeat(account: Account, asked: RepeatPromoCall, command: Command[object]) -> tuple[PromoUseCallRepeated, ...]:
    """Ask again where nothing was answered: what it is about is the same, so it is given or taken back once."""
    held = account.promo_uses.get(asked.order_id)
    call = None if held is None else held.call
    if call is None or call.effect_id != asked.effect_id or call.attempt != asked.attempt:
        return ()
    repeated = PromoUseCallRepeated(
        order_id=asked.order_id,
        effect_id=call.effect_id,
        attempt=call.attempt + 1,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, call.attempt + 1),
    )
    return (repeated,)
