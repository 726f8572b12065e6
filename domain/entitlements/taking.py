"""Access that went with its money: what exactly was taken, and how it is given again when the money did not go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.entitlements.state import TakenAccess
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.terms import under
from domain.records import replace
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionEnded, SubscriptionRestored, SubscriptionShortened
from domain.subscriptions.roles import holder_of
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import OrderId
    from domain.subscriptions.state import PaidPeriod, Subscription


def taken_by(account: Account, events: tuple[AccountEvent, ...], now: datetime) -> tuple[TakenAccess, ...]:
    """Return what these events take back. `account` is the state before them."""
    found: list[TakenAccess] = []
    for event in events:
        if isinstance(event, SubscriptionShortened | SubscriptionEnded):
            stays = event.paid if isinstance(event, SubscriptionShortened) else ()
            found += _periods_of(account.subscriptions[event.subscription_id], stays, now)
        elif isinstance(event, EntitlementEnded):
            held = account.entitlements[event.resource]
            if held.subscription_id is None:
                found.append(TakenAccess(resource=event.resource, taken_at=now, until=held.until))
        account = evolve(account, event)
    return tuple(found)


def _periods_of(subscription: Subscription, stays: tuple[PaidPeriod, ...], now: datetime) -> list[TakenAccess]:
    """Return what is left of the paid periods that do not stay, or of the part of one that does not."""
    at = subscription.clock(now)
    kept = {period.order_id: period for period in stays}
    return [
        TakenAccess(
            resource=subscription.resource,
            taken_at=at,
            subscription_id=subscription.id,
            period=_part_taken(period, kept.get(period.order_id)),
        )
        for period in subscription.paid
        if period.end > at and not _stays_whole(period, kept.get(period.order_id))
    ]


def _stays_whole(period: PaidPeriod, kept: PaidPeriod | None) -> bool:
    """Tell whether a period stays with all of its money; it may have moved."""
    return kept is not None and kept.sources == period.sources


def _part_taken(period: PaidPeriod, stays: PaidPeriod | None) -> PaidPeriod:
    """Return the time at the end of a period that does not stay, with its money."""
    if stays is None:
        return period
    kept = {source.payment_id: source.amount for source in stays.sources}
    sources = (replace(source, amount=source.amount - kept.get(source.payment_id, 0)) for source in period.sources)
    return replace(period, start=stays.end, sources=tuple(source for source in sources if source.amount > 0))


def give_again(
    account: Account, order_id: OrderId, taken: tuple[TakenAccess, ...], command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Give what was taken back once more, for as long as it would have lasted, from now on.

    The rest of a paid period follows what runs by now, or starts the subscription again; it does not renew by itself
    unless the subscription that runs does. Where another plan gives the role by now, or the subscription is of another
    plan itself, the time is not given: its money can be refunded.
    """
    events: list[AccountEvent] = []
    for each in taken:
        if each.period is None:
            events += _film_again(account, order_id, each, command)
        else:
            events += _period_again(account, each, command)
    return tuple(events)


def _film_again(
    account: Account, order_id: OrderId, taken: TakenAccess, command: Command[object]
) -> tuple[AccountEvent, ...]:
    until = None if taken.until is None else command.at + (taken.until - taken.taken_at)
    held = account.entitlements.get(taken.resource)
    if held is not None and (held.until is None or (until is not None and held.until >= until)):
        return ()
    granted = EntitlementGranted(
        resource=taken.resource, until=until, reason="purchase", order_id=order_id, subscription_id=None
    )
    return (granted,)


def _period_again(account: Account, taken: TakenAccess, command: Command[object]) -> tuple[AccountEvent, ...]:
    period = taken.period
    if period is None or taken.subscription_id is None:
        return ()
    before = account.subscriptions[taken.subscription_id]
    running = holder_of(account, taken.resource)
    subscription = before if running is None else running
    lines = account.orders[period.order_id].lines
    if (subscription.product_id, subscription.resource) not in {(line.product_id, line.resource) for line in lines}:
        return ()
    now, policies = subscription.clock(command.at), under(subscription.terms, command.policies)
    start = now if running is None else max(running.period_end, now)
    end = start + (period.end - max(period.start, taken.taken_at))
    lasting = () if running is None else tuple(each for each in running.paid if each.end > now)
    auto_renew, is_paused = subscription.auto_renew, subscription.paused_at is not None
    ends = renewal.access_end(end, auto_renew=auto_renew, policies=policies)
    restored = SubscriptionRestored(
        subscription_id=subscription.id,
        order_id=period.order_id,
        anchor=end,
        paid=_with_again(lasting, period, end, end - start),
        period_start=start if running is None else running.period_start,
        period_end=end,
        access_end=ends,
        renew_at=renewal.first_attempt(subscription, start, end, policies) if auto_renew and not is_paused else None,
        restored_at=command.at,
    )
    closing = () if running is None else close_renewal(account, running, command, CloseReason.CANCELLED)
    rests = () if is_paused else (renewal.access(subscription, ends, period.order_id),)
    return (*closing, restored, *rests)


def _with_again(
    lasting: tuple[PaidPeriod, ...], period: PaidPeriod, end: datetime, length: timedelta
) -> tuple[PaidPeriod, ...]:
    """Return the paid periods with `length` of one given again: what its order still has grows by it, else it is last.

    It stands so that its unused part begins where it is given, and what was used of it before stays used.
    """
    used = period.end - period.start - length
    held = next((each for each in lasting if each.order_id == period.order_id), None)
    if held is None:
        return (*lasting, replace(period, start=end - length - used, end=end))
    amounts = {source.payment_id: source.amount for source in held.sources}
    for source in period.sources:
        amounts[source.payment_id] = amounts.get(source.payment_id, 0) + source.amount
    sources = tuple(Source(payment_id=payment_id, amount=amount) for payment_id, amount in amounts.items())
    grown = replace(held, start=held.start - used, end=held.end + length, sources=sources)
    return tuple(
        grown if each is held else renewal.moved(each, length) if each.start >= held.end else each for each in lasting
    )
