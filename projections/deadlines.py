"""What accounts wait for, and by when: unanswered calls, silent payments, renewals, ends. For lists of what is overdue.

One row for each thing that has ever waited. It is what `domain.policies.reactions.pending` says of the account, kept
where it can be searched by time; a test holds the two equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from sqlalchemy import Column, Index, Integer, Table, Text, func

from domain.entitlements.events import EntitlementEnded, EntitlementEvent, EntitlementGranted
from domain.grants.events import GrantEnded, GrantEvent, GrantGiven, GrantRevoked
from domain.ids import derive
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentDeclined,
    PaymentEvent,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentMethodSaved,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.payments.state import CallKind
from domain.promo.events import (
    PromoUseCallRepeated,
    PromoUseEvent,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
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
from domain.subscriptions.events import (
    PlanChangeDropped,
    PlanChangeScheduled,
    RenewalAttempted,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionContinued,
    SubscriptionEnded,
    SubscriptionExtended,
    SubscriptionGraceStarted,
    SubscriptionPaused,
    SubscriptionRenewed,
    SubscriptionRestored,
    SubscriptionResumed,
    SubscriptionShortened,
    SubscriptionStarted,
)
from projections.model import Change, Moment, ReadModel, metadata

if TYPE_CHECKING:
    from datetime import datetime

    from schemas.envelope import EventRecord

PAYMENT, REFUND, SUBSCRIPTION, ORDER = "payment", "refund", "subscription", "order"
ENTITLEMENT, GRANT = "entitlement", "grant"
RESERVE, RELEASE = "reserve_promo_code", "release_promo_code"

deadlines = Table(
    "deadlines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("noun", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("asked", Text),
    Column("call", Text),
    Column("attempt", Integer),
    Column("asked_at", Moment),
    Column("repeat_at", Moment),
    Column("silent_since", Moment),
    Column("look_at", Moment),
    Column("end_at", Moment),
    Column("paused_until", Moment),
    Column("updated_at", Moment, nullable=False),
)
"""`asked`: who owes an answer, a provider or promo code. `look_at`: when it is asked again, or a renewal is tried."""
MOMENTS = ("asked_at", "repeat_at", "silent_since", "look_at", "end_at", "paused_until")
Index("deadlines_next_idx", func.least(*(deadlines.c[name] for name in MOMENTS)))

MODEL = ReadModel(table=deadlines, history=None)

_Subscription = (
    SubscriptionStarted
    | SubscriptionRenewed
    | RenewalAttempted
    | RenewalFailed
    | SubscriptionCancelled
    | SubscriptionResumed
    | SubscriptionExtended
    | SubscriptionShortened
    | SubscriptionRestored
    | SubscriptionGraceStarted
    | SubscriptionEnded
    | SubscriptionPaused
    | SubscriptionContinued
    | PlanChangeScheduled
    | PlanChangeDropped
)
HEARS = (
    PaymentCreated,
    PaymentActionRequired,
    PaymentProcessing,
    PaymentCallRepeated,
    PaymentFetchRequested,
    PaymentUnchanged,
    PaymentCloseRequested,
    PaymentSucceeded,
    PaymentFailed,
    PaymentCancelled,
    PaymentExpired,
    PaymentMethodSaved,
    RefundRequested,
    RefundSubmitted,
    RefundCallRepeated,
    RefundSucceeded,
    RefundFailed,
    SubscriptionStarted,
    SubscriptionRenewed,
    RenewalAttempted,
    RenewalFailed,
    SubscriptionCancelled,
    SubscriptionResumed,
    SubscriptionExtended,
    SubscriptionShortened,
    SubscriptionRestored,
    SubscriptionGraceStarted,
    SubscriptionEnded,
    SubscriptionPaused,
    SubscriptionContinued,
    PlanChangeScheduled,
    PlanChangeDropped,
    PromoUseRequested,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseCallRepeated,
    PromoUseReleaseRequested,
    PromoUseReleased,
    EntitlementGranted,
    EntitlementEnded,
    GrantGiven,
    GrantRevoked,
    GrantEnded,
)

_ANSWERED: dict[str, Any] = {"call": None, "attempt": None, "asked_at": None, "repeat_at": None}
_SETTLED: dict[str, Any] = {**_ANSWERED, "silent_since": None, "look_at": None, "end_at": None, "paused_until": None}


def project(event: EventRecord) -> tuple[Change, ...]:
    """Return what the event changes."""
    data = event.data
    if isinstance(data, PaymentEvent | PaymentMethodSaved):
        values = _payment(data, event.time)
        return () if not values else (_change(event.key, PAYMENT, data.payment_id, values),)
    if isinstance(data, RefundEvent):
        return (_change(event.key, REFUND, data.refund_id, _refund(data, event.time)),)
    if isinstance(data, PromoUseEvent):
        values = _promo_use(data, event.time)
        return () if not values else (_change(event.key, ORDER, data.order_id, values),)
    if isinstance(data, EntitlementEvent):
        return (_change(event.key, ENTITLEMENT, data.resource, _entitlement(data)),)
    if isinstance(data, GrantEvent):
        grant: dict[str, Any] = {"end_at": None}
        if isinstance(data, GrantGiven):
            grant = {"asked": None, "end_at": data.until}
        return (_change(event.key, GRANT, data.resource, grant),)
    return (_change(event.key, SUBSCRIPTION, data.subscription_id, _subscription(data)),)


def row_id(account: str, noun: str, subject: str) -> str:
    """Return the id of a row: that of its subject, which for access is a resource that others have too."""
    return derive(account, f"deadlines of {noun} {subject}") if noun in {ENTITLEMENT, GRANT} else subject


def _change(account: str, noun: str, subject: str, values: dict[str, Any]) -> Change:
    """A whole row where the thing begins to wait, else the columns that change."""
    entity = row_id(account, noun, subject)
    creates = "asked" in values
    if creates:
        values = {"account": account, "noun": noun, "subject": subject, **_SETTLED, **values}
    return Change(model=MODEL, key=(entity,), values=values, creates=creates, entity=entity)


def _call(kind: str, asked_at: datetime, repeat_at: datetime, attempt: int = 1) -> dict[str, Any]:
    return {"call": kind, "attempt": attempt, "asked_at": asked_at, "repeat_at": repeat_at}


def _payment(data: PaymentEvent | PaymentMethodSaved, at: datetime) -> dict[str, Any]:
    match data:
        case PaymentCreated():
            kind = CallKind.CREATE_CHECKOUT if data.method is None else CallKind.CHARGE
            call = _call(kind, data.created_at, data.repeat_at)
            return {"asked": data.provider, **call, "end_at": data.expires_at}
        case PaymentActionRequired() | PaymentUnchanged():
            return {**_ANSWERED, "look_at": data.sweep_at}
        case PaymentProcessing():
            return {**_ANSWERED, "silent_since": at, "look_at": data.sweep_at, "end_at": None}
        case PaymentCallRepeated():
            return {"attempt": data.attempt, "repeat_at": data.repeat_at}
        case PaymentFetchRequested():
            return {**_call(CallKind.FETCH, data.requested_at, data.repeat_at), "look_at": None}
        case PaymentDeclined():
            return {}
        case PaymentCloseRequested():
            ending = {"silent_since": None, "look_at": None, "end_at": None}
            if not data.asks:
                return ending
            return {**_call(CallKind.CLOSE_CHECKOUT, data.requested_at, data.repeat_at), **ending}
        case PaymentMethodSaved():
            return dict(_ANSWERED)
        case PaymentSucceeded():
            return dict(_SETTLED)
        case PaymentFailed() | PaymentCancelled() | PaymentExpired():
            return {**_SETTLED, "look_at": data.sweep_at}
        case _:
            assert_never(data)


def _refund(data: RefundEvent, at: datetime) -> dict[str, Any]:
    match data:
        case RefundRequested():
            call = _call(CallKind.REFUND, data.requested_at, data.repeat_at)
            return {"asked": data.provider, **call, "silent_since": data.requested_at}
        case RefundSubmitted():
            return {**_ANSWERED, "look_at": data.sweep_at}
        case RefundCallRepeated(attempt=1):
            return {**_call(CallKind.REFUND, data.asked_at, data.repeat_at), "look_at": None}
        case RefundCallRepeated():
            return {"attempt": data.attempt, "repeat_at": data.repeat_at, "look_at": None}
        case RefundSucceeded() | RefundFailed() | RefundReinstated() | RefundReversed():
            return dict(_SETTLED)
        case _:
            assert_never(data)


def _subscription(data: _Subscription) -> dict[str, Any]:
    match data:
        case SubscriptionStarted():
            return {"asked": None, "look_at": data.renew_at, "end_at": data.period_end}
        case SubscriptionRenewed() | SubscriptionExtended() | SubscriptionRestored():
            return {"look_at": data.renew_at, "end_at": data.period_end}
        case RenewalAttempted() | SubscriptionCancelled():
            return {"look_at": None}
        case RenewalFailed():
            return {"look_at": data.retry_at}
        case SubscriptionResumed() | PlanChangeScheduled() | PlanChangeDropped():
            return {"look_at": data.renew_at}
        case SubscriptionShortened():
            return {"look_at": None, "end_at": data.period_end}
        case SubscriptionGraceStarted():
            return {"end_at": data.access_end}
        case SubscriptionPaused():
            return {"look_at": None, "paused_until": data.resume_by}
        case SubscriptionContinued():
            return {"look_at": data.renew_at, "end_at": data.period_end, "paused_until": None}
        case SubscriptionEnded():
            return dict(_SETTLED)
        case _:
            assert_never(data)


def _promo_use(data: PromoUseEvent, at: datetime) -> dict[str, Any]:
    match data:
        case PromoUseRequested():
            return {"asked": data.code, **_call(RESERVE, at, data.repeat_at), "end_at": data.expires_at}
        case PromoUseHeld():
            return {"asked": data.code}
        case PromoUseCallRepeated():
            return {"attempt": data.attempt, "repeat_at": data.repeat_at}
        case PromoUseReleaseRequested():
            return {**_call(RELEASE, at, data.repeat_at), "end_at": None}
        case PromoUseRefused() | PromoUseReleased():
            return dict(_SETTLED)
        case PromoUseSettled():
            return {}
        case _:
            assert_never(data)


def _entitlement(data: EntitlementEvent) -> dict[str, Any]:
    match data:
        case EntitlementGranted():
            # The end of what a subscription gives is the subscription's.
            return {"asked": None, "end_at": data.until if data.subscription_id is None else None}
        case EntitlementEnded():
            return {"end_at": None}
        case _:
            assert_never(data)
