"""Rules about customers' balances: what we owe them in things to buy, not in money."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.balance.state import payment_id_of
from domain.ledger.accounts import CREDITS_GRANTED, CUSTOMER_CREDIT, RECEIVABLES
from domain.ledger.entries import Posting
from domain.records import replace

if TYPE_CHECKING:
    from domain.balance.events import BalanceReturned, BalanceUsed, CreditGranted, CreditTakenBack
    from domain.ids import OrderId
    from domain.ledger.draft import Draft


def granted(draft: Draft, event: CreditGranted) -> None:
    """We owe it from now on, and nothing came for it."""
    draft.postings.append(Posting(debit=CREDITS_GRANTED, credit=CUSTOMER_CREDIT, amount=event.amount))


def taken_back(draft: Draft, event: CreditTakenBack) -> None:
    """We owe it no more."""
    draft.postings.append(Posting(debit=CUSTOMER_CREDIT, credit=CREDITS_GRANTED, amount=event.amount))


def used(draft: Draft, event: BalanceUsed) -> None:
    """It is held for an order, as money that came for it is until the order is paid."""
    _hold(draft, event.order_id, event.amount.amount)


def returned(draft: Draft, event: BalanceReturned) -> None:
    """The order does not need it."""
    _hold(draft, event.order_id, -event.amount.amount)


def _hold(draft: Draft, order_id: OrderId, amount: int) -> None:
    sale = draft.sale(order_id)
    assert sale is not None, f"the order {order_id} was never placed"
    if amount > 0:
        draft.post(CUSTOMER_CREDIT, RECEIVABLES, amount, sale)
    else:
        draft.post(RECEIVABLES, CUSTOMER_CREDIT, -amount, sale)
    payment_id = payment_id_of(order_id)
    held = sale.unapplied.get(payment_id, 0) + amount
    draft.put(replace(sale, unapplied={**sale.unapplied, payment_id: held}))
