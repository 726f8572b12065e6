"""Decisions about refunds: never more than was paid, and access only goes when the money does."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.catalog.state import ProductKind
from domain.disputes.state import DisputeStatus
from domain.effects import RefundAnswerStatus
from domain.entitlements.events import EntitlementEnded
from domain.entitlements.taking import give_again, taken_by
from domain.errors import PaymentUnknown, RefundUnknown
from domain.ids import EffectId, derive
from domain.payments.closing import close_renewal
from domain.payments.state import CloseReason
from domain.policies.settings import DisputeAccess, RefundAccess, delay
from domain.refunds import rules
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundRequested,
    RefundReversed,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.refunds.state import Refund, RefundedBy, RefundStatus
from domain.subscriptions import renewal
from domain.subscriptions.events import SubscriptionEnded
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.effects import RefundAnswer
    from domain.ids import OrderId, RefundId
    from domain.orders.state import OrderLine
    from domain.payments.state import Payment
    from domain.refunds.commands import AnswerRefund, RepeatRefund, RequestRefund, SweepRefund
    from domain.subscriptions.state import Subscription


def request(account: Account, asked: RequestRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Reserve the amount and ask the provider for it. Raises DomainError."""
    payment = account.payments.get(asked.payment_id)
    if payment is None:
        raise PaymentUnknown(payment_id=asked.payment_id)
    allowed = rules.allowance(account, payment, command.at, command.policies, by_manager=asked.by_manager)
    amount = rules.asked_amount(payment, asked.amount, allowed)
    rules.require_divisible(account, payment, amount, allowed, command)
    reason = asked.reason or ("requested by a manager" if asked.by_manager else "requested by the customer")
    requested = rules.request(
        payment,
        command,
        amount=amount,
        reason=reason,
        rule=allowed.rule,
        requested_by=RefundedBy.MANAGER if asked.by_manager else RefundedBy.CUSTOMER,
        ends_access=rules.ends_access(amount, allowed, command.policies),
    )
    credit = allowed.credit if amount == allowed.amount else ()
    return (requested, *(_credit(account, source, reason, allowed.rule, command) for source in credit))


def _credit(account: Account, source: Source, reason: str, rule: str, command: Command[object]) -> RefundRequested:
    """Give back the credit that was part of the price."""
    return rules.request(
        account.payments[source.payment_id],
        command,
        amount=source.amount,
        reason=reason,
        rule=rule,
        requested_by=RefundedBy.CUSTOMER,
        ends_access=False,
    )


def answer(account: Account, answered: AnswerRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take what the provider says of a refund; a second word of the same end changes nothing."""
    refund = _known(account, answered.refund_id)
    said = answered.answer
    if refund.status is RefundStatus.SUCCEEDED and said.status is RefundAnswerStatus.FAILED:
        return _reverse(account, refund, said, command)
    if refund.status in {RefundStatus.SUCCEEDED, RefundStatus.FAILED}:
        return ()
    match said.status:
        case RefundAnswerStatus.UNKNOWN:
            return ()  # the call stays open and its timer repeats it
        case RefundAnswerStatus.PENDING:
            if said.reference is None:
                return ()
            sweep_at = command.at + delay(command.policies.sweep_delays, refund.sweeps + 1)
            submitted = RefundSubmitted(
                refund_id=refund.id, payment_id=refund.payment_id, reference=said.reference, sweep_at=sweep_at
            )
            return (submitted,)
        case RefundAnswerStatus.SUCCEEDED:
            gone = _take_back(account, refund, command)
            succeeded = RefundSucceeded(
                refund_id=refund.id,
                payment_id=refund.payment_id,
                order_id=refund.order_id,
                amount=refund.amount,
                reference=said.reference or refund.reference or "",
                taken=taken_by(account, refund.order_id, gone, command.at),
            )
            return (succeeded, *gone)
        case RefundAnswerStatus.FAILED:
            failed = RefundFailed(
                refund_id=refund.id,
                payment_id=refund.payment_id,
                amount=refund.amount,
                reason=said.detail or "the provider refused the refund",
            )
            return (failed,)
        case _:
            assert_never(said.status)


def _reverse(
    account: Account, refund: Refund, said: RefundAnswer, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Take the money back into the books, and give again what had gone with it.

    It counts only where the provider says so of the refund that we know by its name: that a call was refused, such as
    a late repeat of one that had succeeded, says nothing of the money. A film that another refund took because
    everything had gone is given again, too, since not everything has. What a lost dispute holds stays gone.
    """
    if said.reference is None or said.reference != refund.reference:
        return ()
    others = (
        each
        for held in account.refunds.values()
        if held.payment_id == refund.payment_id and held.id != refund.id and held.access is RefundAccess.FOLLOWS
        for each in held.taken
        if each.period is None
    )
    restored = (*refund.taken, *others)
    if _is_lost(account, account.payments[refund.payment_id], refund, command):
        restored = ()
    reversed_ = RefundReversed(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        amount=refund.amount,
        reason=said.detail or "the customer's bank did not take the money",
        reversed_at=command.at,
        restored=restored,
    )
    return (reversed_, *give_again(account, refund.order_id, restored, command))


def _is_lost(account: Account, payment: Payment, refund: Refund, command: Command[object]) -> bool:
    """Tell whether all of the payment's money is gone also without the refund, for good."""
    lost = sum(
        dispute.withheld
        for dispute in account.disputes.values()
        if dispute.payment_id == payment.id and dispute.status is DisputeStatus.LOST
    )
    is_whole = lost + payment.refunded - refund.amount.amount >= payment.amount.amount
    return lost > 0 and is_whole and command.policies.dispute_access is not DisputeAccess.NEVER


def repeat(account: Account, asked: RepeatRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask again where nothing was answered: the same effect id, so the money moves once."""
    refund = _known(account, asked.refund_id)
    call = refund.call
    if call is None or call.effect_id != asked.effect_id or call.attempt != asked.attempt:
        return ()
    return (_asked_again(refund, command, call.effect_id, attempt=call.attempt + 1, sweeps=refund.sweeps),)


def sweep(account: Account, asked: SweepRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Ask how a refund stands that the provider took and never told about again."""
    refund = _known(account, asked.refund_id)
    if refund.sweep_at is None or refund.sweeps + 1 != asked.sweep:
        return ()
    # A call of its own: an attempt that was made before would have its answer and its timer taken for repeats.
    effect_id = EffectId(derive(refund.id, f"sweep {asked.sweep}"))
    return (_asked_again(refund, command, effect_id, attempt=1, sweeps=asked.sweep),)


def _asked_again(
    refund: Refund, command: Command[object], effect_id: EffectId, *, attempt: int, sweeps: int
) -> RefundCallRepeated:
    return RefundCallRepeated(
        refund_id=refund.id,
        effect_id=effect_id,
        attempt=attempt,
        sweeps=sweeps,
        asked_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, attempt),
    )


def _take_back(account: Account, refund: Refund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take back what the refunded money had bought, by the policy that the refund was asked for under."""
    if refund.access is RefundAccess.KEEPS:
        return ()
    payment, amount = account.payments[refund.payment_id], refund.amount.amount
    is_whole = rules.is_whole(account, payment, amount)
    if is_whole or refund.ends_access:
        ends_all = refund.access is RefundAccess.ENDS and refund.ends_access and refund.rule != rules.UNUSED
        return take_back(account, payment, command, is_whole=is_whole or ends_all)
    if refund.requested_by is RefundedBy.POLICY:
        return ()
    events: list[AccountEvent] = []
    for subscription, period, share in rules.shares(account, payment, amount, command.at):
        paid_back = Source(payment_id=payment.id, amount=share)
        events += _without(account, subscription, period.order_id, command, paid_back)
    return tuple(events)


def take_back(
    account: Account, payment: Payment, command: Command[object], *, is_whole: bool
) -> tuple[AccountEvent, ...]:
    """Take back the periods that a payment bought, and what it bought besides when all of its money is gone."""
    events: list[AccountEvent] = []
    for line in account.orders[payment.order_id].lines:
        if line.kind is ProductKind.SUBSCRIPTION:
            events += _take_back_period(account, payment, line, command)
        elif is_whole:
            events += _take_back_film(account, payment, line, command)
    return tuple(events)


def _take_back_film(
    account: Account, payment: Payment, line: OrderLine, command: Command[object]
) -> tuple[AccountEvent, ...]:
    held = account.entitlements.get(line.resource)
    if held is None or held.order_id != payment.order_id:
        return ()
    return (EntitlementEnded(resource=line.resource, ended_at=command.at),)


def _take_back_period(
    account: Account, payment: Payment, line: OrderLine, command: Command[object]
) -> tuple[AccountEvent, ...]:
    subscription = next(
        (held for held in account.subscriptions.values() if held.is_running and held.resource == line.resource), None
    )
    if subscription is None or not _paid_for(payment, subscription):
        return ()
    return _without(account, subscription, payment.order_id, command)


def _paid_for(payment: Payment, subscription: Subscription) -> bool:
    """Tell whether it was this payment that bought the order's time, and not another one of an order paid twice."""
    sources = (
        source for period in subscription.paid if period.order_id == payment.order_id for source in period.sources
    )
    return any(source.payment_id == payment.id for source in sources)


def _without(
    account: Account,
    subscription: Subscription,
    order_id: OrderId,
    command: Command[object],
    paid_back: Source | None = None,
) -> tuple[AccountEvent, ...]:
    """Take the time that an order paid for out of a subscription, or that part of it that some money bought."""
    now = subscription.clock(command.at)
    shortened = renewal.without(subscription, order_id, now, paid_back)
    if shortened is None:
        return ()
    closing = close_renewal(account, subscription, command, CloseReason.CANCELLED)
    if shortened.period_end > now:
        held_on = () if subscription.paused_at else (renewal.access(subscription, shortened.period_end),)
        return (*closing, shortened, *held_on)
    ended: list[AccountEvent] = [*closing, SubscriptionEnded(subscription_id=subscription.id, ended_at=command.at)]
    held = account.entitlements.get(subscription.resource)
    if held is not None and held.subscription_id == subscription.id:
        ended.append(EntitlementEnded(resource=subscription.resource, ended_at=command.at))
    return tuple(ended)


def _known(account: Account, refund_id: RefundId) -> Refund:
    refund = account.refunds.get(refund_id)
    if refund is None:
        raise RefundUnknown(refund_id=refund_id)
    return refund
