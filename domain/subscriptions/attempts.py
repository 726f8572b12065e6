"""Attempts to renew: the saved means of payment is charged for the next period."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.balance import decider as balance
from domain.ids import EffectId, OrderId, PaymentId, derive
from domain.orders.events import OrderPlaced
from domain.orders.evolve import placed as order_of
from domain.orders.starting import cover, waive
from domain.orders.state import OrderPurpose
from domain.payments.events import PaymentCreated, PaymentMethodSaved
from domain.payments.state import Ended
from domain.policies.settings import delay
from domain.pricing.quote import Candidates, quote
from domain.subscriptions.events import RenewalAttempted, SubscriptionResumed
from domain.subscriptions.lines import line_of, terms_now
from domain.subscriptions.renewal import failed
from domain.subscriptions.roles import holder_of
from domain.subscriptions.state import SubscriptionStatus

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.subscriptions.state import Subscription

NO_METHOD = "no_payment_method"
ROLE_HELD = "already_entitled"
"""The plan that was to begin gives a role that the customer got by another subscription in the meantime."""
_UNPAID = frozenset({SubscriptionStatus.PAST_DUE, SubscriptionStatus.GRACE})


def attempt(account: Account, subscription: Subscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Charge the saved method for the next period: a new order at the first charge, a further payment at each other.

    What the order costs is agreed at the first charge and stays for the others. Each payment has an effect id of its
    own: it may be declined or paid by itself. What is on the balance at each attempt pays first, and is let go when
    the attempt is declined; where it pays for all, no means of payment is needed.
    """
    number = subscription.attempts + 1
    if holder_of(account, subscription.next_plan.resource, besides=subscription.id) is not None:
        return (failed(subscription, command, attempt=number, reason=ROLE_HELD, hard=True),)
    known = subscription.renewal_order_id
    order_id = known or OrderId(derive(command.id, "order"))
    payment_id = PaymentId(derive(order_id, f"attempt {number}"))
    provider = account.methods[0].provider if account.methods else ""
    placed = None
    if known is None:
        placed = _order(account, subscription, command, order_id=order_id, payment_id=payment_id, provider=provider)
    order = account.orders[order_id] if placed is None else order_of(placed)
    if order.total.amount == 0:
        return (*_agreed(placed), *waive(account, order, command, "the discount covers the whole price"))
    order, held = balance.use(account, order)
    if order.due.amount == 0:
        return (*_agreed(placed), *held, *cover(account, order, command))
    if not account.methods:
        return (failed(subscription, command, attempt=number, reason=NO_METHOD, hard=False),)
    payment = PaymentCreated(
        payment_id=payment_id,
        order_id=order_id,
        amount=order.due,
        provider=provider,
        effect_id=EffectId(derive(payment_id, "charge")),
        return_url=None,
        save_method=False,
        created_at=command.at,
        expires_at=subscription.access_end,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
        method=account.methods[0],
    )
    attempted = RenewalAttempted(
        subscription_id=subscription.id, order_id=order_id, payment_id=payment_id, attempt=number
    )
    return (*_agreed(placed), *held, payment, attempted)


def again(
    account: Account, events: tuple[AccountEvent, ...], command: Command[object]
) -> tuple[SubscriptionResumed, ...]:
    """Try renewals once more, at once, that failed and would not be tried again: a new means of payment was left.

    `events` are what happens to `account` with it. Where access has ended, nobody is charged for the past.
    """
    known = {method.method_reference for method in account.methods}
    left = (event.method.method_reference for event in events if isinstance(event, PaymentMethodSaved))
    if known.issuperset(left):
        return ()
    after = reduce(evolve, events, account)
    return tuple(
        SubscriptionResumed(subscription_id=subscription.id, access_end=subscription.access_end, renew_at=command.at)
        for subscription in after.subscriptions.values()
        if command.at < subscription.access_end and _is_given_up(after, subscription)
    )


def _is_given_up(account: Account, subscription: Subscription) -> bool:
    """Tell whether it renews by itself, was not paid, and no attempt is under way or to come that a card could pay."""
    if not subscription.auto_renew or subscription.status not in _UNPAID or subscription.renew_at is not None:
        return False
    order_id = subscription.renewal_order_id
    if order_id is not None and not isinstance(account.payments[account.orders[order_id].payment_id].phase, Ended):
        return False
    return holder_of(account, subscription.next_plan.resource, besides=subscription.id) is None


def _agreed(placed: OrderPlaced | None) -> tuple[AccountEvent, ...]:
    return () if placed is None else (placed,)


def _order(
    account: Account,
    subscription: Subscription,
    command: Command[object],
    *,
    order_id: OrderId,
    payment_id: PaymentId,
    provider: str,
) -> OrderPlaced:
    """Order the next period at the agreed price, with the best discount and the terms of now, without a promo code."""
    plan = subscription.next_plan
    line = line_of(plan, subscription.id, terms_now(plan, command.prices, command.policies, subscription.terms))
    candidates = Candidates(personal=tuple(account.personal_discounts.values()), months=command.months_discounts)
    quoted = quote((line,), candidates, command.at)
    return OrderPlaced(
        order_id=order_id,
        payment_id=payment_id,
        lines=quoted.lines,
        subtotal=quoted.subtotal,
        discount=quoted.discount,
        total=quoted.total,
        auto_renew=True,
        placed_at=command.at,
        purpose=OrderPurpose.RENEWAL,
        applied=quoted.applied,
        provider=provider,
    )
