"""One call to a provider, whatever the provider does: it has a deadline, and its end is always an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.effects import (
    AnswerStatus,
    ChargeMethod,
    CloseCheckout,
    CreateCheckout,
    Effect,
    FetchPayment,
    ProviderAnswer,
    RefundAnswer,
    RefundAnswerStatus,
    RefundPayment,
)
from domain.payments.commands import AnswerCall
from domain.refunds.commands import AnswerRefund
from infra.logging import get_logger
from processors.bounded_call import NoAnswerError, bounded
from schemas.codec import WireError, decode_command, encode, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.ports import PaymentProvider

PaymentEffect = CreateCheckout | ChargeMethod | FetchPayment | CloseCheckout
Answered = AnswerCall | AnswerRefund

log = get_logger(__name__)
DETAIL_CHARACTERS_MAX = 200


async def ask(providers: Mapping[str, PaymentProvider], effect: Effect, *, account: str, timeout_s: float) -> Answered:
    """Carry out an effect at its provider and return the body of the command that tells the answer.

    Never raises for what a provider does; what is not sure is UNKNOWN. An adapter has deadlines of its own; `timeout_s`
    stands behind them and holds even where the adapter hangs and ignores its cancellation.
    """
    provider = providers.get(effect.provider)
    if provider is None:
        log.warning("gateway.provider.unknown", provider=effect.provider, payment_id=effect.payment_id)
        return _unknown(effect, f"the provider {effect.provider!r} is not configured here")
    try:
        return _sound(effect, await bounded(_call(provider, effect, account), timeout_s))
    except NoAnswerError as error:
        reason = str(error)
        log.warning("gateway.call.failed", provider=effect.provider, payment_id=effect.payment_id, reason=reason)
        return _unknown(effect, reason)


async def _call(provider: PaymentProvider, effect: Effect, account: str) -> ProviderAnswer | RefundAnswer:
    match effect:
        case CreateCheckout():
            return await provider.create_checkout(effect, account=account)
        case ChargeMethod():
            return await provider.charge(effect, account=account)
        case FetchPayment():
            return await provider.fetch(effect, account=account)
        case CloseCheckout():
            return await provider.close_checkout(effect, account=account)
        case RefundPayment():
            return await provider.refund(effect, account=account)
        case _:
            assert_never(effect)


def _sound(effect: Effect, answer: object) -> Answered:
    """Return the answer where the engine will be able to read it; what it could not read tells nothing."""
    if isinstance(effect, RefundPayment) and isinstance(answer, RefundAnswer):
        answered: Answered = _of_refund(effect, answer)
    elif not isinstance(effect, RefundPayment) and isinstance(answer, ProviderAnswer):
        answered = _of_payment(effect, answer)
    else:
        return _unknown(effect, f"the adapter returned {type(answer).__name__}")
    if not is_readable(answered):
        log.warning("gateway.answer.unsound", provider=effect.provider, payment_id=effect.payment_id)
        return _unknown(effect, "the adapter returned an answer that is not well-formed")
    return answered


def is_readable(data: object) -> bool:
    """Tell whether the engine will be able to read the command."""
    try:
        decode_command(type_of(data), encode(data))
    except (WireError, TypeError, ValueError, OverflowError, RecursionError, KeyError):
        return False
    return True


def _unknown(effect: Effect, detail: str) -> Answered:
    detail = detail[:DETAIL_CHARACTERS_MAX]
    if isinstance(effect, RefundPayment):
        return _of_refund(effect, RefundAnswer(status=RefundAnswerStatus.UNKNOWN, detail=detail))
    return _of_payment(effect, ProviderAnswer(status=AnswerStatus.UNKNOWN, detail=detail))


def _of_payment(effect: PaymentEffect, answer: ProviderAnswer) -> AnswerCall:
    return AnswerCall(payment_id=effect.payment_id, effect_id=effect.effect_id, attempt=effect.attempt, answer=answer)


def _of_refund(effect: RefundPayment, answer: RefundAnswer) -> AnswerRefund:
    return AnswerRefund(refund_id=effect.refund_id, effect_id=effect.effect_id, attempt=effect.attempt, answer=answer)
