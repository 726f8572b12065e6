"""What follows from an event outside of the account, and what an account waits for. Pure values, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import BALANCE
from domain.effects import (
    AnyEffect,
    ChargeMethod,
    CloseCheckout,
    CreateCheckout,
    Effect,
    FetchPayment,
    RefundPayment,
)
from domain.entitlements.commands import EndEntitlement
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.grants.commands import EndGrant
from domain.grants.events import GrantEnded, GrantGiven, GrantRevoked
from domain.orders.commands import ExpireOrder
from domain.payments.commands import ExpirePayment, RepeatCall, SweepPayment
from domain.payments.events import (
    PaymentCallRepeated,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentFetchRequested,
)
from domain.payments.state import ActionRequired, CallKind, Created, Payment, ProviderCall
from domain.promo.commands import RepeatPromoCall
from domain.promo.events import PromoUseEvent
from domain.promo.reactions import ask
from domain.records import dataclass
from domain.refunds.commands import RepeatRefund, SweepRefund
from domain.refunds.events import RefundCallRepeated, RefundRequested
from domain.refunds.state import Refund
from domain.subscriptions.commands import ContinueSubscription, EndGrace, EndPeriod, RenewSubscription
from domain.subscriptions.state import Subscription, SubscriptionStatus

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.decider import AccountCommand
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.promo.state import PromoUse

_ASKING = (PaymentCreated, PaymentCallRepeated, PaymentFetchRequested, PaymentCloseRequested)
_REFUNDING = (RefundRequested, RefundCallRepeated)
_ACCESS = (EntitlementGranted, EntitlementEnded, GrantGiven, GrantRevoked, GrantEnded)
DESCRIPTION_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """A command that the account gives itself when the time has come. `name` is unique among its timers."""

    due_at: datetime
    name: str
    data: AccountCommand

    @property
    def is_renewal(self) -> bool:
        """Tell whether it charges a customer who is away: of these any number may be due at once, and none hurries."""
        return isinstance(self.data, RenewSubscription)


def react(account: Account, event: AccountEvent) -> AnyEffect | None:
    """Return the call to a provider, or the word to another key, that the event asks for.

    `account` is the state after the event.
    """
    if isinstance(event, PromoUseEvent):
        return ask(account.promo_uses, event)
    if isinstance(event, _REFUNDING):
        return _refund(account.refunds[event.refund_id])
    if not isinstance(event, _ASKING):
        return None
    if isinstance(event, PaymentCloseRequested) and not event.asks:
        return None
    payment = account.payments[event.payment_id]
    return None if payment.call is None else _effect(account, payment, payment.call)


def changes_access(event: AccountEvent) -> bool:
    """Tell whether the public record of what the account may watch has to be written anew."""
    return isinstance(event, _ACCESS)


def pending(account: Account) -> tuple[Timer, ...]:
    """Return everything that the account waits for, with deadlines. A restart knows all of it from the state."""
    timers: list[Timer] = []
    for payment in account.payments.values():
        timers += _payment_timers(payment)
    for subscription in account.subscriptions.values():
        timers += _subscription_timers(subscription)
    for refund in account.refunds.values():
        timers += _refund_timers(refund)
    for use in account.promo_uses.values():
        timers += _promo_timers(use)
    for held in account.entitlements.values():
        if held.until is not None and held.subscription_id is None:
            ending = EndEntitlement(resource=held.resource, until=held.until)
            name = f"end-entitlement {held.resource} {held.until.isoformat()}"
            timers.append(Timer(due_at=held.until, name=name, data=ending))
    for grant in account.grants.values():
        if grant.until is not None:
            over = EndGrant(resource=grant.resource, until=grant.until)
            name = f"end-grant {grant.resource} {grant.until.isoformat()}"
            timers.append(Timer(due_at=grant.until, name=name, data=over))
    return tuple(timers)


def asked_at(account: Account) -> datetime | None:
    """Return when a provider was first asked what it has not answered; the newest of these calls counts."""
    newest: datetime | None = None
    for asking in (account.payments, account.refunds):
        for one in asking.values():
            if one.call is not None and (newest is None or one.call.asked_at > newest):
                newest = one.call.asked_at
    return newest


def _subscription_timers(subscription: Subscription) -> tuple[Timer, ...]:
    if not subscription.is_running:
        return ()
    timers: list[Timer] = []
    end, access_end = subscription.period_end, subscription.access_end
    if subscription.renew_at is not None:
        number = subscription.attempts + 1
        renew = RenewSubscription(subscription_id=subscription.id, period_end=end, attempt=number)
        name = f"renew {subscription.id} {end.isoformat()} {number} {subscription.renew_at.isoformat()}"
        timers.append(Timer(due_at=subscription.renew_at, name=name, data=renew))
    if subscription.status is SubscriptionStatus.GRACE:
        end_grace = EndGrace(subscription_id=subscription.id, access_end=access_end)
        name = f"end-grace {subscription.id} {access_end.isoformat()}"
        timers.append(Timer(due_at=access_end, name=name, data=end_grace))
    elif subscription.resume_by is not None:
        resume_by = subscription.resume_by
        go_on = ContinueSubscription(subscription_id=subscription.id, resume_by=resume_by)
        timers.append(Timer(due_at=resume_by, name=f"continue {subscription.id} {resume_by.isoformat()}", data=go_on))
    else:
        end_period = EndPeriod(subscription_id=subscription.id, period_end=end)
        name = f"end-period {subscription.id} {end.isoformat()}"
        timers.append(Timer(due_at=end, name=name, data=end_period))
    return tuple(timers)


def _refund_timers(refund: Refund) -> tuple[Timer, ...]:
    call = refund.call
    if call is not None:
        repeat = RepeatRefund(refund_id=refund.id, effect_id=call.effect_id, attempt=call.attempt)
        return (Timer(due_at=call.repeat_at, name=f"repeat {call.effect_id} {call.attempt}", data=repeat),)
    if refund.sweep_at is not None:
        number = refund.sweeps + 1
        sweep = SweepRefund(refund_id=refund.id, sweep=number)
        return (Timer(due_at=refund.sweep_at, name=f"sweep {refund.id} {number}", data=sweep),)
    return ()


def _promo_timers(use: PromoUse) -> tuple[Timer, ...]:
    timers: list[Timer] = []
    call = use.call
    if call is not None:
        repeat = RepeatPromoCall(order_id=use.order_id, effect_id=call.effect_id, attempt=call.attempt)
        timers.append(Timer(due_at=call.repeat_at, name=f"repeat {call.effect_id} {call.attempt}", data=repeat))
    if use.expires_at is not None:
        expire = ExpireOrder(order_id=use.order_id)
        timers.append(Timer(due_at=use.expires_at, name=f"expire order {use.order_id}", data=expire))
    return tuple(timers)


def _payment_timers(payment: Payment) -> tuple[Timer, ...]:
    timers: list[Timer] = []
    call = payment.call
    if call is not None:
        repeat = RepeatCall(payment_id=payment.id, effect_id=call.effect_id, attempt=call.attempt)
        timers.append(Timer(due_at=call.repeat_at, name=f"repeat {call.effect_id} {call.attempt}", data=repeat))
    elif payment.sweep_at is not None:
        number = payment.sweeps + 1
        sweep = SweepPayment(payment_id=payment.id, sweep=number)
        timers.append(Timer(due_at=payment.sweep_at, name=f"sweep {payment.id} {number}", data=sweep))
    if isinstance(payment.phase, Created | ActionRequired):
        expire = ExpirePayment(payment_id=payment.id)
        timers.append(Timer(due_at=payment.expires_at, name=f"expire {payment.id}", data=expire))
    return tuple(timers)


def _effect(account: Account, payment: Payment, call: ProviderCall) -> Effect:
    match call.kind:
        case CallKind.CREATE_CHECKOUT:
            return CreateCheckout(
                effect_id=call.effect_id,
                payment_id=payment.id,
                order_id=payment.order_id,
                provider=payment.provider,
                attempt=call.attempt,
                amount=payment.amount,
                description=_description(account, payment),
                save_method=payment.save_method,
                return_url=payment.return_url,
                created_at=payment.created_at,
                expires_at=payment.expires_at,
            )
        case CallKind.CHARGE:
            return _charge(account, payment, call)
        case CallKind.REFUND:
            raise AssertionError("a payment's call is never a refund: refunds have their own")
        case CallKind.FETCH:
            return FetchPayment(
                effect_id=call.effect_id,
                payment_id=payment.id,
                provider=payment.provider,
                attempt=call.attempt,
                reference=payment.reference,
            )
        case CallKind.CLOSE_CHECKOUT:
            return CloseCheckout(
                effect_id=call.effect_id,
                payment_id=payment.id,
                provider=payment.provider,
                attempt=call.attempt,
                reference=payment.reference,
                customer_reference=None if payment.method is None else payment.method.customer_reference,
            )


def _charge(account: Account, payment: Payment, call: ProviderCall) -> ChargeMethod:
    if payment.method is None:
        raise AssertionError(f"the payment {payment.id} has no saved method to charge")
    return ChargeMethod(
        effect_id=call.effect_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        provider=payment.provider,
        attempt=call.attempt,
        amount=payment.amount,
        description=_description(account, payment),
        customer_reference=payment.method.customer_reference,
        method_reference=payment.method.method_reference,
        created_at=payment.created_at,
        expires_at=payment.expires_at,
    )


def _description(account: Account, payment: Payment) -> str:
    titles = (line.title for line in account.orders[payment.order_id].lines)
    return ", ".join(titles)[:DESCRIPTION_MAX]


def _refund(refund: Refund) -> RefundPayment | None:
    if refund.call is None or refund.provider == BALANCE:
        return None
    return RefundPayment(
        effect_id=refund.call.effect_id,
        refund_id=refund.id,
        payment_id=refund.payment_id,
        provider=refund.provider,
        attempt=refund.call.attempt,
        payment_reference=refund.payment_reference,
        amount=refund.amount,
        reference=refund.reference,
        requested_at=refund.requested_at,
    )
