"""Which event makes which entry: the one table of rules, and the events that move no money.

An entry is the postings of one event, the schedules that it opens and closes, and what is to be remembered of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.catalog.events import PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.grants.events import GrantEnded, GrantGiven, GrantRevoked
from domain.ledger import balances, disputes, refunds, sales
from domain.ledger.draft import Draft
from domain.orders.events import (
    OrderAlreadyPlaced,
    OrderCancelled,
    OrderExpired,
    OrderFailed,
    OrderFulfilled,
    OrderPaid,
    OrderPaymentWaived,
    OrderPlaced,
)
from domain.payments.events import (
    PaymentActionRequired,
    PaymentCallRepeated,
    PaymentCancelled,
    PaymentCloseRequested,
    PaymentCreated,
    PaymentDeclined,
    PaymentExpired,
    PaymentFailed,
    PaymentFetchRequested,
    PaymentMethodRemoved,
    PaymentMethodSaved,
    PaymentProcessing,
    PaymentSucceeded,
    PaymentUnchanged,
)
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.promo.events import (
    PromoCodeArchived,
    PromoCodeDefined,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoCodeSettled,
    PromoUseCallRepeated,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from domain.records import dataclass
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundReinstated,
    RefundRequested,
    RefundReversed,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.subscriptions.events import (
    AccessBlocked,
    PlanChanged,
    PlanChangeDropped,
    PlanChangeScheduled,
    RenewalAttempted,
    RenewalAuthenticationRequired,
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

if TYPE_CHECKING:
    from datetime import datetime

    from domain.ledger.entries import Posting, Schedule
    from domain.ledger.state import Books, Sale

Rule = Callable[[Draft, Any], None]

RULES: dict[type, Rule] = {
    OrderPlaced: sales.placed,
    PaymentSucceeded: sales.money_came,
    OrderPaid: sales.paid,
    OrderPaymentWaived: sales.waived,
    SubscriptionStarted: sales.period_paid,
    SubscriptionRenewed: sales.period_paid,
    EntitlementGranted: sales.given,
    SubscriptionShortened: sales.shortened,
    SubscriptionRestored: sales.restored,
    SubscriptionEnded: sales.ended,
    SubscriptionPaused: sales.paused,
    SubscriptionContinued: sales.continued,
    PlanChanged: sales.plan_changed,
    RefundRequested: refunds.promised,
    RefundReinstated: refunds.promised,
    RefundSucceeded: refunds.paid_out,
    RefundFailed: refunds.refused,
    RefundReversed: refunds.refused,
    DisputeOpened: disputes.opened,
    DisputeUpdated: disputes.told,
    DisputeWon: disputes.told,
    DisputeLost: disputes.told,
    DisputeClosed: disputes.told,
    CreditGranted: balances.granted,
    CreditTakenBack: balances.taken_back,
    BalanceUsed: balances.used,
    BalanceReturned: balances.returned,
}
"""The rule of every event that the books take note of."""

MOVES_NO_MONEY: frozenset[type] = frozenset(
    {
        AccessBlocked,
        BalancePaid,  # the order that is paid with it moves what it holds
        BalanceRefunded,  # the refund that succeeded moves it
        EntitlementEnded,  # what was given for a time is earned by then; what is taken back was paid back before
        GrantEnded,
        GrantGiven,
        GrantRevoked,
        MonthsDiscountsDefined,
        OrderAlreadyPlaced,
        OrderCancelled,
        OrderExpired,
        OrderFailed,
        OrderFulfilled,
        PaymentActionRequired,
        PaymentCallRepeated,
        PaymentCancelled,
        PaymentCloseRequested,
        PaymentCreated,
        PaymentDeclined,
        PaymentExpired,
        PaymentFailed,
        PaymentFetchRequested,
        PaymentMethodRemoved,
        PaymentMethodSaved,
        PaymentProcessing,
        PaymentUnchanged,
        PersonalDiscountGranted,
        PersonalDiscountRevoked,
        PlanChangeDropped,
        PlanChangeScheduled,
        PriceAdded,
        PriceArchived,
        ProductArchived,
        ProductDefined,
        PromoCodeArchived,
        PromoCodeDefined,
        PromoCodeRefused,
        PromoCodeReleased,
        PromoCodeReserved,
        PromoCodeSettled,
        PromoUseCallRepeated,
        PromoUseHeld,
        PromoUseRefused,
        PromoUseReleaseRequested,
        PromoUseReleased,
        PromoUseRequested,
        PromoUseSettled,
        RefundCallRepeated,
        RefundSubmitted,
        RenewalAttempted,
        RenewalAuthenticationRequired,
        RenewalFailed,
        SubscriptionCancelled,
        SubscriptionExtended,  # days for nothing: the money is earned over the time that it was paid for
        SubscriptionGraceStarted,
        SubscriptionResumed,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one event writes into the books."""

    postings: tuple[Posting, ...]
    schedules: tuple[Schedule, ...]
    """As they are from now on: opened, or closed."""
    sales: tuple[Sale, ...]
    """What is remembered, as it is from now on."""


def post(books: Books, event: object, at: datetime) -> Entry:
    """Return the entry of an event of this customer that happened at a moment. Pure; never fails on a known event."""
    draft = Draft(books, at)
    RULES[type(event)](draft, event)
    return Entry(
        postings=tuple(draft.postings),
        schedules=tuple(draft.schedules.values()),
        sales=tuple(draft.changed.values()),
    )


def needs(sale: Sale, event: object, at: datetime) -> bool:
    """Tell whether the entry of an event may depend on a sale: all others need not be at hand."""
    return sale.order_id == getattr(event, "order_id", None) or (sale.open_until is not None and sale.open_until > at)


def after(books: Books, entry: Entry) -> Books:
    """Return the books with the entry in them."""
    return {**books, **{sale.order_id: sale for sale in entry.sales}}
