"""Money that arrived: what it buys, and when it goes back. It is never silently kept."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.balance import decider as balance
from domain.disputes import decider as disputes
from domain.errors import PaidAmountMismatch, ReferenceMismatch
from domain.orders.events import OrderCancelled, OrderFailed, OrderPaid
from domain.orders.fulfilment import HELD_ALREADY, balance_back, fulfil, undeliverable
from domain.orders.state import OPEN_STATUSES, OrderPurpose, OrderStatus
from domain.payments.closing import request_fetch
from domain.payments.events import PaymentFetchRequested, PaymentMethodSaved, PaymentSucceeded, PaymentUnchanged
from domain.payments.state import CallKind, CloseReason, Closing, Payment, SavedMethod, Succeeded
from domain.promo import uses as promo_uses
from domain.promo.state import PromoUseStatus
from domain.records import replace
from domain.refunds import parts
from domain.refunds import rules as refunds
from domain.refunds.state import RefundedBy
from domain.subscriptions import attempts
from domain.subscriptions.plans import CHANGED_MEANWHILE

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.effects import ProviderAnswer
    from domain.orders.state import Order

PAID_TWICE = "the order was paid twice"
PAID_AFTER_CANCEL = "paid after the order was cancelled"
PAID_AFTER_END = "paid after the order had ended"
BALANCE_SPENT = "the customer's balance was to pay the rest and was spent"


def receive(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """Note the money and give what was bought. A second word of the same money changes nothing.

    Raises ReferenceMismatch, PaidAmountMismatch.
    """
    if isinstance(payment.phase, Succeeded):
        return learn_method(account, payment, command, answer)
    known = payment.reference
    if answer.reference is None or (known is not None and answer.reference != known):
        raise ReferenceMismatch(payment_id=payment.id, reference=str(answer.reference))
    if answer.amount != payment.amount:
        paid = answer.amount
        raise PaidAmountMismatch(
            payment_id=payment.id,
            agreed_amount=payment.amount.amount,
            agreed_currency=payment.amount.currency,
            paid_amount=paid.amount if paid else 0,
            paid_currency=paid.currency if paid else "",
        )
    succeeded = PaymentSucceeded(
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=payment.amount,
        provider=payment.provider,
        reference=answer.reference,
        paid_at=command.at,
        customer_reference=answer.customer_reference,
        method_reference=answer.method_reference,
        method_label=answer.method_label,
    )
    used = _use(account, payment, answer.reference, command)
    events = (succeeded, *_keep_method(payment, command, answer), *used)
    events = (*events, *attempts.again(account, events, command))
    if not payment.disputed:
        return events
    return (*events, *disputes.catch_up(reduce(evolve, events, account), payment.id, command))


def _use(account: Account, payment: Payment, reference: str, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Give what was ordered, or give the money back."""
    order = account.orders[payment.order_id]
    is_open = order.status in OPEN_STATUSES
    give_back = _GiveBack(payment, reference, command)
    if order.status in {OrderStatus.PAID, OrderStatus.FULFILLED}:
        return give_back(payment.amount.amount, PAID_TWICE)
    if order.status is OrderStatus.CANCELLED:
        return give_back(payment.amount.amount, PAID_AFTER_CANCEL)
    if is_open and _is_unwanted_charge(payment):
        return (OrderCancelled(order_id=order.id), *give_back(payment.amount.amount, PAID_AFTER_CANCEL))
    if not is_open and not (command.policies.late_payment_fulfils and _is_wanted(account, order)):
        return give_back(payment.amount.amount, PAID_AFTER_END)
    met = balance.meet(account, order, payment.amount.amount)
    if met is None:
        return give_back(payment.amount.amount, BALANCE_SPENT)
    order, moved = met
    useless = undeliverable(account, order)
    if len(useless) == len(order.lines):
        reason = CHANGED_MEANWHILE if order.purpose is OrderPurpose.PLAN_CHANGE else HELD_ALREADY
        failed: tuple[AccountEvent, ...] = ()
        if is_open:
            failed = (
                OrderFailed(order_id=order.id, reason=reason),
                *promo_uses.release(account, order.id, command),
            )
        return (*failed, *give_back(payment.amount.amount, reason))
    price = sum(line.net.amount for line in useless)
    amount = min(payment.amount.amount, price)
    order_paid = OrderPaid(order_id=order.id, payment_id=payment.id, paid_at=command.at)
    events = (*moved, *fulfil(account, order, order_paid, command, without=useless))
    rest = balance_back(account, events, order, price - amount, command)
    return (*events, *give_back(amount, HELD_ALREADY), *rest)


def _is_unwanted_charge(payment: Payment) -> bool:
    """Tell whether the customer gave the order up, or paid it otherwise, while the saved method was being charged."""
    phase = payment.phase
    is_given_up = isinstance(phase, Closing) and phase.reason is CloseReason.CANCELLED
    return payment.method is not None and is_given_up


def _is_wanted(account: Account, order: Order) -> bool:
    """Tell whether nothing of the order was bought in the meantime, and its promo code was not given back.

    A change of plan was agreed for the moment: it is not made up for later.
    """
    if order.purpose is OrderPurpose.PLAN_CHANGE:
        return False
    use = account.promo_uses.get(order.id)
    if order.promo_code is not None and (use is None or use.status is PromoUseStatus.RELEASING):
        return False
    return not any(line.resource in account.entitlements for line in order.lines)


class _GiveBack:
    """Asks for money that bought nothing to go back, but for what the customer's bank has taken already."""

    def __init__(self, payment: Payment, reference: str, command: Command[object]) -> None:
        self._paid = replace(payment, phase=Succeeded(reference=reference, paid_at=command.at))
        self._command = command

    def __call__(self, amount: int, reason: str) -> tuple[AccountEvent, ...]:
        amount = min(amount, parts.left(self._paid))
        if amount == 0:
            return ()
        refund = refunds.request(
            self._paid,
            self._command,
            amount=amount,
            reason=reason,
            rule=refunds.NOT_USED,
            requested_by=RefundedBy.POLICY,
            ends_access=False,
        )
        return (refund,)


def _keep_method(
    payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[PaymentMethodSaved | PaymentFetchRequested, ...]:
    """Keep the means of payment for renewals; where a webhook does not name it, ask the provider for it."""
    if not payment.save_method:
        return ()
    if answer.customer_reference is not None and answer.method_reference is not None:
        method = SavedMethod(
            provider=payment.provider,
            customer_reference=answer.customer_reference,
            method_reference=answer.method_reference,
            label=answer.method_label,
            saved_at=command.at,
        )
        return (PaymentMethodSaved(payment_id=payment.id, method=method),)
    return (request_fetch(payment, command, payment.sweeps + 1),)


def learn_method(
    account: Account, payment: Payment, command: Command[object], answer: ProviderAnswer
) -> tuple[AccountEvent, ...]:
    """Take the answer to the question which means of payment was left; there may be none that can be charged again."""
    if payment.call is None or payment.call.kind is not CallKind.FETCH:
        return ()
    if answer.customer_reference is None or answer.method_reference is None:
        return (PaymentUnchanged(payment_id=payment.id, effect_id=payment.call.effect_id, sweep_at=None),)
    kept = _keep_method(payment, command, answer)
    return (*kept, *attempts.again(account, kept, command))
