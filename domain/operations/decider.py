"""Going on with what waits too long: the account's own timers, fired by hand. Nothing else can be done that way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from domain.account.evolve import evolve
from domain.ids import CommandId, derive
from domain.payments.commands import RepeatCall, SweepPayment
from domain.policies.reactions import pending
from domain.promo.commands import RepeatPromoCall
from domain.refunds.commands import RepeatRefund, SweepRefund

if TYPE_CHECKING:
    from collections.abc import Callable

    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.operations.commands import ResumeOverdue
    from domain.policies.reactions import Timer

_ASKING = (RepeatCall, SweepPayment, RepeatRefund, SweepRefund, RepeatPromoCall)
"""Questions that may be put again at any time: the one who is asked knows a repeat by its key."""
_SUBJECTS = ("refund_id", "subscription_id", "payment_id", "order_id", "resource")


def resume(
    account: Account,
    asked: ResumeOverdue,
    command: Command[Any],
    decide: Callable[[Account, Command[Any]], tuple[AccountEvent, ...]],
) -> tuple[AccountEvent, ...]:
    """Fire the timers of one thing: those that ask somebody again now, all others only when they are due.

    Each is decided as if the engine had fired it, with the id of its own command: so whatever gets a name of that id
    gets the same one when the engine fires it too, and the second finds it done.
    """
    fired = [timer.name for timer in pending(account) if _is_to_fire(timer, asked, command)]
    events: list[AccountEvent] = []
    for name in fired:
        timer = next((timer for timer in pending(account) if timer.name == name), None)
        if timer is None:  # what was fired before it has settled it
            continue
        own_id = CommandId(derive(command.key, f"timer {name}"))
        for event in decide(account, replace(command, id=own_id, data=timer.data)):
            account = evolve(account, event)
            events.append(event)
    return tuple(events)


def subject_of(timer: Timer) -> str | None:
    """Return the id of what the timer is about, or its resource."""
    found = (getattr(timer.data, name, None) for name in _SUBJECTS)
    return next((subject for subject in found if subject is not None), None)


def _is_to_fire(timer: Timer, asked: ResumeOverdue, command: Command[Any]) -> bool:
    return subject_of(timer) == asked.subject and (timer.due_at <= command.at or isinstance(timer.data, _ASKING))
