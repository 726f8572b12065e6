"""What follows from an event outside of the account, and what an account waits for. Pure values, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
from domain.refunds.commands import RepeatRefund, SweepRefund
from domain.refunds.events import RefundCallRepeated, RefundRequested
from domain.refunds.state import Refund
from domain.subscriptions.commands import ContinueSubscription, EndGrace, EndPeriod, RenewSubscription
from domain.subscriptions.state import Subscription, SubscriptionStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.account.decider import AccountCommand
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.entitlements.state import Entitlement
    from domain.grants.state import Grant
    from domain.promo.state import PromoUse

    What = Callable[[Any], tuple[str, AccountCommand]]

_ASKING = (PaymentCreated, PaymentCallRepeated, PaymentFetchRequested, PaymentCloseRequested)
_PAYABLE = (Created, ActionRequired)
_REFUNDING = (RefundRequested, RefundCallRepeated)
_ACCESS = (EntitlementGranted, EntitlementEnded, GrantGiven, GrantRevoked, GrantEnded)
DESCRIPTION_MAX = 200


class Timer(NamedTuple):
    """A command that the account gives itself when the time has come.

    After each of its commands an account is asked when it has to be looked at, and hardly ever for what is to be done
    then: so only the time is told at once, and the command is made by whoever looks at it.
    """

    due_at: datetime
    what: What
    """Makes the name and the command."""
    of: Any
    """The payment, subscription or other thing that waits."""

    @property
    def name(self) -> str:
        """A word for it that no other timer of the account has."""
        return self.what(self.of)[0]

    @property
    def data(self) -> AccountCommand:
        """The command."""
        return self.what(self.of)[1]

    @property
    def is_renewal(self) -> bool:
        """Tell whether it charges a customer who is away: of these any number may be due at once, and none hurries."""
        return self.what is _renew


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
            timers.append(Timer(held.until, _end_entitlement, held))
    for grant in account.grants.values():
        if grant.until is not None:
            timers.append(Timer(grant.until, _end_grant, grant))
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
    if subscription.renew_at is not None:
        timers.append(Timer(subscription.renew_at, _renew, subscription))
    if subscription.status is SubscriptionStatus.GRACE:
        timers.append(Timer(subscription.access_end, _end_grace, subscription))
    elif subscription.resume_by is not None:
        timers.append(Timer(subscription.resume_by, _go_on, subscription))
    else:
        timers.append(Timer(subscription.period_end, _end_period, subscription))
    return tuple(timers)


def _refund_timers(refund: Refund) -> tuple[Timer, ...]:
    if refund.call is not None:
        return (Timer(refund.call.repeat_at, _repeat_refund, refund),)
    if refund.sweep_at is not None:
        return (Timer(refund.sweep_at, _sweep_refund, refund),)
    return ()


def _promo_timers(use: PromoUse) -> tuple[Timer, ...]:
    timers: list[Timer] = []
    if use.call is not None:
        timers.append(Timer(use.call.repeat_at, _repeat_promo_call, use))
    if use.expires_at is not None:
        timers.append(Timer(use.expires_at, _expire_order, use))
    return tuple(timers)


def _payment_timers(payment: Payment) -> tuple[Timer, ...]:
    timers: list[Timer] = []
    if payment.call is not None:
        timers.append(Timer(payment.call.repeat_at, _repeat_call, payment))
    elif payment.sweep_at is not None:
        timers.append(Timer(payment.sweep_at, _sweep_payment, payment))
    if isinstance(payment.phase, _PAYABLE):
        timers.append(Timer(payment.expires_at, _expire_payment, payment))
    return tuple(timers)


def _end_entitlement(held: Entitlement) -> tuple[str, AccountCommand]:
    assert held.until is not None, "only what ends has this timer"
    name = f"end-entitlement {held.resource} {held.until.isoformat()}"
    return name, EndEntitlement(resource=held.resource, until=held.until)


def _end_grant(grant: Grant) -> tuple[str, AccountCommand]:
    assert grant.until is not None, "only what ends has this timer"
    name = f"end-grant {grant.resource} {grant.until.isoformat()}"
    return name, EndGrant(resource=grant.resource, until=grant.until)


def _renew(subscription: Subscription) -> tuple[str, AccountCommand]:
    assert subscription.renew_at is not None, "only what is renewed has this timer"
    end, number = subscription.period_end, subscription.attempts + 1
    name = f"renew {subscription.id} {end.isoformat()} {number} {subscription.renew_at.isoformat()}"
    return name, RenewSubscription(subscription_id=subscription.id, period_end=end, attempt=number)


def _end_grace(subscription: Subscription) -> tuple[str, AccountCommand]:
    access_end = subscription.access_end
    name = f"end-grace {subscription.id} {access_end.isoformat()}"
    return name, EndGrace(subscription_id=subscription.id, access_end=access_end)


def _go_on(subscription: Subscription) -> tuple[str, AccountCommand]:
    resume_by = subscription.resume_by
    assert resume_by is not None, "only what rests has this timer"
    name = f"continue {subscription.id} {resume_by.isoformat()}"
    return name, ContinueSubscription(subscription_id=subscription.id, resume_by=resume_by)


def _end_period(subscription: Subscription) -> tuple[str, AccountCommand]:
    end = subscription.period_end
    return f"end-period {subscription.id} {end.isoformat()}", EndPeriod(subscription_id=subscription.id, period_end=end)


def _repeat_refund(refund: Refund) -> tuple[str, AccountCommand]:
    call = refund.call
    assert call is not None, "only an open call is repeated"
    repeat = RepeatRefund(refund_id=refund.id, effect_id=call.effect_id, attempt=call.attempt)
    return f"repeat {call.effect_id} {call.attempt}", repeat


def _sweep_refund(refund: Refund) -> tuple[str, AccountCommand]:
    number = refund.sweeps + 1
    return f"sweep {refund.id} {number}", SweepRefund(refund_id=refund.id, sweep=number)


def _repeat_promo_call(use: PromoUse) -> tuple[str, AccountCommand]:
    call = use.call
    assert call is not None, "only an open call is repeated"
    repeat = RepeatPromoCall(order_id=use.order_id, effect_id=call.effect_id, attempt=call.attempt)
    return f"repeat {call.effect_id} {call.attempt}", repeat


def _expire_order(use: PromoUse) -> tuple[str, AccountCommand]:
    return f"expire order {use.order_id}", ExpireOrder(order_id=use.order_id)


def _repeat_call(payment: Payment) -> tuple[str, AccountCommand]:
    call = payment.call
    assert call is not None, "only an open call is repeated"
    repeat = RepeatCall(payment_id=payment.id, effect_id=call.effect_id, attempt=call.attempt)
    return f"repeat {call.effect_id} {call.attempt}", repeat


def _sweep_payment(payment: Payment) -> tuple[str, AccountCommand]:
    number = payment.sweeps + 1
    return f"sweep {payment.id} {number}", SweepPayment(payment_id=payment.id, sweep=number)


def _expire_payment(payment: Payment) -> tuple[str, AccountCommand]:
    return f"expire {payment.id}", ExpirePayment(payment_id=payment.id)


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
                customer_reference=None if payment.method is None else payment.method.customer_reference,
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
