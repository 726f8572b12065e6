"""Rules about refunds: a promise first, then money that goes, or a refusal that leaves the books as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.ledger.accounts import (
    DEFERRED_REVENUE,
    EARNED_REVENUE,
    RECEIVABLES,
    REFUNDS,
    REFUNDS_PAYABLE,
    LedgerAccount,
    refunds_go_to,
)
from domain.ledger.state import GivenBack, Portion, Sale, Source
from domain.money import in_proportion
from domain.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.ids import OrderId, PaymentId, RefundId
    from domain.ledger.draft import Draft
    from domain.refunds.events import (
        RefundFailed,
        RefundReinstated,
        RefundRequested,
        RefundReversed,
        RefundSucceeded,
    )

ACCOUNT_OF: dict[Source, LedgerAccount] = {
    Source.UNAPPLIED: RECEIVABLES,
    Source.WAITING: DEFERRED_REVENUE,
    Source.RELEASED: EARNED_REVENUE,
    Source.RUNNING: DEFERRED_REVENUE,
    Source.EARNED: REFUNDS,
}
"""What is debited for each part of a refund."""


def promised(draft: Draft, event: RefundRequested | RefundReinstated) -> None:
    """The money is owed to the customer from now on. It is taken from what is not earned first.

    What had failed and went after all is taken from where there is something now.
    """
    sale = draft.sale(event.order_id) or Sale(order_id=event.order_id, currency=event.amount.currency, lines=())
    draft.put(sale)
    portions = tuple(_portions(draft, sale, event))
    for portion in portions:
        draft.post(ACCOUNT_OF[portion.source], REFUNDS_PAYABLE, portion.amount, sale)
        _change(draft, event.payment_id, portion, -portion.amount)
    promise = GivenBack(
        cash=refunds_go_to(event.provider),
        payment_id=event.payment_id,
        amount=event.amount.amount,
        portions=portions,
    )
    _note(draft, event.order_id, event.refund_id, promise)


def paid_out(draft: Draft, event: RefundSucceeded) -> None:
    """The money is gone."""
    sale = draft.sale(event.order_id)
    promise = None if sale is None else sale.refunds.get(event.refund_id)
    if sale is None or promise is None or promise.is_paid_out or promise.is_failed:
        return
    draft.post(REFUNDS_PAYABLE, promise.cash, promise.amount, sale)
    _note(draft, sale.order_id, event.refund_id, replace(promise, is_paid_out=True))


def refused(draft: Draft, event: RefundFailed | RefundReversed) -> None:
    """Nothing goes, or what went came back: each part returns to where it was taken from.

    What was taken from a time that is over by now is earned at once.
    """
    for sale in draft.sales():
        promise = sale.refunds.get(event.refund_id)
        if promise is None or promise.is_failed:
            continue
        if promise.is_paid_out:
            draft.post(promise.cash, REFUNDS_PAYABLE, promise.amount, sale)
        for portion in promise.portions:
            is_back = _change(draft, promise.payment_id, portion, portion.amount)
            account = ACCOUNT_OF[portion.source] if is_back else EARNED_REVENUE
            draft.post(REFUNDS_PAYABLE, account, portion.amount, sale)
        _note(draft, sale.order_id, event.refund_id, replace(promise, is_failed=True))


def _portions(draft: Draft, sale: Sale, event: RefundRequested | RefundReinstated) -> Iterator[Portion]:
    """Yield the parts of the refund, from where there is something to take."""
    left = event.amount.amount
    for together in _sources(draft, sale, event.payment_id):
        shares = in_proportion(left, [portion.amount for portion in together])
        left -= sum(shares)
        yield from (replace(portion, amount=share) for portion, share in zip(together, shares, strict=True) if share)
    if left > 0:
        yield Portion(source=Source.EARNED, order_id=sale.order_id, amount=left)


def _sources(draft: Draft, sale: Sale, payment_id: PaymentId) -> Iterator[tuple[Portion, ...]]:
    """Yield what a refund may be taken from, in the order in which it is; what stands together gives in proportion.

    So each plan of an order loses the same part of its money as of its time, before anything that is bought once.
    """
    own = sale.order_id
    yield (Portion(source=Source.UNAPPLIED, order_id=own, amount=sale.unapplied.get(payment_id, 0)),)
    for number, line in enumerate(sale.lines):
        if not line.is_given:
            yield (Portion(source=Source.WAITING, order_id=own, line=number, amount=line.waiting),)
    carried = _carried(draft, sale)
    for each in carried:
        for number, line in enumerate(each.lines):
            if line.released_at == draft.at:
                yield (Portion(source=Source.RELEASED, order_id=each.order_id, line=number, amount=line.released),)
    for each in carried:
        yield tuple(_running(draft, each, are_plans=True))
        yield from ((portion,) for portion in _running(draft, each, are_plans=False))


def _running(draft: Draft, sale: Sale, *, are_plans: bool) -> Iterator[Portion]:
    """Yield what is not earned yet of the lines that are being given, or rest."""
    for number, line in enumerate(sale.lines):
        if line.is_plan is are_plans and (line.runs_at(draft.at) or line.is_resting):
            left = draft.deferred(line)
            yield Portion(source=Source.RUNNING, order_id=sale.order_id, line=number, amount=left)


def _carried(draft: Draft, sale: Sale) -> tuple[Sale, ...]:
    """Return the sale, and those that the rest of its money was carried over to."""
    found: dict[OrderId, Sale] = {}
    following: Sale | None = sale
    while following is not None and following.order_id not in found:
        found[following.order_id] = following
        following = None if following.carried_to is None else draft.sale(following.carried_to)
    return tuple(found.values())


def _change(draft: Draft, payment_id: PaymentId, portion: Portion, amount: int) -> bool:
    """Add to what is left at the source of a portion, or take from it; tell whether it is as it was."""
    sale = draft.sale(portion.order_id)
    match portion.source:
        case Source.UNAPPLIED:
            assert sale is not None
            left = sale.unapplied.get(payment_id, 0) + amount
            draft.put(replace(sale, unapplied={**sale.unapplied, payment_id: left}))
            return True
        case Source.RELEASED:
            if amount < 0 and sale is not None:
                line = sale.lines[portion.line]
                draft.set_line(portion.order_id, portion.line, replace(line, released=line.released + amount))
            return True
        case Source.WAITING | Source.RUNNING:
            return draft.add(portion.order_id, portion.line, amount)
        case Source.EARNED:
            return True
        case _:
            assert_never(portion.source)


def _note(draft: Draft, order_id: OrderId, refund_id: RefundId, promise: GivenBack) -> None:
    sale = draft.sale(order_id)
    assert sale is not None
    draft.put(replace(sale, refunds={**sale.refunds, refund_id: promise}))
