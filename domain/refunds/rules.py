"""How much of a payment may be given back, to whom, and by which rule. One place for all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.balance.state import BALANCE
from domain.catalog.state import ProductKind
from domain.errors import (
    NothingToRefund,
    PaymentDisputed,
    PaymentNotRefundable,
    RefundAmountInvalid,
    RefundExceedsPayment,
    RefundPartialUnavailable,
)
from domain.ids import EffectId, RefundId, derive
from domain.money import Money
from domain.payments.state import Succeeded
from domain.policies.settings import Policies, RefundAccess, delay
from domain.policies.terms import under
from domain.records import dataclass, replace
from domain.refunds import parts
from domain.refunds.events import RefundRequested
from domain.refunds.missed import missed
from domain.refunds.state import OWED_WITHOUT_ACCESS

if TYPE_CHECKING:
    from datetime import datetime

    from domain.account.state import Account
    from domain.decider import Command
    from domain.payments.state import Payment
    from domain.refunds.state import RefundedBy
    from domain.subscriptions.state import Source

WINDOW = "within the refund window"
UNUSED = "the unused part of the period"
MANAGER = "a manager decides"
NOT_USED = "money that bought nothing goes back"
OWED = "an earlier refund did not reach the customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may be given back at a moment: at most `amount` minor units, because of `rule`."""

    amount: int
    rule: str
    ends_access: bool
    """Whether all of it pays back whatever is left of what was bought."""
    beside: tuple[Source, ...] = ()
    """What goes back besides of the same order: what the balance paid beside money, or money beside the balance."""
    credit: tuple[Source, ...] = ()
    """What goes back besides of earlier orders: their money that was taken off the price of a change of plan."""
    alone: int = 0
    """What of `amount` was taken off the price of a later change of plan, whose order has no money of its own left."""


def owed(account: Account, payment: Payment) -> Allowance:
    """Return what the customer was to get back by some rule and never got; that which took no access first.

    It may be asked for again at any time, until it is on its way or there.
    """
    refunds = [refund for refund in account.refunds.values() if refund.payment_id == payment.id]
    amounts = missed(refunds, in_full=frozenset({MANAGER, WINDOW}))
    if amounts.for_nothing:
        amount = min(parts.left(payment), amounts.for_nothing)
        return Allowance(amount=amount, rule=OWED_WITHOUT_ACCESS, ends_access=False)
    bounced = [refund for refund in refunds if refund.reversed_at is not None and not refund.is_for_nothing]
    return Allowance(
        amount=min(parts.left(payment), amounts.for_access),
        rule=OWED,
        ends_access=any(refund.ends_access for refund in bounced),
    )


def allowance(account: Account, payment: Payment, now: datetime, policies: Policies, *, by_manager: bool) -> Allowance:
    """Return what may be given back of a payment. Raises PaymentNotRefundable, NothingToRefund.

    What a change of plan carried over into another order is given back with that order, not with the one it came from,
    unless the other has no money of its own by which it could be asked for.
    """
    if not isinstance(payment.phase, Succeeded):
        raise PaymentNotRefundable(payment_id=payment.id, status=payment.status)
    remaining = parts.left(payment)
    if remaining <= 0 and payment.disputed > 0:
        raise PaymentDisputed(payment_id=payment.id)
    if remaining <= 0:
        raise NothingToRefund(payment_id=payment.id)
    if by_manager:
        beside = parts.beside(account, payment)
        return Allowance(amount=remaining, rule=MANAGER, ends_access=False, beside=beside)
    alone = parts.credit_alone(account, payment, None)
    free = remaining - parts.carried_over(account, payment) + alone
    policies = _policies(account, payment, policies)
    if free > 0 and now <= payment.phase.paid_at + policies.refund_window:
        beside, credit = parts.beside(account, payment), parts.credit_in(account, payment, None)
        return Allowance(amount=free, rule=WINDOW, ends_access=True, beside=beside, credit=credit, alone=alone)
    unused = min(free, parts.unused_part(account, payment, now)) if policies.refund_unused else 0
    alone = parts.credit_alone(account, payment, now)
    missing = owed(account, payment)
    if missing.amount > (0 if missing.rule == OWED_WITHOUT_ACCESS else unused):
        return missing if missing.rule == OWED_WITHOUT_ACCESS else replace(missing, alone=alone)
    if unused <= 0:
        raise NothingToRefund(payment_id=payment.id)
    beside = parts.unused_beside(account, payment, now)
    credit = parts.credit_in(account, payment, now)
    return Allowance(amount=unused, rule=UNUSED, ends_access=True, beside=beside, credit=credit, alone=alone)


def _policies(account: Account, payment: Payment, policies: Policies) -> Policies:
    """Return the policies under the terms that were agreed with the payment's order.

    An order of several products has the strictest of theirs, since its money goes back as one, and so has what the
    payment bought as credit of other orders.
    """
    order_ids = (payment.order_id, *(period.order_id for _, period, _ in parts.alone(account, payment)))
    lines = [line for order_id in order_ids for line in account.orders[order_id].lines]
    plans = [line for line in lines if line.kind is ProductKind.SUBSCRIPTION]
    return replace(
        policies,
        refund_window=min(under(line.terms, policies).refund_window for line in lines),
        refund_unused=all(under(line.terms, policies).refund_unused for line in plans),
    )


def request(  # one refund has that many facts
    payment: Payment,
    command: Command[object],
    *,
    amount: int,
    reason: str,
    rule: str,
    requested_by: RefundedBy,
    ends_access: bool,
    onto_balance: bool = False,
    credit: int = 0,
) -> RefundRequested:
    """Return the event that reserves the amount and asks the provider for it; nobody is asked for the balance."""
    if payment.reference is None:
        raise AssertionError(f"the payment {payment.id} was paid and has no reference")
    refund_id = RefundId(derive(command.id, f"refund {payment.id}"))
    return RefundRequested(
        refund_id=refund_id,
        payment_id=payment.id,
        order_id=payment.order_id,
        provider=BALANCE if onto_balance else payment.provider,
        payment_reference=payment.reference,
        amount=Money(amount=amount, currency=payment.amount.currency),
        reason=reason,
        rule=rule,
        requested_by=requested_by,
        ends_access=ends_access,
        access=command.policies.refund_access,
        credit=credit,
        effect_id=EffectId(derive(refund_id, "refund")),
        requested_at=command.at,
        repeat_at=command.at + delay(command.policies.call_repeat_delays, 1),
    )


def is_all(amount: int, asked: int | None, allowed: Allowance) -> bool:
    """Tell whether all that may be given back goes back; an amount that is named leaves what was paid besides."""
    return asked is None or (amount == allowed.amount and not allowed.beside and not allowed.credit)


def ends_access(allowed: Allowance, policies: Policies, *, is_all: bool) -> bool:
    """Tell whether a refund ends all that it pays back for, rather than a part of it."""
    match policies.refund_access:
        case RefundAccess.FOLLOWS:
            return allowed.ends_access and is_all
        case RefundAccess.ENDS:
            return allowed.rule != OWED_WITHOUT_ACCESS
        case RefundAccess.KEEPS:
            return False
        case _:
            assert_never(policies.refund_access)


def require_divisible(
    account: Account, payment: Payment, amount: int, allowed: Allowance, command: Command[object]
) -> None:
    """Refuse the customer a part of a film's price, which would leave the film. Raises RefundPartialUnavailable.

    Of an order with both, what goes back pays for the time of subscriptions first.
    """
    if command.policies.refund_access is not RefundAccess.FOLLOWS or allowed.rule != WINDOW:
        return
    has_film = any(line.kind is ProductKind.FILM for line in account.orders[payment.order_id].lines)
    if has_film and amount > parts.unused_part(account, payment, command.at):
        whole = allowed.amount + sum(source.amount for source in allowed.beside)
        raise RefundPartialUnavailable(payment_id=payment.id, amount=amount, allowed_amount=whole)


def asked_amount(payment: Payment, asked: int | None, allowed: Allowance) -> int:
    """Return the minor units to give back. Raises RefundAmountInvalid, RefundExceedsPayment."""
    if asked is None:
        return allowed.amount
    if asked <= 0:
        raise RefundAmountInvalid(amount=asked)
    if asked > allowed.amount:
        raise RefundExceedsPayment(payment_id=payment.id, amount=asked, left_amount=allowed.amount, rule=allowed.rule)
    return asked
