"""Decisions about a balance: what managers put onto it, what orders take of it, and what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.balance.events import BalanceReturned, BalanceUsed, CreditGranted, CreditTakenBack
from domain.balance.state import available
from domain.errors import BalanceTooLarge, CreditExceedsBalance
from domain.money import AMOUNT_MAX, Money, checked
from domain.orders.events import OrderCancelled, OrderExpired, OrderFailed
from domain.records import replace

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.balance.commands import GrantCredit, TakeBackCredit
    from domain.orders.state import Order

_ENDS = (OrderCancelled, OrderExpired, OrderFailed)


def grant(account: Account, asked: GrantCredit) -> tuple[CreditGranted, ...]:
    """Put an amount onto the balance. Raises CurrencyUnknown, AmountOutOfRange, BalanceTooLarge."""
    amount = checked(asked.amount)
    on_it = available(account, amount.currency).amount
    if on_it + amount.amount > AMOUNT_MAX:
        raise BalanceTooLarge(
            amount=amount.amount, currency=amount.currency, balance_amount=on_it, balance_max=AMOUNT_MAX
        )
    return (CreditGranted(amount=amount, reason=asked.reason),)


def take_back(account: Account, asked: TakeBackCredit) -> tuple[CreditTakenBack, ...]:
    """Take an amount off the balance. Raises CurrencyUnknown, AmountOutOfRange, CreditExceedsBalance.

    What an order holds is in use: it can be taken back when the order gave it back.
    """
    amount = checked(asked.amount)
    on_it = available(account, amount.currency).amount
    if amount.amount > on_it:
        raise CreditExceedsBalance(amount=amount.amount, currency=amount.currency, balance_amount=on_it)
    return (CreditTakenBack(amount=amount, reason=asked.reason),)


def use(account: Account, order: Order) -> tuple[Order, tuple[BalanceUsed, ...]]:
    """Let an order hold as much of the balance as it still needs; return the order as it is then."""
    if not account.balances:
        return order, ()
    due = order.due
    amount = min(due.amount, available(account, due.currency).amount)
    if amount <= 0:
        return order, ()
    held = replace(order, balance_used=order.balance_used + amount)
    return held, (BalanceUsed(order_id=order.id, amount=replace(due, amount=amount)),)


def meet(account: Account, order: Order, paid: int) -> tuple[Order, tuple[BalanceUsed | BalanceReturned, ...]] | None:
    """Let an order hold exactly what the money that came leaves to be paid; None where the balance has too little.

    The order of a payment that comes late gave back what it had held; an earlier attempt to charge for a renewal may
    have asked for more than a later one, for which there was more on the balance.
    """
    lacking = order.due.amount - paid
    if lacking == 0:
        return order, ()
    met = replace(order, balance_used=order.balance_used + lacking)
    amount = Money(amount=abs(lacking), currency=order.total.currency)
    if lacking < 0:
        return met, (BalanceReturned(order_id=order.id, amount=amount),)
    if amount.amount > available(account, amount.currency).amount:
        return None
    return met, (BalanceUsed(order_id=order.id, amount=amount),)


def give_back_of_ended(account: Account, events: tuple[AccountEvent, ...]) -> tuple[AccountEvent, ...]:
    """Return the events with what orders that end unpaid give back: here, once, in whatever way they end."""
    if not any(isinstance(event, _ENDS) for event in events):
        return events
    found: list[AccountEvent] = []
    for event in events:
        found.append(event)
        account = evolve(account, event)
        if not isinstance(event, _ENDS):
            continue
        order = account.orders[event.order_id]
        if order.balance_used:
            amount = Money(amount=order.balance_used, currency=order.total.currency)
            found.append(BalanceReturned(order_id=order.id, amount=amount))
            account = evolve(account, found[-1])
    return tuple(found)
