"""Rules about disputes: what a customer's bank takes back, or holds until it has decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.ledger.accounts import DISPUTES, provider_cash
from domain.ledger.state import Sale, TakenBack
from domain.records import replace

if TYPE_CHECKING:
    from domain.disputes.events import DisputeEvent, DisputeOpened
    from domain.ledger.draft import Draft


def opened(draft: Draft, event: DisputeOpened) -> None:
    """The bank takes the money at once, whatever it decides later; a mere inquiry takes nothing."""
    sale = draft.sale(event.order_id) or Sale(order_id=event.order_id, currency=event.disputed.currency, lines=())
    if event.payment_id not in sale.disputes:
        taken = TakenBack(cash=provider_cash(event.provider), amount=0)
        sale = replace(sale, disputes={**sale.disputes, event.payment_id: taken})
    draft.put(sale)
    told(draft, event)


def told(draft: Draft, event: DisputeEvent) -> None:
    """What the bank holds of the payment is more or less than before: won, it is ours again; lost, it stays gone."""
    sale = draft.sale(event.order_id)
    taken = None if sale is None else sale.disputes.get(event.payment_id)
    if sale is None or taken is None:
        return
    more = event.disputed.amount - taken.amount
    if more > 0:
        draft.post(DISPUTES, taken.cash, more, sale)
    else:
        draft.post(taken.cash, DISPUTES, -more, sale)
    after = replace(taken, amount=event.disputed.amount)
    draft.put(replace(sale, disputes={**sale.disputes, event.payment_id: after}))
