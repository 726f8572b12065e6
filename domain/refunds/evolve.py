"""The fold of one refund. No rules here; a known event never fails."""

from __future__ import annotations

from typing import assert_never

from domain.payments.state import CallKind, ProviderCall
from domain.records import replace
from domain.refunds.events import (
    RefundCallRepeated,
    RefundEvent,
    RefundFailed,
    RefundReinstated,
    RefundRequested,
    RefundReversed,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.refunds.state import Refund, RefundStatus


def evolve(before: Refund | None, event: RefundEvent) -> Refund:
    """Return the refund after the event; only its request comes without a state before."""
    if isinstance(event, RefundRequested):
        return _requested(event)
    if before is None:
        raise AssertionError(f"{type(event).__name__} of a refund that was never requested")
    match event:
        case RefundSubmitted():
            return replace(
                before,
                status=RefundStatus.SUBMITTED,
                reference=event.reference,
                call=None,
                sweep_at=event.sweep_at,
            )
        case RefundCallRepeated():
            call = ProviderCall(
                effect_id=event.effect_id,
                kind=CallKind.REFUND,
                attempt=event.attempt,
                asked_at=event.asked_at,
                repeat_at=event.repeat_at,
            )
            return replace(before, call=call, sweeps=event.sweeps, sweep_at=None)
        case RefundSucceeded():
            return replace(
                before,
                status=RefundStatus.SUCCEEDED,
                reference=event.reference,
                call=None,
                sweep_at=None,
                taken=event.taken,
            )
        case RefundFailed():
            return replace(
                before,
                status=RefundStatus.FAILED,
                call=None,
                sweep_at=None,
                failed_reference=event.reference,
            )
        case RefundReinstated():
            return replace(
                before,
                status=RefundStatus.SUBMITTED,
                reference=event.reference,
                failed_reference=None,
                reversed_at=None,
            )
        case RefundReversed():
            return replace(
                before,
                status=RefundStatus.FAILED,
                failed_reference=before.reference,
                reversed_at=event.reversed_at,
                taken=(),
            )
        case _:
            assert_never(event)


def _requested(event: RefundRequested) -> Refund:
    return Refund(
        id=event.refund_id,
        payment_id=event.payment_id,
        order_id=event.order_id,
        provider=event.provider,
        payment_reference=event.payment_reference,
        amount=event.amount,
        reason=event.reason,
        requested_by=event.requested_by,
        ends_access=event.ends_access,
        access=event.access,
        requested_at=event.requested_at,
        status=RefundStatus.REQUESTED,
        reference=None,
        rule=event.rule,
        credit=event.credit,
        call=ProviderCall(
            effect_id=event.effect_id,
            kind=CallKind.REFUND,
            attempt=1,
            asked_at=event.requested_at,
            repeat_at=event.repeat_at,
        ),
    )
