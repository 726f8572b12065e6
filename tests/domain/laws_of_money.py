"""Money moves once, as it was agreed, and the log, the provider's books and the ledger say the same of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.disputes.events import DisputeOpened
from domain.effects import AnswerStatus, RefundAnswerStatus
from domain.ids import PaymentId
from domain.orders.events import OrderFulfilled, OrderPaid, OrderPlaced
from domain.orders.state import OPEN_STATUSES, OrderStatus
from domain.payments.events import PaymentSucceeded
from domain.payments.state import Succeeded
from domain.promo.state import PromoCodeUses, PromoUseStatus
from domain.refunds.events import RefundFailed, RefundReinstated, RefundRequested, RefundReversed, RefundSucceeded
from tests.domain.spec import OFFERS
from tests.domain.world import PROMOS, of

if TYPE_CHECKING:
    from tests.domain.world import World


def every_charge_was_agreed(world: World) -> None:
    orders = {placed.order_id: placed for placed in of(world, OrderPlaced)}
    prices = {offer.price.id: offer.price.amount for offer in OFFERS.values()}
    payers = {paid.order_id: paid.payment_id for paid in of(world, OrderPaid)}
    holders = {used.order_id for used in of(world, BalanceUsed)}
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        if collected.status is not AnswerStatus.SUCCEEDED:
            continue
        order = orders[world.account.payments[PaymentId(collected.payment_id)].order_id]
        assert order.total == order.subtotal - order.discount
        price = order.total.amount - (0 if order.credit is None else order.credit.amount)
        if payers.get(order.order_id) == collected.payment_id:
            assert collected.amount.amount + world.account.orders[order.order_id].balance_used == price
        else:
            assert collected.amount.amount == price or order.order_id in holders
        assert 0 < collected.amount.amount <= price
        assert order.credit is None or 0 <= order.credit.amount <= order.total.amount
        assert order.subtotal.amount == sum(line.total.amount for line in order.lines)
        assert order.discount.amount == sum(line.discount_amount for line in order.lines)
        for line in order.lines:
            assert line.unit_price == prices[line.price_id]
            assert line.total == line.unit_price * line.quantity
            assert 0 <= line.discount_amount <= line.total.amount


def credit_is_used_once_or_left(world: World) -> None:
    """What came onto the balance is on it, held by an open order, or paid for something; it is never below nothing."""
    left: Counter[str] = Counter()
    held: Counter[str] = Counter()
    for event in world.log:
        match event:
            case CreditGranted() | BalanceRefunded():
                left[event.amount.currency] += event.amount.amount
            case CreditTakenBack():
                left[event.amount.currency] -= event.amount.amount
            case BalanceUsed() | BalanceReturned():
                sign = 1 if isinstance(event, BalanceUsed) else -1
                left[event.amount.currency] -= sign * event.amount.amount
                held[event.order_id] += sign * event.amount.amount
                assert held[event.order_id] >= 0
            case _:
                continue
        assert left[event.amount.currency] >= 0
    assert {currency: amount for currency, amount in world.account.balances.items() if amount} == +left
    paid = {event.order_id: event.amount.amount for event in of(world, BalancePaid)}
    assert len(paid) == len(of(world, BalancePaid)), "the balance pays for an order once"
    for order in world.account.orders.values():
        if order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED}:
            assert held[order.id] == 0, order
        elif order.status not in OPEN_STATUSES:
            assert held[order.id] == paid.get(order.id, 0), order


def no_money_moves_twice(world: World) -> None:
    succeeded = Counter(event.payment_id for event in of(world, PaymentSucceeded))
    assert all(times == 1 for times in succeeded.values())
    fulfilled = Counter(event.order_id for event in of(world, OrderFulfilled))
    assert all(times == 1 for times in fulfilled.values())
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        assert 0 <= collected.returned <= collected.amount.amount
    late = {event.payment_id for event in of(world, RefundReinstated)}
    for payment in world.account.payments.values():
        assert 0 <= payment.refunded <= payment.amount.amount
        assert payment.refunding >= 0
        # What went unknown to us may be promised a second time by then; the provider refuses that.
        assert payment.id in late or payment.refunded + payment.refunding <= payment.amount.amount


def no_money_is_silently_kept(world: World) -> None:
    """Whatever was paid bought something, or was asked to go back whole."""
    fulfilled = {event.order_id for event in of(world, OrderFulfilled)}
    back: Counter[str] = Counter()
    for moved in (*of(world, RefundRequested), *of(world, DisputeOpened)):
        back[moved.payment_id] += moved.amount.amount
    payers = {paid.order_id: paid.payment_id for paid in of(world, OrderPaid)}
    for paid in of(world, PaymentSucceeded):
        if payers.get(paid.order_id) == paid.payment_id and paid.order_id in fulfilled:
            continue
        assert back[paid.payment_id] >= paid.amount.amount, paid


def money_of_a_payment_is_counted_once(world: World) -> None:
    """What is carried over into another period by a change of plan is in no other one any more."""
    counted: Counter[str] = Counter()
    for held in world.account.subscriptions.values():
        for period in held.paid:
            assert period.start <= period.end
            for source in period.sources:
                assert source.amount > 0
                counted[source.payment_id] += source.amount
    for payment_id, amount in counted.items():
        assert amount <= world.account.payments[PaymentId(payment_id)].amount.amount


def promo_codes_keep_their_limits(world: World) -> None:
    for code, state in world.codes.items():
        assert isinstance(state, PromoCodeUses)
        limit = PROMOS[code].uses_max
        assert limit is None or len(state.reserved) + state.settled <= limit
    for code, promo in PROMOS.items():
        held = [use for use in world.account.promo_uses.values() if use.code == code and use.call is None]
        assert promo.uses_per_account_max is None or len(held) <= promo.uses_per_account_max
    for use in world.account.promo_uses.values():
        order = world.account.orders[use.order_id]
        assert order.promo_code == use.code
        is_dead = order.status in {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.FAILED}
        assert is_dead == (use.status is PromoUseStatus.RELEASING), (use, order.status)


def the_ledger_balances(world: World) -> None:
    world.ledger.check(world.now)


def the_books_agree(world: World) -> None:
    """At rest, we and the provider say the same of every amount."""
    onto_balance: Counter[str] = Counter()
    for event in of(world, BalanceRefunded):
        onto_balance[event.payment_id] += event.amount.amount
    for collected in (*world.provider.pages.values(), *world.provider.charges.values()):
        payment = world.account.payments[PaymentId(collected.payment_id)]
        is_paid = collected.status is AnswerStatus.SUCCEEDED
        assert is_paid == isinstance(payment.phase, Succeeded), (collected, payment.phase)
        assert collected.returned == payment.refunded - onto_balance[payment.id]
        assert payment.refunding == 0
        assert collected.disputed == payment.disputed
    for found in world.provider.disputes.values():
        known = next(dispute for dispute in world.account.disputes.values() if dispute.reference == found.reference)
        assert (known.status, known.amount, known.is_inquiry) == (found.status, found.amount, found.is_inquiry)
    returned = sum(event.amount.amount for event in of(world, RefundSucceeded))
    returned -= sum(event.amount.amount for event in of(world, RefundReversed))
    assert returned - onto_balance.total() == sum(
        refund.amount.amount
        for refund in world.provider.refunds.values()
        if refund.status is RefundAnswerStatus.SUCCEEDED
    )
    ended = len(of(world, RefundSucceeded)) + len(of(world, RefundFailed))
    assert ended == len(of(world, RefundRequested)) + len(of(world, RefundReinstated))
    assert not [order for order in world.account.orders.values() if order.status in OPEN_STATUSES]
    world.ledger.check_at_rest()
    for code, state in world.codes.items():
        assert isinstance(state, PromoCodeUses)
        assert not state.reserved
        held = [use for use in world.account.promo_uses.values() if use.code == code and use.is_limited]
        assert state.settled == len(held)


LAWS = (
    every_charge_was_agreed,
    credit_is_used_once_or_left,
    no_money_moves_twice,
    no_money_is_silently_kept,
    money_of_a_payment_is_counted_once,
    promo_codes_keep_their_limits,
    the_ledger_balances,
)
