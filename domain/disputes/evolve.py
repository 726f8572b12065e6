"""The fold of one dispute. No rules here; a known event never fails."""

from __future__ import annotations

from typing import assert_never

from domain.disputes.events import (
    DisputeClosed,
    DisputeEvent,
    DisputeLost,
    DisputeOpened,
    DisputeUpdated,
    DisputeWon,
)
from domain.disputes.state import Dispute, DisputeStatus
from domain.records import replace


def evolve(before: Dispute | None, event: DisputeEvent) -> Dispute:
    """Return the dispute after the event; only its opening comes without a state before."""
    if isinstance(event, DisputeOpened):
        return _opened(event)
    if before is None:
        raise AssertionError(f"{type(event).__name__} of a dispute that was never opened")
    match event:
        case DisputeUpdated():
            return replace(
                before,
                amount=event.amount,
                reason=event.reason,
                status=event.status,
                is_inquiry=event.is_inquiry,
                evidence_due_at=event.evidence_due_at,
                told_at=event.told_at,
                taken=event.taken,
                owed=event.owed,
            )
        case DisputeWon():
            return replace(
                before, amount=event.amount, status=DisputeStatus.WON, told_at=event.told_at, taken=(), owed=0
            )
        case DisputeLost():
            return replace(
                before,
                amount=event.amount,
                status=DisputeStatus.LOST,
                is_inquiry=False,
                told_at=event.told_at,
                taken=event.taken,
            )
        case DisputeClosed():
            return replace(
                before, amount=event.amount, status=DisputeStatus.CLOSED, told_at=event.told_at, taken=(), owed=0
            )
        case _:
            assert_never(event)


def _opened(event: DisputeOpened) -> Dispute:
    return Dispute(
        id=event.dispute_id,
        payment_id=event.payment_id,
        order_id=event.order_id,
        provider=event.provider,
        reference=event.reference,
        amount=event.amount,
        reason=event.reason,
        status=event.status,
        is_inquiry=event.is_inquiry,
        evidence_due_at=event.evidence_due_at,
        opened_at=event.opened_at,
        told_at=event.told_at,
        taken=event.taken,
    )
