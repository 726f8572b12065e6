"""What holds for every account after every event, whatever happened to it."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from domain.account import decider
from domain.account.evolve import evolve
from domain.effects import SendCommand
from domain.errors import DomainError
from domain.money import Money
from domain.orders.state import OrderStatus
from domain.payments.state import Ended, Payment, Succeeded
from domain.policies.reactions import pending, react
from schemas.codec import decode, encode, type_of
from schemas.messages import EFFECTS, EVENTS

if TYPE_CHECKING:
    from domain.account.state import Account
    from domain.decider import Command
    from domain.effects import Effect


def decided(account: Account, command: Command[Any]) -> tuple[Account, tuple[Any, ...], list[Effect]]:
    """Decide as the engine does, twice, since a decision must not depend on anything else; return what follows.

    A broken rule changes nothing. Whatever is not a broken rule is a bug and goes up.
    """
    try:
        events = decider.decide(account, command)
    except DomainError:
        return account, (), []
    assert decider.decide(account, command) == events, "the same question has the same answer"
    effects = []
    after = account
    for event in events:
        assert decode(type_of(event), encode(event), EVENTS) == event, "an event survives the wire"
        after = evolve(after, event)
        effect = react(after, event)
        if effect is not None and not isinstance(effect, SendCommand):
            assert decode(type_of(effect), encode(effect), EFFECTS) == effect, "an effect survives the wire"
            effects.append(effect)
    assert reduce(evolve, events, account) == after, "a fold has one result"
    check(after)
    return after, events, effects


def check(account: Account) -> None:
    """Raise AssertionError where a law is broken."""
    for order in account.orders.values():
        assert all(line.total == line.unit_price * line.quantity for line in order.lines)
        assert order.total == reduce(Money.__add__, (line.net for line in order.lines))
    for payment in account.payments.values():
        order = account.orders[payment.order_id]
        assert payment.amount == order.due
        if order.status is OrderStatus.FULFILLED and order.payment_id == payment.id:
            assert isinstance(payment.phase, Succeeded), "nothing is given without the money"
    timers = pending(account)
    assert len({timer.name for timer in timers}) == len(timers)
    for payment in account.payments.values():
        _check_timers(payment, [timer for timer in timers if getattr(timer.data, "payment_id", None) == payment.id])
    for resource, held in account.entitlements.items():
        assert held.resource == resource
        assert account.orders[held.order_id].status is OrderStatus.FULFILLED, "no access without the money"
    for subscription in account.subscriptions.values():
        assert account.orders[subscription.order_id].status is OrderStatus.FULFILLED
        assert subscription.period_start <= subscription.period_end


def _check_timers(payment: Payment, timers: list[Any]) -> None:
    if isinstance(payment.phase, Ended):
        assert not timers, f"{payment.status} waits for nothing"
        assert payment.call is None
    elif not isinstance(payment.phase, Succeeded):
        assert timers, f"{payment.status} waits, and nothing wakes it"
