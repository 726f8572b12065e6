"""Renewals: when they are tried, what a failure means, and what the money gives. One rule for each question."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from domain.calendar import end_of
from domain.catalog.state import ProductKind
from domain.entitlements.events import EntitlementGranted
from domain.ids import EffectId, OrderId, PaymentId, derive
from domain.money import Money
from domain.orders.events import OrderPlaced
from domain.orders.state import OrderLine, OrderPurpose
from domain.payments.events import PaymentCreated
from domain.policies.settings import Policies, delay
from domain.subscriptions.events import RenewalAttempted, RenewalFailed, SubscriptionRenewed

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.orders.state import Order
    from domain.payments.state import SavedMethod
    from domain.subscriptions.state import Subscription

NO_METHOD = "no_payment_method"


def access_end(period_end: datetime, *, auto_renew: bool, policies: Policies) -> datetime:
    """Return when access ends if nothing more is paid: what renews by itself has the grace on top."""
    return period_end + policies.grace if auto_renew else period_end


def first_attempt_at(period_start: datetime, period_end: datetime, policies: Policies) -> datetime:
    """Return when the renewal is first tried: the lead before the end, but never before the period has begun."""
    lead = min(policies.renewal_offsets, default=timedelta(0))
    return max(period_start, period_end + lead)


def retry_at(period_end: datetime, now: datetime, policies: Policies) -> datetime | None:
    """Return the next moment of the dunning schedule after now, or None when it is exhausted."""
    later = (period_end + offset for offset in sorted(policies.renewal_offsets) if period_end + offset > now)
    return next(later, None)


def attempt(account: Account, subscription: Subscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Charge the saved method for the next period: a new order at the first charge, a further payment at each other."""
    if not account.methods:
        return (failed(subscription, command, attempt=subscription.attempts + 1, reason=NO_METHOD, hard=False),)
    order_id = OrderId(derive(subscription.id, f"renewal {subscription.period_end.isoformat()}"))
    number = subscription.attempts + 1
    payment = _payment(account.methods[0], subscription, order_id, number, command)
    attempted = RenewalAttempted(
        subscription_id=subscription.id, order_id=order_id, payment_id=payment.payment_id, attempt=number
    )
    if subscription.renewal_order_id is not None:
        return (payment, attempted)
    return (_order(subscription, order_id, payment.payment_id, command), payment, attempted)


def _payment(
    method: SavedMethod, subscription: Subscription, order_id: OrderId, number: int, command: Command[object]
) -> PaymentCreated:
    """Each attempt is a payment of its own, with an effect id of its own: it may be declined or paid by itself."""
    payment_id = PaymentId(derive(order_id, f"attempt {number}"))
    return PaymentCreated(
        payment_id=payment_id,
        order_id=order_id,
        amount=subscription.price,
        provider=method.provider,
        effect_id=EffectId(derive(payment_id, "charge")),
        return_url=None,
        save_method=False,
        created_at=command.at,
        expires_at=subscription.access_end,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
        method=method,
    )


def _order(
    subscription: Subscription, order_id: OrderId, payment_id: PaymentId, command: Command[object]
) -> OrderPlaced:
    line = OrderLine(
        product_id=subscription.product_id,
        price_id=subscription.price_id,
        kind=ProductKind.SUBSCRIPTION,
        title=subscription.title,
        resource=subscription.resource,
        unit_price=subscription.price,
        quantity=1,
        total=subscription.price,
        period=subscription.period,
        subscription_id=subscription.id,
    )
    return OrderPlaced(
        order_id=order_id,
        payment_id=payment_id,
        lines=(line,),
        subtotal=subscription.price,
        discount=Money(amount=0, currency=subscription.price.currency),
        total=subscription.price,
        auto_renew=True,
        placed_at=command.at,
        purpose=OrderPurpose.RENEWAL,
    )


def failed(
    subscription: Subscription, command: Command[object], *, attempt: int, reason: str, hard: bool
) -> RenewalFailed:
    """Return the event of an attempt without money, with the next one where the schedule has one that can help."""
    next_at = None if hard else retry_at(subscription.period_end, command.at, command.policies)
    return RenewalFailed(subscription_id=subscription.id, attempt=attempt, reason=reason, hard=hard, retry_at=next_at)


def renewed(
    subscription: Subscription, order: Order, periods: int, paid_at: datetime, policies: Policies
) -> tuple[AccountEvent, ...]:
    """Return what the money for further periods gives.

    While there was access, the new period follows the old one without a gap. Money that arrives when access had
    already ended buys time from now on: nobody pays for a time without access.
    """
    is_running = subscription.is_running and paid_at <= subscription.access_end
    anchor = subscription.anchor if is_running else paid_at
    count = subscription.periods + periods if is_running else periods
    start = subscription.period_end if is_running else paid_at
    end = end_of(anchor, subscription.period, count)
    ends = access_end(end, auto_renew=subscription.auto_renew, policies=policies)
    return (
        SubscriptionRenewed(
            subscription_id=subscription.id,
            order_id=order.id,
            periods=count,
            anchor=anchor,
            period_start=start,
            period_end=end,
            access_end=ends,
            renew_at=first_attempt_at(start, end, policies) if subscription.auto_renew else None,
        ),
        EntitlementGranted(
            resource=subscription.resource,
            until=ends,
            reason="subscription",
            order_id=order.id,
            subscription_id=subscription.id,
        ),
    )
