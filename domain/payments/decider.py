"""Decisions about payments: what the provider's answers, webhooks and our own timers change."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from domain.effects import AnswerStatus, ProviderAnswer
from domain.errors import PaidAmountMismatch, PaymentUnknown, ReferenceMismatch
from domain.ids import EffectId, derive
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed
from domain.orders.fulfilment import fulfil
from domain.orders.state import OPEN_STATUSES, OrderPurpose, OrderStatus
from domain.payments.closing import request_close
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentDeclined,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentMethodSaved,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import (
    CallKind,
    CloseReason,
    Closing,
    Created,
    Ended,
    Payment,
    Processing,
    SavedMethod,
    Succeeded,
)
from domain.policies.settings import delay
from domain.refunds import rules as refunds
from domain.refunds.state import RefundedBy
from domain.subscriptions import renewal
from domain.subscriptions.events import RenewalAuthenticationRequired

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import PaymentId
    from domain.orders.state import Order
    from domain.payments.commands import AnswerCall, ExpirePayment, RepeatCall, ReportPayment, SweepPayment
    from domain.subscriptions.state import Subscription


_ENDED = frozenset({AnswerStatus.CLOSED, AnswerStatus.REFUSED, AnswerStatus.DECLINED})


def answer_call(account: Account, answered: AnswerCall, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take what the gateway learned. An answer to a call that is no longer open still counts when it brings money."""
    payment = _payment(account, answered.payment_id)
    answer = answered.answer
    is_open = payment.call is not None and payment.call.effect_id == answered.effect_id
    if answer.status is AnswerStatus.SUCCEEDED:
        return _succeed(account, payment, command, answer)
    if not is_open or payment.call is None or isinstance(payment.phase, Succeeded | Ended):
        return ()
    kind = payment.call.kind
    if answer.status is AnswerStatus.UNKNOWN:
        return ()  # the call stays open and its timer repeats it
    if kind is CallKind.CLOSE_CHECKOUT and answer.status is not AnswerStatus.CLOSED:
        return ()  # likewise: only a page that can no longer be paid ends the payment
    if isinstance(payment.phase, Closing) and kind in {CallKind.CREATE_CHECKOUT, CallKind.CHARGE}:
        return _close_opened(payment, payment.phase, command, answer)
    if kind is CallKind.FETCH and (
        answer.status in {AnswerStatus.ACTION_REQUIRED, AnswerStatus.REFUSED}
        or (answer.status is AnswerStatus.PROCESSING and isinstance(payment.phase, Processing))
    ):
        sweep_at = command.at + delay(command.policies.sweep_delays, payment.sweeps + 1)
        return (PaymentUnchanged(payment_id=payment.id, effect_id=answered.effect_id, sweep_at=sweep_at),)
    return _progress(account, payment, command, answer)


def _close_opened(
    payment: Payment, phase: Closing, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """The page that nobody wants any more was opened, or was not: close it by its name, or end the payment."""
    open_statuses = {AnswerStatus.ACTION_REQUIRED, AnswerStatus.PROCESSING, AnswerStatus.DECLINED}
    if answer.reference is not None and answer.status in open_statuses:
        return (request_close(payment, command, phase.reason, phase.detail, answer.reference),)
    return _end(payment, answer) if answer.status in _ENDED else ()


def report(account: Account, reported: ReportPayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take a webhook. It counts only for what we ourselves asked this provider to collect."""
    payment = _payment(account, reported.payment_id)
    answer = reported.answer
    if reported.provider != payment.provider or isinstance(payment.phase, Created):
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    # A decline moves no money, and Stripe's does not say which page it happened on: our id in it is enough.
    nameless_decline = answer.reference is None and answer.status is AnswerStatus.DECLINED
    if not nameless_decline and answer.reference != payment.reference:
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    if answer.status is AnswerStatus.SUCCEEDED:
        return _succeed(account, payment, command, answer)
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
    """Make an unanswered call again, with the same effect id, and note when to do so next."""
    payment = _payment(account, repeat.payment_id)
    call = payment.call
    if call is None or call.effect_id != repeat.effect_id or call.attempt != repeat.attempt:
        return ()
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


def sweep(account: Account, swept: SweepPayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask the provider how a silent payment stands: a webhook may have been lost."""
    payment = _payment(account, swept.payment_id)
    if payment.sweep_at is None or payment.call is not None or payment.sweeps + 1 != swept.sweep:
        return ()
    return (_fetch(payment, command, swept.sweep),)


def expire(account: Account, expired: ExpirePayment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """End a payment that nobody made in time, once the provider confirms that it can no longer be made."""
    payment = _payment(account, expired.payment_id)
    if isinstance(payment.phase, Closing | Succeeded | Ended) or command.at < payment.expires_at:
        return ()
    return (request_close(payment, command, CloseReason.EXPIRED, "nobody paid in time", payment.reference),)


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
            return _end(payment, answer)
        case AnswerStatus.REFUSED:
            return _fail(account, payment, command, answer.detail or "the provider refused the request", hard=False)
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
        return (declined, *_fail(account, payment, command, reason, hard=answer.hard))
    return (
        declined,
        request_close(payment, command, CloseReason.DECLINED, reason, payment.reference or answer.reference),
    )


def _fail(
    account: Account, payment: Payment, command: Command[object], reason: str, *, hard: bool
) -> tuple[AccountEvent, ...]:
    """End a payment without money. The order of a renewal stays open: the next attempt may pay it."""
    failed = PaymentFailed(payment_id=payment.id, order_id=payment.order_id, reason=reason, hard=hard)
    subscription = _renewed_by(account, payment)
    if subscription is None:
        return (failed, OrderFailed(order_id=payment.order_id, reason=reason))
    if not subscription.is_running:
        return (failed, OrderFailed(order_id=payment.order_id, reason=reason))
    attempt = subscription.attempts
    return (failed, renewal.failed(subscription, command, attempt=attempt, reason=reason, hard=hard))


def _renewed_by(account: Account, payment: Payment) -> Subscription | None:
    """Return the subscription whose renewal the payment pays for."""
    order = account.orders[payment.order_id]
    if order.purpose is not OrderPurpose.RENEWAL or order.lines[0].subscription_id is None:
        return None
    return account.subscriptions.get(order.lines[0].subscription_id)


def _tell_renewal_to_confirm(account: Account, payment: Payment, url: str) -> tuple[AccountEvent, ...]:
    subscription = _renewed_by(account, payment)
    if subscription is None or not subscription.is_running:
        return ()
    asked = RenewalAuthenticationRequired(
        subscription_id=subscription.id, attempt=subscription.attempts, confirmation_url=url
    )
    return (asked,)


def _end(payment: Payment, answer: ProviderAnswer) -> tuple[AccountEvent, ...]:
    phase = payment.phase
    reason = phase.reason if isinstance(phase, Closing) else CloseReason.EXPIRED
    match reason:
        case CloseReason.CANCELLED:
            return (
                PaymentCancelled(payment_id=payment.id, order_id=payment.order_id),
                OrderCancelled(order_id=payment.order_id),
            )
        case CloseReason.EXPIRED:
            return (
                PaymentExpired(payment_id=payment.id, order_id=payment.order_id),
                OrderExpired(order_id=payment.order_id),
            )
        case CloseReason.DECLINED:
            detail = phase.detail if isinstance(phase, Closing) else str(answer.decline_reason)
            return (
                PaymentFailed(payment_id=payment.id, order_id=payment.order_id, reason=detail),
                OrderFailed(order_id=payment.order_id, reason=detail),
            )
        case _:
            assert_never(reason)


def _succeed(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """The money arrived: note it and give what was bought. A second word of the same money changes nothing.

    Money that arrives after the payment had ended is kept only by fulfilling the order, never silently.
    """
    if isinstance(payment.phase, Succeeded):
        return _learn_method(payment, command, answer)
    known = payment.reference
    if answer.reference is None or (known is not None and answer.reference != known):
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    if answer.amount != payment.amount:
        paid = answer.amount
        raise PaidAmountMismatch(
            payment_id=payment.id,
            agreed_amount=payment.amount.amount,
            agreed_currency=payment.amount.currency,
            paid_amount=paid.amount if paid else 0,
            paid_currency=paid.currency if paid else "",
        )
    succeeded = PaymentSucceeded(
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=payment.amount,
        provider=payment.provider,
        reference=answer.reference,
        paid_at=command.at,
        customer_reference=answer.customer_reference,
        method_reference=answer.method_reference,
        method_label=answer.method_label,
    )
    return (succeeded, *_keep_method(payment, command, answer), *_use(account, payment, answer, command))


def _use(
    account: Account, payment: Payment, answer: ProviderAnswer, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Give what was ordered, or give the money back: it is never silently kept."""
    order = account.orders[payment.order_id]
    if order.status in {OrderStatus.PAID, OrderStatus.FULFILLED}:
        reason = "the order was paid twice"
    elif order.status is OrderStatus.CANCELLED:
        reason = "paid after the order was cancelled"
    elif order.status in OPEN_STATUSES or (command.policies.late_payment_fulfils and _is_wanted(account, order)):
        return fulfil(account, order, command)
    else:
        reason = "paid after the order had ended"
    paid = replace(payment, phase=Succeeded(reference=answer.reference or "", paid_at=command.at))
    refund = refunds.request(
        paid,
        command,
        amount=payment.amount.amount,
        reason=reason,
        rule=refunds.NOT_USED,
        requested_by=RefundedBy.POLICY,
        ends_access=False,
    )
    return (refund,)


def _is_wanted(account: Account, order: Order) -> bool:
    """Tell whether nothing of the order was bought in the meantime."""
    return not any(line.resource in account.entitlements for line in order.lines)


def _keep_method(
    payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[PaymentMethodSaved | PaymentFetchRequested, ...]:
    """Keep the means of payment for renewals; where a webhook does not name it, ask the provider for it."""
    if not payment.save_method:
        return ()
    if answer.customer_reference is not None and answer.method_reference is not None:
        method = SavedMethod(
            provider=payment.provider,
            customer_reference=answer.customer_reference,
            method_reference=answer.method_reference,
            label=answer.method_label,
            saved_at=command.at,
        )
        return (PaymentMethodSaved(payment_id=payment.id, method=method),)
    return (_fetch(payment, command, payment.sweeps + 1),)


def _learn_method(payment: Payment, command: Command[object], answer: ProviderAnswer) -> tuple[AccountEvent, ...]:
    """Take the answer to the question which means of payment was left; there may be none that can be charged again."""
    if payment.call is None or payment.call.kind is not CallKind.FETCH:
        return ()
    if answer.customer_reference is None or answer.method_reference is None:
        return (PaymentUnchanged(payment_id=payment.id, effect_id=payment.call.effect_id, sweep_at=None),)
    return _keep_method(payment, command, answer)


def _fetch(payment: Payment, command: Command[object], number: int) -> PaymentFetchRequested:
    return PaymentFetchRequested(
        payment_id=payment.id,
        effect_id=EffectId(derive(payment.id, f"fetch {number}")),
        sweep=number,
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )


def _payment(account: Account, payment_id: PaymentId) -> Payment:
    payment = account.payments.get(payment_id)
    if payment is None:
        raise PaymentUnknown(payment_id=payment_id)
    return payment
