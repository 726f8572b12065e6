"""The fold: what each event changes. No rules here; a known event never fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.balance.events import BalanceEvent
from domain.balance.evolve import evolve as evolve_balance
from domain.disputes.events import DisputeEvent
from domain.disputes.evolve import evolve as evolve_dispute
from domain.entitlements.events import EntitlementEnded, EntitlementEvent, EntitlementGranted
from domain.entitlements.state import Entitlement
from domain.grants.decider import evolve as evolve_grants
from domain.grants.events import GrantEvent
from domain.orders.events import OrderEvent
from domain.orders.evolve import evolve as evolve_orders
from domain.orders.evolve import with_status
from domain.orders.state import OPEN_STATUSES, OrderStatus
from domain.payments.events import (
    MethodEvent,
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentDeclined,
    PaymentEvent,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentMethodRemoved,
    PaymentMethodSaved,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import (
    ActionRequired,
    CallKind,
    Closing,
    Created,
    Ended,
    Payment,
    PaymentStatus,
    Processing,
    ProviderCall,
    Succeeded,
)
from domain.pricing.events import PersonalDiscountEvent, PersonalDiscountGranted
from domain.promo.events import PromoUseEvent
from domain.promo.evolve import evolve as evolve_promo_uses
from domain.records import replace
from domain.refunds.events import (
    RefundCallRepeated,
    RefundEvent,
    RefundFailed,
    RefundReinstated,
    RefundRequested,
    RefundReversed,
    RefundSucceeded,
)
from domain.refunds.evolve import evolve as evolve_refund
from domain.subscriptions.events import SubscriptionEvent
from domain.subscriptions.evolve import evolve as evolve_subscription

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.state import Account
    from domain.ids import EffectId
    from domain.refunds.state import Refund

_BEGUN = (PaymentActionRequired, PaymentProcessing)
AccountEvent = (
    OrderEvent
    | PaymentEvent
    | MethodEvent
    | SubscriptionEvent
    | EntitlementEvent
    | RefundEvent
    | DisputeEvent
    | PromoUseEvent
    | PersonalDiscountEvent
    | GrantEvent
    | BalanceEvent
)


def evolve(account: Account, event: AccountEvent) -> Account:
    """Return the account after the event."""
    if isinstance(event, PaymentEvent):
        return _evolve_payment(account, event)
    if isinstance(event, OrderEvent):
        return replace(account, orders=evolve_orders(account.orders, event))
    if isinstance(event, PromoUseEvent):
        return replace(account, promo_uses=evolve_promo_uses(account.promo_uses, event))
    if isinstance(event, PersonalDiscountEvent):
        return _evolve_discounts(account, event)
    if isinstance(event, GrantEvent):
        return replace(account, grants=evolve_grants(account.grants, event))
    if isinstance(event, EntitlementEvent):
        return _evolve_entitlement(account, event)
    if isinstance(event, SubscriptionEvent):
        changed = evolve_subscription(account.subscriptions.get(event.subscription_id), event)
        return replace(account, subscriptions={**account.subscriptions, changed.id: changed})
    if isinstance(event, RefundEvent):
        return _evolve_refund(account, event)
    if isinstance(event, DisputeEvent):
        return _evolve_dispute(account, event)
    if isinstance(event, MethodEvent):
        return _evolve_methods(account, event)
    if isinstance(event, BalanceEvent):
        return evolve_balance(account, event)
    assert_never(event)


def _evolve_payment(account: Account, event: PaymentEvent) -> Account:
    if isinstance(event, PaymentCreated):
        payment = _created(event)
    else:
        payment = _changed(account.payments[event.payment_id], event)
    after = replace(account, payments={**account.payments, payment.id: payment})
    if isinstance(event, PaymentCreated) and account.orders[event.order_id].payment_id != payment.id:
        # A further attempt to collect the money of the same order.
        order = replace(account.orders[event.order_id], payment_id=payment.id)
        return replace(after, orders={**account.orders, order.id: order})
    is_open = account.orders[payment.order_id].status in OPEN_STATUSES
    if is_open and isinstance(event, _BEGUN):
        return replace(after, orders=with_status(after.orders, event.order_id, OrderStatus.AWAITING_PAYMENT))
    return after


def _created(event: PaymentCreated) -> Payment:
    return Payment(
        id=event.payment_id,
        order_id=event.order_id,
        amount=event.amount,
        provider=event.provider,
        created_at=event.created_at,
        expires_at=event.expires_at,
        return_url=event.return_url,
        save_method=event.save_method,
        method=event.method,
        phase=Created(),
        call=ProviderCall(
            effect_id=event.effect_id,
            kind=CallKind.CREATE_CHECKOUT if event.method is None else CallKind.CHARGE,
            attempt=1,
            asked_at=event.created_at,
            repeat_at=event.repeat_at,
        ),
    )


def _changed(payment: Payment, event: PaymentEvent) -> Payment:
    match event:
        case PaymentCreated():
            return payment
        case PaymentActionRequired():
            phase = ActionRequired(reference=event.reference, confirmation_url=event.confirmation_url)
            return replace(payment, phase=phase, call=None, sweep_at=event.sweep_at)
        case PaymentProcessing():
            return replace(payment, phase=Processing(reference=event.reference), call=None, sweep_at=event.sweep_at)
        case PaymentCallRepeated():
            if payment.call is None:
                return payment
            return replace(payment, call=replace(payment.call, attempt=event.attempt, repeat_at=event.repeat_at))
        case PaymentFetchRequested():
            call = _call(event.effect_id, CallKind.FETCH, event.requested_at, event.repeat_at)
            return replace(payment, call=call, sweeps=event.sweep)
        case PaymentUnchanged():
            return replace(payment, call=None, sweep_at=event.sweep_at)
        case PaymentDeclined():
            return payment
        case PaymentCloseRequested():
            closing = Closing(
                reference=event.reference, reason=event.reason, detail=event.detail, before=payment.status
            )
            if not event.asks:
                return replace(payment, phase=closing, sweep_at=None)
            call = _call(event.effect_id, CallKind.CLOSE_CHECKOUT, event.requested_at, event.repeat_at)
            return replace(payment, phase=closing, call=call, sweep_at=None)
        case PaymentSucceeded():
            succeeded = Succeeded(reference=event.reference, paid_at=event.paid_at)
            return replace(payment, phase=succeeded, call=None, sweep_at=None)
        case PaymentFailed():
            reference = event.reference or payment.reference
            ended = Ended(reference=reference, status=PaymentStatus.FAILED, detail=event.reason)
        case PaymentCancelled():
            ended = Ended(reference=payment.reference, status=PaymentStatus.CANCELLED, detail="cancelled")
        case PaymentExpired():
            ended = Ended(reference=payment.reference, status=PaymentStatus.EXPIRED, detail="expired")
        case _:
            assert_never(event)
    return replace(payment, phase=ended, call=None, sweep_at=event.sweep_at)


def _call(effect_id: EffectId, kind: CallKind, asked_at: datetime, repeat_at: datetime) -> ProviderCall:
    return ProviderCall(effect_id=effect_id, kind=kind, attempt=1, asked_at=asked_at, repeat_at=repeat_at)


def _evolve_entitlement(account: Account, event: EntitlementEvent) -> Account:
    match event:
        case EntitlementGranted():
            entitlement = Entitlement(
                resource=event.resource,
                until=event.until,
                reason=event.reason,
                order_id=event.order_id,
                subscription_id=event.subscription_id,
            )
            return replace(account, entitlements={**account.entitlements, event.resource: entitlement})
        case EntitlementEnded():
            left = {resource: held for resource, held in account.entitlements.items() if resource != event.resource}
            return replace(account, entitlements=left)
        case _:
            assert_never(event)


def _evolve_refund(account: Account, event: RefundEvent) -> Account:
    refund = evolve_refund(account.refunds.get(event.refund_id), event)
    payment = account.payments[event.payment_id] if not isinstance(event, RefundCallRepeated) else None
    after = replace(account, refunds={**account.refunds, refund.id: refund})
    if payment is None:
        return after
    amount = refund.amount.amount
    if isinstance(event, RefundRequested | RefundReinstated):
        payment = replace(payment, refunding=payment.refunding + amount)
    elif isinstance(event, RefundSucceeded):
        payment = replace(payment, refunding=payment.refunding - amount, refunded=payment.refunded + amount)
    elif isinstance(event, RefundFailed):
        payment = replace(payment, refunding=payment.refunding - amount)
    elif isinstance(event, RefundReversed):
        payment = replace(payment, refunded=payment.refunded - amount)
        after = replace(after, refunds={key: _with_restored(held, event) for key, held in after.refunds.items()})
    return replace(after, payments={**account.payments, payment.id: payment})


def _with_restored(refund: Refund, event: RefundReversed) -> Refund:
    """What was given again is no longer taken, whichever refund of the order had taken it."""
    if refund.order_id != event.order_id or not refund.taken:
        return refund
    return replace(refund, taken=tuple(each for each in refund.taken if each not in event.restored))


def _evolve_dispute(account: Account, event: DisputeEvent) -> Account:
    dispute = evolve_dispute(account.disputes.get(event.dispute_id), event)
    payment = replace(account.payments[event.payment_id], disputed=event.disputed.amount)
    return replace(
        account,
        disputes={**account.disputes, dispute.id: dispute},
        payments={**account.payments, payment.id: payment},
    )


def _evolve_methods(account: Account, event: MethodEvent) -> Account:
    match event:
        case PaymentMethodSaved(method=method):
            others = tuple(held for held in account.methods if held.method_reference != method.method_reference)
            payment = replace(account.payments[event.payment_id], call=None, kept_method=method.method_reference)
            payments = {**account.payments, payment.id: payment}
            return replace(account, methods=(method, *others), payments=payments)
        case PaymentMethodRemoved():
            left = tuple(held for held in account.methods if held.method_reference != event.method_reference)
            return replace(account, methods=left)
        case _:
            assert_never(event)


def _evolve_discounts(account: Account, event: PersonalDiscountEvent) -> Account:
    held = account.personal_discounts
    if isinstance(event, PersonalDiscountGranted):
        return replace(account, personal_discounts={**held, event.discount.id: event.discount})
    left = {discount_id: discount for discount_id, discount in held.items() if discount_id != event.discount_id}
    return replace(account, personal_discounts=left)
