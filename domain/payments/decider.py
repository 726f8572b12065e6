"""Decisions about payments: what the provider's answers, webhooks and our own timers change."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.effects import AnswerStatus, ProviderAnswer
from domain.errors import PaymentUnknown, ReferenceMismatch
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed
from domain.orders.fulfilment import undeliverable
from domain.orders.state import OPEN_STATUSES
from domain.payments.closing import request_close, request_fetch
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentDeclined,
    PaymentExpired,
    PaymentFailed,
    PaymentProcessing,
    PaymentUnchanged,
)
from domain.payments.receiving import learn_method, receive
from domain.payments.state import (
    CallKind,
    CloseReason,
    Closing,
    Created,
    Ended,
    Payment,
    Processing,
    Succeeded,
)
from domain.policies.settings import delay
from domain.promo import uses as promo_uses
from domain.subscriptions import renewal
from domain.subscriptions.events import RenewalAuthenticationRequired

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import PaymentId
    from domain.payments.commands import AnswerCall, ExpirePayment, RepeatCall, ReportPayment, SweepPayment
    from domain.subscriptions.state import Subscription


TOO_LATE = "nobody paid in time"
_ENDED = frozenset({AnswerStatus.CLOSED, AnswerStatus.REFUSED, AnswerStatus.DECLINED})


def answer_call(account: Account, answered: AnswerCall, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take what the gateway learned. An answer to a call that is no longer open still counts when it brings money."""
    payment = _payment(account, answered.payment_id)
    answer = answered.answer
    is_open = payment.call is not None and payment.call.effect_id == answered.effect_id
    if answer.status is AnswerStatus.SUCCEEDED:
        return receive(account, payment, command, answer)
    if not is_open or payment.call is None:
        return ()
    kind = payment.call.kind
    if answer.status is AnswerStatus.UNKNOWN:
        return ()  # the call stays open and its timer repeats it
    if isinstance(payment.phase, Ended):
        sweep_at = _next_look(payment, command)
        return (PaymentUnchanged(payment_id=payment.id, effect_id=answered.effect_id, sweep_at=sweep_at),)
    if isinstance(payment.phase, Succeeded):
        return learn_method(account, payment, command, answer)
    if kind is CallKind.CLOSE_CHECKOUT and answer.status is not AnswerStatus.CLOSED:
        return ()  # likewise: only a page that can no longer be paid ends the payment
    if isinstance(payment.phase, Closing) and kind in {CallKind.CREATE_CHECKOUT, CallKind.CHARGE}:
        return _close_opened(account, payment, payment.phase, command, answer)
    if kind is CallKind.FETCH and (
        answer.status in {AnswerStatus.ACTION_REQUIRED, AnswerStatus.REFUSED}
        or (answer.status is AnswerStatus.PROCESSING and isinstance(payment.phase, Processing))
    ):
        sweep_at = command.at + delay(command.policies.sweep_delays, payment.sweeps + 1)
        return (PaymentUnchanged(payment_id=payment.id, effect_id=answered.effect_id, sweep_at=sweep_at),)
    return _progress(account, payment, command, answer)


def _close_opened(
    account: Account, payment: Payment, phase: Closing, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """The page that nobody wants any more was opened, or was not: close it by its name, or end the payment."""
    open_statuses = {AnswerStatus.ACTION_REQUIRED, AnswerStatus.PROCESSING, AnswerStatus.DECLINED}
    if answer.reference is not None and answer.status in open_statuses:
        return (request_close(payment, command, phase.reason, phase.detail, answer.reference),)
    return _end(account, payment, command, answer) if answer.status in _ENDED else ()


def report(account: Account, reported: ReportPayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take a webhook. It counts only for what we ourselves asked this provider to collect."""
    payment = _payment(account, reported.payment_id)
    answer = reported.answer
    if reported.provider != payment.provider or isinstance(payment.phase, Created):
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    # A decline moves no money, and Stripe's does not say which page it happened on: our id in it is enough.
    nameless_decline = answer.reference is None and answer.status is AnswerStatus.DECLINED
    # A charge that was given up before we knew its name has none here, and its money must not stay with us unnoticed.
    is_late_charge = payment.method is not None and payment.reference is None
    is_late_money = is_late_charge and answer.status is AnswerStatus.SUCCEEDED
    if not nameless_decline and not is_late_money and answer.reference != payment.reference:
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    if answer.status is AnswerStatus.SUCCEEDED:
        return receive(account, payment, command, answer)
    if isinstance(payment.phase, Succeeded | Ended):
        return ()
    if isinstance(payment.phase, Closing) and answer.status is not AnswerStatus.CLOSED:
        return ()
    if answer.status is AnswerStatus.ACTION_REQUIRED or answer.status is AnswerStatus.UNKNOWN:
        return ()
    if answer.status is AnswerStatus.PROCESSING and isinstance(payment.phase, Processing):
        return ()
    return _progress(account, payment, command, answer)


def repeat_call(account: Account, repeat: RepeatCall, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Make an unanswered call again, with the same effect id, and note when to do so next.

    A charge that is not wanted any more is not made again: it is closed, whatever became of it.
    """
    payment = _payment(account, repeat.payment_id)
    call = payment.call
    if call is None or call.effect_id != repeat.effect_id or call.attempt != repeat.attempt:
        return ()
    if call.kind is CallKind.CHARGE and (unwanted := _unwanted(account, payment, command)) is not None:
        return (request_close(payment, command, *unwanted, payment.reference),)
    attempt = call.attempt + 1
    return (
        PaymentCallRepeated(
            payment_id=payment.id,
            effect_id=call.effect_id,
            kind=call.kind,
            attempt=attempt,
            repeat_at=command.at + delay(command.policies.call_repeat_delays, attempt),
        ),
    )


def _unwanted(account: Account, payment: Payment, command: Command[object]) -> tuple[CloseReason, str] | None:
    """Tell why a charge must not be made any more; None where it is still wanted."""
    if isinstance(payment.phase, Closing):  # as accounts were left by versions that went on charging then
        return payment.phase.reason, payment.phase.detail
    if command.at >= payment.expires_at:
        return CloseReason.EXPIRED, TOO_LATE
    order = account.orders[payment.order_id]
    if len(undeliverable(account, order)) == len(order.lines):
        return CloseReason.CANCELLED, "what was ordered is not wanted any more"
    return None


def sweep(account: Account, swept: SweepPayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask the provider how a silent payment stands: a webhook may have been lost."""
    payment = _payment(account, swept.payment_id)
    if payment.sweep_at is None or payment.call is not None or payment.sweeps + 1 != swept.sweep:
        return ()
    return (request_fetch(payment, command, swept.sweep),)


def expire(account: Account, expired: ExpirePayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """End a payment that nobody made in time, once the provider confirms that it can no longer be made."""
    payment = _payment(account, expired.payment_id)
    if isinstance(payment.phase, Closing | Succeeded | Ended) or command.at < payment.expires_at:
        return ()
    return (request_close(payment, command, CloseReason.EXPIRED, TOO_LATE, payment.reference),)


def _progress(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """Return what an answer without money changes in a payment that is still open."""
    sweep_at = command.at + delay(command.policies.sweep_delays, payment.sweeps + 1)
    match answer.status:
        case AnswerStatus.ACTION_REQUIRED:
            if answer.reference is None or answer.confirmation_url is None:
                return ()
            return (
                PaymentActionRequired(
                    payment_id=payment.id,
                    order_id=payment.order_id,
                    reference=answer.reference,
                    confirmation_url=answer.confirmation_url,
                    sweep_at=sweep_at,
                ),
                *_tell_renewal_to_confirm(account, payment, answer.confirmation_url),
            )
        case AnswerStatus.PROCESSING:
            reference = answer.reference or payment.reference
            if reference is None:
                return ()
            return (
                PaymentProcessing(
                    payment_id=payment.id, order_id=payment.order_id, reference=reference, sweep_at=sweep_at
                ),
            )
        case AnswerStatus.DECLINED:
            return _decline(account, payment, command, answer)
        case AnswerStatus.CLOSED:
            return _end(account, payment, command, answer)
        case AnswerStatus.REFUSED:
            return _fail(account, payment, command, answer, answer.detail or "the provider refused the request")
        case AnswerStatus.SUCCEEDED | AnswerStatus.UNKNOWN:
            return ()
        case _:
            assert_never(answer.status)


def _decline(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """A decline ends the payment; a page only once it is closed: a customer may be typing another card into it."""
    if isinstance(payment.phase, Closing):
        return ()
    reason = answer.decline_reason or "declined"
    declined = PaymentDeclined(payment_id=payment.id, order_id=payment.order_id, decline_reason=reason)
    if payment.method is not None:
        return (declined, *_fail(account, payment, command, answer, reason))
    return (
        declined,
        request_close(payment, command, CloseReason.DECLINED, reason, payment.reference or answer.reference),
    )


def _fail(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer, reason: str
) -> tuple[AccountEvent, ...]:
    """End a payment without money. The order of a renewal stays open: the next attempt may pay it."""
    failed = PaymentFailed(
        payment_id=payment.id,
        order_id=payment.order_id,
        reason=reason,
        hard=answer.hard,
        reference=None if payment.reference else answer.reference,
        sweep_at=_look_again(payment, answer, command),
    )
    if not _decides_order(account, payment):
        return (failed,)
    subscription = _renewed_by(account, payment)
    if subscription is None:
        release = promo_uses.release(account, payment.order_id, command)
        return (failed, OrderFailed(order_id=payment.order_id, reason=reason), *release)
    attempt = subscription.attempts
    return (failed, renewal.failed(subscription, command, attempt=attempt, reason=reason, hard=answer.hard))


def _decides_order(account: Account, payment: Payment) -> bool:
    """Tell whether the end of the payment is the end of its order: not where another payment took its place."""
    order = account.orders[payment.order_id]
    return order.status in OPEN_STATUSES and order.payment_id == payment.id


def _renewed_by(account: Account, payment: Payment) -> Subscription | None:
    """Return the running subscription that waits for this payment."""
    for subscription in account.subscriptions.values():
        if subscription.is_running and subscription.renewal_order_id == payment.order_id:
            return subscription
    return None


def _tell_renewal_to_confirm(account: Account, payment: Payment, url: str) -> tuple[AccountEvent, ...]:
    subscription = _renewed_by(account, payment)
    if subscription is None or not _decides_order(account, payment):
        return ()
    asked = RenewalAuthenticationRequired(
        subscription_id=subscription.id, attempt=subscription.attempts, confirmation_url=url
    )
    return (asked,)


def _end(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """End a payment that can no longer be made, as it was meant to end, and its order with it."""
    phase = payment.phase
    payment_id, order_id = payment.id, payment.order_id
    reason = phase.reason if isinstance(phase, Closing) else CloseReason.EXPIRED
    sweep_at = _look_again(payment, answer, command)
    ended: AccountEvent
    order_ended: AccountEvent
    match reason:
        case CloseReason.CANCELLED:
            ended = PaymentCancelled(payment_id=payment_id, order_id=order_id, sweep_at=sweep_at)
            order_ended = OrderCancelled(order_id=order_id)
        case CloseReason.EXPIRED:
            ended = PaymentExpired(payment_id=payment_id, order_id=order_id, sweep_at=sweep_at)
            order_ended = OrderExpired(order_id=order_id)
        case CloseReason.DECLINED:
            detail = phase.detail if isinstance(phase, Closing) else str(answer.decline_reason)
            ended = PaymentFailed(payment_id=payment_id, order_id=order_id, reason=detail, sweep_at=sweep_at)
            order_ended = OrderFailed(order_id=order_id, reason=detail)
        case _:
            assert_never(reason)
    if not _decides_order(account, payment):
        return (ended,)
    return (ended, order_ended, *promo_uses.release(account, order_id, command))


def _look_again(payment: Payment, answer: ProviderAnswer, command: Command[object]) -> datetime | None:
    """Tell when to look once more for a charge that ended before the provider named it.

    A call that nobody waited for any longer may have been under way while the provider was asked.
    """
    if payment.method is None or payment.reference is not None or answer.reference is not None:
        return None
    return _next_look(payment, command)


def _next_look(payment: Payment, command: Command[object]) -> datetime | None:
    delays = command.policies.lost_charge_delays
    return command.at + delays[payment.sweeps] if payment.sweeps < len(delays) else None


def _payment(account: Account, payment_id: PaymentId) -> Payment:
    payment = account.payments.get(payment_id)
    if payment is None:
        raise PaymentUnknown(payment_id=payment_id)
    return payment
