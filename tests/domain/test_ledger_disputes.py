"""Disputes and bounced refunds in the books: what a bank takes is gone until it gives it back."""

from __future__ import annotations

from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.disputes.state import DisputeStatus
from domain.ids import DisputeId
from domain.policies.settings import DisputeAccess
from domain.refunds.events import RefundReversed
from tests.domain.ledger_kit import THE_END
from tests.domain.ledger_spec import CASH, ORDER, PAYMENT, REFUND, film_bought, gone, promised
from tests.domain.spec import T0, usd

DISPUTE = DisputeId("dispute 1")


def opened(taken: int, *, is_inquiry: bool = False) -> DisputeOpened:
    return DisputeOpened(
        dispute_id=DISPUTE,
        payment_id=PAYMENT,
        order_id=ORDER,
        provider="stripe",
        reference="dp_1",
        amount=usd(999),
        reason="fraudulent",
        is_inquiry=is_inquiry,
        status=DisputeStatus.NEEDS_RESPONSE,
        evidence_due_at=None,
        opened_at=T0,
        told_at=T0,
        access=DisputeAccess.LOST,
        disputed=usd(taken),
    )


def updated(taken: int) -> DisputeUpdated:
    return DisputeUpdated(
        dispute_id=DISPUTE,
        payment_id=PAYMENT,
        order_id=ORDER,
        amount=usd(999),
        reason="fraudulent",
        is_inquiry=False,
        status=DisputeStatus.UNDER_REVIEW,
        evidence_due_at=None,
        told_at=T0,
        access=DisputeAccess.LOST,
        disputed=usd(taken),
    )


def won() -> DisputeWon:
    return DisputeWon(
        dispute_id=DISPUTE, payment_id=PAYMENT, order_id=ORDER, amount=usd(999), told_at=T0, disputed=usd(0)
    )


def lost() -> DisputeLost:
    return DisputeLost(
        dispute_id=DISPUTE,
        payment_id=PAYMENT,
        order_id=ORDER,
        amount=usd(999),
        told_at=T0,
        access=DisputeAccess.LOST,
        disputed=usd(999),
    )


def test_the_bank_takes_the_money_at_once() -> None:
    ledger = film_bought().when(opened(999)).then(("disputes", CASH, 999))
    ledger.balances(THE_END, earned_revenue=999, disputes=999)


def test_told_again_nothing_more_goes() -> None:
    film_bought().given(opened(999)).when(updated(999)).then()


def test_won_it_is_ours_again() -> None:
    ledger = film_bought().given(opened(999)).when(won()).then((CASH, "disputes", 999))
    ledger.balances(THE_END, provider_cash=999, earned_revenue=999)


def test_lost_it_is_gone_already() -> None:
    ledger = film_bought().given(opened(999)).when(lost()).then()
    ledger.balances(THE_END, earned_revenue=999, disputes=999)


def test_an_inquiry_takes_nothing_until_it_becomes_a_dispute() -> None:
    ledger = film_bought().when(opened(0, is_inquiry=True)).then()
    ledger.when(updated(999)).then(("disputes", CASH, 999))


def test_an_inquiry_that_came_to_nothing_moved_nothing() -> None:
    closed = DisputeClosed(
        dispute_id=DISPUTE, payment_id=PAYMENT, order_id=ORDER, amount=usd(999), told_at=T0, disputed=usd(0)
    )
    film_bought().given(opened(0, is_inquiry=True)).when(closed).then()


def test_a_refund_that_bounced_is_cash_again() -> None:
    bounced = RefundReversed(
        refund_id=REFUND, payment_id=PAYMENT, order_id=ORDER, amount=usd(999), reason="account closed", reversed_at=T0
    )
    ledger = film_bought().given(promised(999), gone(999))
    ledger.when(bounced).then((CASH, "refunds_payable", 999), ("refunds_payable", "refunds", 999))
    ledger.balances(THE_END, provider_cash=999, earned_revenue=999)
