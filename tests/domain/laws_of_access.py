"""Access is what was paid for or given, as it was agreed: no less, no more, and once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.balance.events import BalancePaid
from domain.catalog.state import ProductKind
from domain.disputes.state import DisputeStatus
from domain.orders.events import OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OrderPurpose
from domain.payments.events import PaymentSucceeded
from domain.policies.settings import DisputeAccess, RefundAccess
from domain.refunds.state import RefundedBy, RefundStatus
from domain.subscriptions.events import (
    AccessBlocked,
    PlanChanged,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionEvent,
    SubscriptionExtended,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from tests.domain.spec import OFFERS, POLICIES
from tests.domain.world import of

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ids import OrderId
    from domain.payments.state import Payment
    from tests.domain.world import World


LONGEST_MONTH = timedelta(days=31)
LONGEST_TRIAL = timedelta(days=max(offer.price.trial_days or 0 for offer in OFFERS.values()))


def no_access_without_money(world: World) -> None:
    """Each right to watch comes from an order that was paid, and no time is given that nobody paid or gave."""
    fulfilled = {event.order_id for event in of(world, OrderFulfilled)}
    orders = {placed.order_id: placed for placed in of(world, OrderPlaced) if placed.order_id in fulfilled}
    paid = {event.order_id for event in (*of(world, PaymentSucceeded), *of(world, BalancePaid))}
    for resource, held in world.account.entitlements.items():
        assert held.order_id in orders, held
        assert held.order_id in paid or _costs_nothing(orders[held.order_id])
        line = next(line for line in orders[held.order_id].lines if line.resource == resource)
        if line.kind is ProductKind.SUBSCRIPTION:
            assert held.subscription_id is not None
            assert held.until is not None
            subscription = world.account.subscriptions[held.subscription_id]
            assert subscription.is_running
            assert subscription.paused_at is None
            assert held.until == subscription.access_end
            grace = POLICIES.grace if subscription.terms is None else subscription.terms.grace
            assert grace is not None
            assert held.until <= subscription.period_end + grace
            _bought_time_covers(world, orders, resource, subscription.period_end)
        else:
            assert held.until is None or line.validity_days is not None


def _bought_time_covers(world: World, orders: dict[Any, OrderPlaced], resource: str, end: datetime) -> None:
    lines = [
        line
        for order in orders.values()
        for line in order.lines
        if line.resource == resource and order.purpose is not OrderPurpose.TRIAL
    ]
    trials = sum(order.purpose is OrderPurpose.TRIAL for order in orders.values())
    bought = sum(
        (
            timedelta(days=line.period.count * line.quantity)
            if line.period.unit == "day"
            else LONGEST_MONTH * line.period.count * line.quantity
            for line in lines
            if line.period is not None
        ),
        timedelta(0),
    )
    given = sum((timedelta(days=event.days) for event in of(world, SubscriptionExtended)), timedelta(0))
    # Where there is no grace, a plan that changes at the end begins with its charge, that much before the end.
    early = world.policies.end_lead_without_grace
    assert end - world.now <= bought + given + trials * LONGEST_TRIAL + early, (resource, end, world.now)


def _costs_nothing(order: OrderPlaced) -> bool:
    return order.total.amount == 0 or order.total == order.credit


def what_runs_gives_access_unless_it_rests(world: World) -> None:
    for held in world.account.subscriptions.values():
        if held.is_running:
            right = world.account.entitlements.get(held.resource)
            assert (right is None) == (held.paused_at is not None), held
            assert right is None or right.subscription_id == held.id


def nobody_pays_for_time_without_access(world: World) -> None:
    """A period that begins before its money came joins the one before, whose access had not ended."""
    access: dict[str, datetime] = {}
    paused: set[str] = set()
    for event in world.log:
        match event:
            case SubscriptionRenewed():
                assert event.subscription_id not in paused
                assert event.period_start >= event.renewed_at or access[event.subscription_id] >= event.renewed_at
                access[event.subscription_id] = event.access_end
            case SubscriptionPaused():
                paused.add(event.subscription_id)
            case SubscriptionContinued():
                paused.remove(event.subscription_id)
                access[event.subscription_id] = event.access_end
            case SubscriptionShortened():
                access[event.subscription_id] = event.period_end
            case SubscriptionEnded():
                paused.discard(event.subscription_id)
                access[event.subscription_id] = event.ended_at
            case _:
                if isinstance(event, SubscriptionEvent) and hasattr(event, "access_end"):
                    access[event.subscription_id] = event.access_end


def a_product_is_tried_once(world: World) -> None:
    had: set[str] = set()
    for event in world.log:
        if isinstance(event, SubscriptionStarted):
            assert not (event.is_trial and event.product_id in had)
            had.add(event.product_id)
        elif isinstance(event, PlanChanged):
            had.add(event.plan.product_id)


def lost_money_gives_no_access(world: World) -> None:
    """What a payment bought is gone when a dispute took all of its money for good, unless the policy lets it stay."""
    if world.policies.dispute_access is DisputeAccess.NEVER:
        return
    for dispute in world.account.disputes.values():
        payment = world.account.payments[dispute.payment_id]
        is_all = dispute.withheld + payment.refunded >= payment.amount.amount
        order = world.account.orders[payment.order_id]
        if dispute.status is not DisputeStatus.LOST or not is_all or order.payment_id != payment.id:
            continue
        assert not any(
            held.order_id == order.id and held.subscription_id is None for held in world.account.entitlements.values()
        )
        assert not any(
            period.order_id == order.id and period.end > world.now
            for held in world.account.subscriptions.values()
            for period in held.paid
            if held.is_running
        )


def paying_for(world: World) -> dict[OrderId, list[Payment]]:
    """Return what each order was paid with, by money and out of the balance."""
    found: dict[OrderId, list[Payment]] = {}
    for event in (*of(world, OrderPaid), *of(world, BalancePaid)):
        payment = world.account.payments[event.payment_id]
        if payment not in found.setdefault(event.order_id, []):
            found[event.order_id].append(payment)
    return found


def the_money_that_stays_pays_for_the_time_that_stays(world: World) -> None:
    """What is left of the time that an order bought costs no more, at its price, than what was not given back of it.

    What went back counts against its time first, but for the price of films that went as well.
    """
    if world.policies.refund_access is RefundAccess.KEEPS:
        return
    bought = {
        (event.subscription_id, event.order_id): event.paid[-1]
        for event in (*of(world, SubscriptionStarted), *of(world, SubscriptionRenewed))
        if event.paid
    }
    disputed = {dispute.payment_id for dispute in world.account.disputes.values()}
    for paid_order_id, payments in paying_for(world).items():
        ids = {payment.id for payment in payments}
        back = [
            refund.amount.amount
            for refund in world.account.refunds.values()
            if refund.payment_id in ids
            and refund.status is RefundStatus.SUCCEEDED
            and refund.requested_by is not RefundedBy.POLICY
        ]
        if not back or ids & disputed:
            continue
        worth = paid = 0
        for (subscription_id, order_id), whole in bought.items():
            if order_id == paid_order_id:
                price = sum(source.amount for source in whole.sources)
                paid += price
                held = world.account.subscriptions[subscription_id]
                now = held.clock(world.now)
                left = sum(
                    ((period.end - max(period.start, now)) for period in held.paid if period.order_id == order_id),
                    timedelta(0),
                )
                worth += price * max(0, int(left.total_seconds())) // int((whole.end - whole.start).total_seconds())
        rights = world.account.entitlements
        films = sum(
            line.net.amount
            for line in world.account.orders[paid_order_id].lines
            if line.kind is ProductKind.FILM
            and not (line.resource in rights and rights[line.resource].order_id == paid_order_id)
        )
        assert worth <= max(0, paid + films - sum(back)) + len(back), (payments, worth, paid, films, back)


def what_was_paid_back_whole_gives_no_access(world: World) -> None:
    if world.policies.refund_access is RefundAccess.KEEPS:
        return
    disputed = {dispute.payment_id for dispute in world.account.disputes.values()}
    for order_id, payments in paying_for(world).items():
        ids = {payment.id for payment in payments}
        if ids & disputed or any(payment.refunded < payment.amount.amount for payment in payments):
            continue
        held = world.account.entitlements.values()
        assert not any(right.order_id == order_id and right.subscription_id is None for right in held)
        assert not any(
            period.order_id == order_id
            and period.end > plan.clock(world.now)
            and {source.payment_id for source in period.sources} <= ids
            for plan in world.account.subscriptions.values()
            for period in plan.paid
            if plan.is_running
        )


def what_was_agreed_holds(world: World) -> None:
    """Access, dunning and the times of renewals are by the terms of the order that paid, whatever changed since."""
    lines = {(placed.order_id, line.resource): line.terms for placed in of(world, OrderPlaced) for line in placed.lines}
    for event in world.log:
        if isinstance(event, SubscriptionStarted):
            terms = lines[event.order_id, event.resource]
        elif isinstance(event, SubscriptionRenewed):
            terms = event.terms
            assert terms in {agreed for (order_id, _), agreed in lines.items() if order_id == event.order_id}
        else:
            continue
        assert terms is not None
        assert terms == event.terms
        assert terms.grace is not None
        assert event.access_end == event.period_end + (terms.grace if event.auto_renew else timedelta(0))


def no_role_has_two_subscriptions(world: World) -> None:
    running = Counter(held.resource for held in world.account.subscriptions.values() if held.is_running)
    assert all(times == 1 for times in running.values())
    blocked: set[str] = set()
    for event in world.log:
        if isinstance(event, SubscriptionRenewed):
            blocked.discard(event.subscription_id)
        elif isinstance(event, AccessBlocked):
            assert event.subscription_id not in blocked, "blocked twice without money between"
            blocked.add(event.subscription_id)


LAWS = (
    no_access_without_money,
    what_runs_gives_access_unless_it_rests,
    nobody_pays_for_time_without_access,
    a_product_is_tried_once,
    lost_money_gives_no_access,
    the_money_that_stays_pays_for_the_time_that_stays,
    what_was_paid_back_whole_gives_no_access,
    what_was_agreed_holds,
    no_role_has_two_subscriptions,
)
