"""Decisions about refunds: never more than was paid, and access only goes when the money does."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, assert_never

from domain.account.evolve import evolve
from domain.balance.state import BALANCE
from domain.disputes.state import DisputeStatus
from domain.effects import RefundAnswerStatus
from domain.entitlements.taking import give_again
from domain.errors import PaymentUnknown, RefundUnknown
from domain.ids import EffectId, derive
from domain.policies.settings import DisputeAccess, RefundAccess, delay
from domain.refunds import giving, rules
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundReinstated,
    RefundReversed,
    RefundSubmitted,
)
from domain.refunds.state import CREDIT, Refund, RefundedBy, RefundStatus
from domain.subscriptions.state import Source

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.effects import RefundAnswer
    from domain.ids import RefundId
    from domain.payments.state import Payment
    from domain.refunds.commands import AnswerRefund, RepeatRefund, RequestRefund, SweepRefund


def request(account: Account, asked: RequestRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Reserve the amount and ask the provider for it; what the balance paid is back at once. Raises DomainError.

    Who names no amount gets the rest of the price too: what the balance paid beside the payment, and a credit of
    earlier ones. The money of the order goes first, since access goes with it.
    """
    payment = account.payments.get(asked.payment_id)
    if payment is None:
        raise PaymentUnknown(payment_id=asked.payment_id)
    allowed = rules.allowance(account, payment, command.at, command.policies, by_manager=asked.by_manager)
    amount = rules.asked_amount(payment, asked.amount, allowed)
    is_all = rules.is_all(amount, asked.amount, allowed)
    if not is_all:
        rules.require_divisible(account, payment, amount, allowed, command)
    reason = asked.reason or ("requested by a manager" if asked.by_manager else "requested by the customer")
    requested_by = RefundedBy.MANAGER if asked.by_manager else RefundedBy.CUSTOMER
    sources = [Source(payment_id=payment.id, amount=amount)]
    if asked.amount is None:
        sources += allowed.beside
        sources.sort(key=lambda source: account.payments[source.payment_id].provider == BALANCE)
    events = giving.give_back(
        account,
        tuple(sources),
        command,
        reason=reason,
        rule=allowed.rule,
        requested_by=requested_by,
        ends_access=rules.ends_access(allowed, command.policies, is_all=is_all),
        credit=Source(payment_id=payment.id, amount=min(amount, allowed.alone)),
    )
    if asked.amount is not None:
        return events
    after = reduce(evolve, events, account)
    credit = giving.give_back(after, allowed.credit, command, reason=reason, rule=CREDIT, requested_by=requested_by)
    return (*events, *credit)


def answer(account: Account, answered: AnswerRefund, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take what the provider says of a refund; a second word of the same end changes nothing."""
    refund = _known(account, answered.refund_id)
    said = answered.answer
    if refund.status is RefundStatus.SUCCEEDED and said.status is RefundAnswerStatus.FAILED:
        return _reverse(account, refund, said, command)
    if refund.status is RefundStatus.FAILED and said.status is RefundAnswerStatus.SUCCEEDED:
        return _reinstate(account, refund, said, command)
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
            return giving.succeed(account, refund, command, said.reference or refund.reference or "")
        case RefundAnswerStatus.FAILED:
            failed = RefundFailed(
                refund_id=refund.id,
                payment_id=refund.payment_id,
                amount=refund.amount,
                reason=said.detail or "the provider refused the refund",
                reference=said.reference,
            )
            return (failed,)
        case _:
            assert_never(said.status)


def _reinstate(
    account: Account, refund: Refund, said: RefundAnswer, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Take note that money went which had been refused for all we knew: books and access follow it.

    It counts only of a refund by its name, and not of the very one that the provider said had failed: webhooks come in
    any order, and no provider makes a success of a failed refund, so that word is older than the failure.
    """
    if said.reference is None or said.reference == refund.failed_reference:
        return ()
    reinstated = RefundReinstated(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        provider=refund.provider,
        amount=refund.amount,
        reference=said.reference,
        reinstated_at=command.at,
    )
    return (reinstated, *giving.succeed(account, refund, command, said.reference))


def _reverse(
    account: Account, refund: Refund, said: RefundAnswer, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Take the money back into the books, and give again what had gone with it.

    It counts only where the provider says so of the refund that we know by its name: that a call was refused, such as
    a late repeat of one that had succeeded, says nothing of the money. A film that another refund took because
    everything had gone is given again, too, since not everything has: but for money that paid for time alone. What a
    lost dispute holds stays gone.
    """
    if said.reference is None or said.reference != refund.reference:
        return ()
    for_time = sum(source.amount for each in refund.taken if each.period for source in each.period.sources)
    others = (
        each
        for held in account.refunds.values()
        if refund.amount.amount > for_time
        if held.order_id == refund.order_id and held.id != refund.id and held.access is RefundAccess.FOLLOWS
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


def _known(account: Account, refund_id: RefundId) -> Refund:
    refund = account.refunds.get(refund_id)
    if refund is None:
        raise RefundUnknown(refund_id=refund_id)
    return refund
