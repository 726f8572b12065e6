"""Changes of plan: now, with the rest of the old one as credit; at the end of the period; new prices with notice."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve as evolve_account
from domain.calendar import end_of
from domain.disputes import owing
from domain.errors import (
    AlreadyEntitled,
    CurrencyMismatch,
    MigrationInvalid,
    OrderOpen,
    PlanChangeRefused,
    PlanUnchanged,
)
from domain.ids import OrderId, PaymentId, derive
from domain.money import Money
from domain.orders.events import OrderAlreadyPlaced, OrderPlaced
from domain.orders.state import OPEN_STATUSES, OrderPurpose
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.settings import PlanChangeRemainder
from domain.policies.terms import under
from domain.pricing.quote import Candidates, quote
from domain.records import replace
from domain.refunds import giving, parts
from domain.refunds.state import RefundedBy
from domain.subscriptions import renewal
from domain.subscriptions.events import (
    PlanChanged,
    PlanChangeDropped,
    PlanChangeScheduled,
    SubscriptionRenewed,
)
from domain.subscriptions.evolve import evolve
from domain.subscriptions.lines import line_of, offer_of, plan_of, plan_on_sale, terms_now
from domain.subscriptions.roles import holder_of
from domain.subscriptions.state import PaidPeriod, Plan, PlannedChange, Source, SubscriptionStatus, one_unit

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.ids import PriceId, SubscriptionId
    from domain.orders.state import Order, OrderLine
    from domain.subscriptions.commands import ChangePlan, MigratePrice
    from domain.subscriptions.state import Subscription

CHANGED_MEANWHILE = "the subscription changed in the meantime"
REST = "the rest of the old plan"
_CHANGEABLE = frozenset(
    {
        SubscriptionStatus.TRIALING,
        SubscriptionStatus.ACTIVE,
        SubscriptionStatus.PAST_DUE,
        SubscriptionStatus.GRACE,
    }
)


def at_end(
    account: Account, subscription: Subscription, asked: ChangePlan, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Begin another plan with the next period; the present one drops the change. Repeated, it changes nothing.

    Raises DomainError.
    """
    if asked.price_id == subscription.price_id and _is_leaving(subscription):
        return _drop(account, subscription, command)
    plan = _plan(account, subscription, asked.price_id, command)
    if _is_leaving(subscription) and subscription.next_plan == plan:
        return ()
    change = PlannedChange(plan=plan)
    policies = under(subscription.terms, command.policies)
    charge_at = renewal.at_end(subscription.period_start, subscription.period_end, policies)
    scheduled = PlanChangeScheduled(
        subscription_id=subscription.id,
        change=change,
        renew_at=max(charge_at, command.at) if _renews(subscription) else None,
        announced_at=command.at,
    )
    return (*close_renewal(account, subscription, command, CloseReason.CANCELLED), scheduled)


def _is_leaving(subscription: Subscription) -> bool:
    """Tell whether the customer chose another plan for the next period."""
    return subscription.planned is not None and not subscription.planned.is_migration


def _drop(account: Account, subscription: Subscription, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Stay with the present plan after all, at the price that was announced for it, if there was one."""
    staying = replace(subscription, planned=subscription.announced)
    policies = under(subscription.terms, command.policies)
    first = renewal.first_attempt(staying, staying.period_start, staying.period_end, policies)
    dropped = PlanChangeDropped(
        subscription_id=subscription.id,
        renew_at=max(first, command.at) if _renews(subscription) else None,
        planned=staying.planned,
    )
    return (*close_renewal(account, subscription, command, CloseReason.CANCELLED), dropped)


def migrate(
    account: Account, subscription: Subscription, asked: MigratePrice, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Announce a new price of the same product, for periods that begin after the notice. Raises DomainError."""
    plan = _plan(account, subscription, asked.price_id, command)
    if plan.product_id != subscription.product_id or plan.period != subscription.period:
        raise MigrationInvalid(reason="the new price must be of the same product and for the same period")
    notice, ahead_max = command.policies.migration_notice, command.policies.migration_ahead_max
    if asked.effective_at < command.at + notice:
        raise MigrationInvalid(reason=f"it needs {notice.days} days of notice")
    if asked.effective_at > command.at + ahead_max:
        raise MigrationInvalid(reason=f"it may be announced {ahead_max.days} days ahead at most")
    change = PlannedChange(plan=plan, not_before=asked.effective_at)
    if _is_leaving(subscription) or subscription.planned == change:
        return ()
    scheduled = PlanChangeScheduled(
        subscription_id=subscription.id, change=change, renew_at=subscription.renew_at, announced_at=command.at
    )
    return (scheduled,)


def now(
    account: Account, subscription: Subscription, asked: ChangePlan, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Order the new plan from now on; what is left of the old one is taken off the price. Raises DomainError."""
    plan = _plan(account, subscription, asked.price_id, command)
    if subscription.status not in _CHANGEABLE:
        raise PlanChangeRefused(subscription_id=subscription.id, reason=f"it is {subscription.status}")
    if parts.is_being_paid_back(account, subscription):
        raise PlanChangeRefused(subscription_id=subscription.id, reason="money of it is being given back")
    earlier = _open_change(account, subscription.id)
    if earlier is not None:
        if earlier.lines[0].price_id != plan.price_id:
            raise OrderOpen(order_id=earlier.id)
        return (OrderAlreadyPlaced(order_id=earlier.id),)
    candidates = Candidates(personal=tuple(account.personal_discounts.values()), months=command.months_discounts)
    line = line_of(plan, subscription.id, terms_now(plan, command.prices, command.policies, None))
    quoted = quote((line,), candidates, command.at)
    unused = parts.unused_sources(account, subscription, command.at)
    rest = sum(source.amount for source in unused)
    placed = OrderPlaced(
        order_id=OrderId(derive(command.id, "order")),
        payment_id=PaymentId(derive(command.id, "payment")),
        lines=quoted.lines,
        subtotal=quoted.subtotal,
        discount=quoted.discount,
        total=quoted.total,
        auto_renew=subscription.auto_renew,
        placed_at=command.at,
        purpose=OrderPurpose.PLAN_CHANGE,
        applied=quoted.applied,
        provider=asked.provider,
        return_url=asked.return_url,
        credit=Money(amount=min(rest, quoted.total.amount), currency=quoted.total.currency),
        credited=tuple(period.order_id for period in subscription.paid),
    )
    return (placed,)


def still_fits(account: Account, order: Order) -> bool:
    """Tell whether the subscription is still as it was when the change was ordered: its credit is still there."""
    subscription = _of(account, order)
    if subscription is None or subscription.status not in _CHANGEABLE:
        return False
    held = {period.order_id for period in subscription.paid}
    line = order.lines[0]
    return (
        subscription.price_id != line.price_id
        and holder_of(account, line.resource, besides=subscription.id) is None
        and held >= set(order.credited)
        and not parts.was_paid_back_since(account, subscription, order.placed_at)
    )


def still_renews(account: Account, order: Order) -> bool:
    """Tell whether a renewal is of the plan that the subscription has or is to have, and its role is nobody else's.

    The renewal that is being paid is as it was agreed, whatever price was announced since.
    """
    subscription, line = _of(account, order), order.lines[0]
    if subscription is None or holder_of(account, line.resource, besides=subscription.id) is not None:
        return False
    if order.id == subscription.renewal_order_id or line.price_id == subscription.price_id:
        return True
    return subscription.planned is not None and line.price_id == subscription.planned.plan.price_id


def changed(
    account: Account, order: Order, line: OrderLine, sources: tuple[Source, ...], command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Begin the new plan: a whole period from now on. What is left of the credit goes back."""
    subscription = _of(account, order)
    if subscription is None or order.credit is None or line.period is None:
        raise AssertionError(f"the order {order.id} changes no plan")
    changing = PlanChanged(subscription_id=subscription.id, order_id=order.id, plan=plan_of(line))
    after = evolve(subscription, changing)
    start = command.at
    units = line.period.count * line.quantity
    end = end_of(start, one_unit(line.period.unit), units)
    policies = under(line.terms, command.policies)
    access_end = renewal.access_end(end, auto_renew=after.auto_renew, policies=policies)
    unused = parts.unused_sources(account, subscription, start)
    carried, rest = _split(unused, order.credit.amount)
    begun = SubscriptionRenewed(
        subscription_id=subscription.id,
        order_id=order.id,
        anchor=start,
        units=units,
        period_start=start,
        period_end=end,
        access_end=access_end,
        auto_renew=after.auto_renew,
        renew_at=renewal.first_attempt_at(start, end, policies) if after.auto_renew else None,
        renewed_at=start,
        paid=(PaidPeriod(order_id=order.id, start=start, end=end, sources=(*carried, *sources)),),
        terms=line.terms,
    )
    events: tuple[AccountEvent, ...] = (
        *close_renewal(account, subscription, command, CloseReason.CANCELLED),
        changing,
        *renewal.moved_access(subscription, line.resource, start),
        begun,
        renewal.access(after, access_end, order.id),
    )
    back = _give_back(reduce(evolve_account, events, account), rest, command)
    if command.policies.plan_change_remainder is PlanChangeRemainder.KEEP:
        return (*events, *back)
    return (*events, *owing.note(account, subscription, command), *back)


def _give_back(account: Account, rest: tuple[Source, ...], command: Command[object]) -> tuple[AccountEvent, ...]:
    remainder = command.policies.plan_change_remainder
    if remainder is PlanChangeRemainder.KEEP:
        return ()
    return giving.give_back(
        account,
        rest,
        command,
        reason="the new plan costs less than what was left of the old one",
        rule=REST,
        requested_by=RefundedBy.POLICY,
        onto_balance=remainder is PlanChangeRemainder.CREDIT,
    )


def _split(sources: tuple[Source, ...], amount: int) -> tuple[tuple[Source, ...], tuple[Source, ...]]:
    """Split money into what makes up an amount, the oldest first, and the rest."""
    taken: list[Source] = []
    rest: list[Source] = []
    for source in sources:
        part = min(source.amount, amount)
        amount -= part
        if part:
            taken.append(Source(payment_id=source.payment_id, amount=part))
        if source.amount > part:
            rest.append(Source(payment_id=source.payment_id, amount=source.amount - part))
    return tuple(taken), tuple(rest)


def _plan(account: Account, subscription: Subscription, price_id: PriceId, command: Command[object]) -> Plan:
    plan = plan_on_sale(offer_of(price_id, command))
    if plan.price_id == subscription.price_id:
        raise PlanUnchanged(subscription_id=subscription.id, price_id=price_id)
    if plan.price.currency != subscription.price.currency:
        raise CurrencyMismatch(left=subscription.price.currency, right=plan.price.currency)
    if holder_of(account, plan.resource, besides=subscription.id) is not None:
        raise AlreadyEntitled(resource=plan.resource)
    return plan


def _open_change(account: Account, subscription_id: SubscriptionId) -> Order | None:
    return next(
        (
            order
            for order in account.orders.values()
            if order.purpose is OrderPurpose.PLAN_CHANGE
            and order.status in OPEN_STATUSES
            and order.lines[0].subscription_id == subscription_id
        ),
        None,
    )


def _of(account: Account, order: Order) -> Subscription | None:
    subscription_id = order.lines[0].subscription_id
    return None if subscription_id is None else account.subscriptions.get(subscription_id)


def _renews(subscription: Subscription) -> bool:
    return subscription.auto_renew and subscription.status is not SubscriptionStatus.PAUSED
