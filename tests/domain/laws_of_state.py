"""What is believed follows from the log, and nothing that waits is forgotten."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.account.state import INITIAL
from domain.orders.state import OPEN_STATUSES, OrderPurpose
from domain.payments.state import Closing, Created, Ended, Succeeded
from domain.policies.reactions import pending
from domain.promo.state import PromoUseStatus
from domain.refunds.state import RefundStatus

if TYPE_CHECKING:
    from tests.domain.world import World


def the_account_is_the_fold_of_its_log(world: World) -> None:
    assert reduce(evolve, world.log, INITIAL) == world.account


def what_waits_has_a_timer(world: World) -> None:
    timers = pending(world.account)
    names = [timer.name for timer in timers]
    assert len(set(names)) == len(names)
    waiting = " ".join(names)
    for payment in world.account.payments.values():
        if not isinstance(payment.phase, Succeeded | Ended):
            of_payment = [name for name in names if payment.id in name]
            of_call = payment.call is not None and payment.call.effect_id in waiting
            assert of_payment or of_call, payment
    for refund in world.account.refunds.values():
        if refund.status in {RefundStatus.REQUESTED, RefundStatus.SUBMITTED}:
            assert refund.id in waiting or (refund.call is not None and refund.call.effect_id in waiting)
    for subscription in world.account.subscriptions.values():
        if subscription.is_running:
            assert subscription.id in waiting
    for order in world.account.orders.values():
        if order.status not in OPEN_STATUSES:
            continue
        if order.payment_id not in world.account.payments:
            assert world.account.promo_uses[order.id].status is PromoUseStatus.RESERVING
            assert order.id in waiting
            continue
        payment = world.account.payments[order.payment_id]
        if order.purpose is not OrderPurpose.RENEWAL:
            assert not isinstance(payment.phase, Succeeded | Ended), order
        else:
            renews = [held for held in world.account.subscriptions.values() if held.renewal_order_id == order.id]
            closing = isinstance(payment.phase, Closing | Created)
            assert closing or (renews and renews[0].is_running), order


LAWS = (the_account_is_the_fold_of_its_log, what_waits_has_a_timer)
