"""Every message of the system by its wire type. One definition of each: the dataclass that the domain uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.balance.commands import GrantCredit, TakeBackCredit
from domain.balance.events import (
    BalancePaid,
    BalanceRefunded,
    BalanceReturned,
    BalanceUsed,
    CreditGranted,
    CreditTakenBack,
)
from domain.catalog.commands import ArchiveProduct, DefineProduct
from domain.catalog.events import PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.catalog.state import Product
from domain.disputes.commands import ReportDispute
from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeUpdated, DisputeWon
from domain.effects import ChargeMethod, CloseCheckout, CreateCheckout, FetchPayment, RefundPayment
from domain.entitlements.commands import EndEntitlement
from domain.entitlements.events import EntitlementEnded, EntitlementGranted
from domain.grants.commands import EndGrant, GiveGrant, RevokeGrant
from domain.grants.events import GrantEnded, GrantGiven, GrantRevoked
from domain.ids import EffectId, Resource
from domain.operations.commands import ResumeOverdue
from domain.orders.commands import CancelOrder, ExpireOrder, PlaceOrder
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
from domain.payments.commands import (
    AnswerCall,
    ExpirePayment,
    RemovePaymentMethod,
    RepeatCall,
    ReportPayment,
    SweepPayment,
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
from domain.pricing.commands import DefineMonthsDiscounts, GrantPersonalDiscount, RevokePersonalDiscount
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.promo.commands import (
    AnswerPromoReservation,
    ArchivePromoCode,
    DefinePromoCode,
    ReleasePromoCode,
    RepeatPromoCall,
    ReservePromoCode,
    SettlePromoCode,
)
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
from domain.refunds.commands import AnswerRefund, RepeatRefund, RequestRefund, SweepRefund
from domain.refunds.events import (
    RefundCallRepeated,
    RefundFailed,
    RefundReinstated,
    RefundRequested,
    RefundReversed,
    RefundSubmitted,
    RefundSucceeded,
)
from domain.subscriptions.commands import (
    CancelSubscription,
    ChangePlan,
    ContinueSubscription,
    EndGrace,
    EndPeriod,
    ExtendSubscription,
    MigratePrice,
    PauseSubscription,
    RenewSubscription,
    ResumeSubscription,
    StartTrial,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAccepted:
    """The outcome of a command that was carried out: the last record of its group. `resources` are ids by noun."""

    command_type: str
    body_hash: str | None
    resources: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRejected:
    """The outcome of a command that breaks a rule: `code` is stable, `detail` a sentence, `facts` the rule's fields."""

    command_type: str
    body_hash: str | None
    code: str
    detail: str
    facts: dict[str, str]


Outcome = CommandAccepted | CommandRejected


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementItem:
    """One thing that may be watched; `until` null means for ever."""

    resource: Resource
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementsRecord:
    """All that an account may watch now: the newest record of a key replaces every earlier one."""

    items: tuple[EntitlementItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedCommand:
    """A command for another key, for the gateway to relay. Its id comes from the effect's id and attempt."""

    effect_id: EffectId
    attempt: int
    key: str
    command_type: str
    body: dict[str, Any]


COMMANDS: dict[str, type] = {
    "billing.order.place": PlaceOrder,
    "billing.order.cancel": CancelOrder,
    "billing.order.expire": ExpireOrder,
    "billing.promo_use.answer": AnswerPromoReservation,
    "billing.promo_use.repeat_call": RepeatPromoCall,
    "billing.personal_discount.grant": GrantPersonalDiscount,
    "billing.personal_discount.revoke": RevokePersonalDiscount,
    "billing.grant.give": GiveGrant,
    "billing.grant.revoke": RevokeGrant,
    "billing.grant.end": EndGrant,
    "billing.credit.grant": GrantCredit,
    "billing.credit.take_back": TakeBackCredit,
    "billing.payment_method.remove": RemovePaymentMethod,
    "billing.payment.answer_call": AnswerCall,
    "billing.payment.report": ReportPayment,
    "billing.payment.repeat_call": RepeatCall,
    "billing.payment.sweep": SweepPayment,
    "billing.payment.expire": ExpirePayment,
    "billing.refund.request": RequestRefund,
    "billing.refund.answer": AnswerRefund,
    "billing.refund.repeat": RepeatRefund,
    "billing.refund.sweep": SweepRefund,
    "billing.dispute.report": ReportDispute,
    "billing.subscription.cancel": CancelSubscription,
    "billing.subscription.resume": ResumeSubscription,
    "billing.subscription.extend": ExtendSubscription,
    "billing.subscription.start_trial": StartTrial,
    "billing.subscription.change_plan": ChangePlan,
    "billing.subscription.migrate_price": MigratePrice,
    "billing.subscription.pause": PauseSubscription,
    "billing.subscription.continue": ContinueSubscription,
    "billing.subscription.renew": RenewSubscription,
    "billing.subscription.end_period": EndPeriod,
    "billing.subscription.end_grace": EndGrace,
    "billing.entitlement.end": EndEntitlement,
    "billing.overdue.resume": ResumeOverdue,
    "billing.product.define": DefineProduct,
    "billing.product.archive": ArchiveProduct,
    "billing.months_discounts.define": DefineMonthsDiscounts,
    "billing.promo_code.define": DefinePromoCode,
    "billing.promo_code.archive": ArchivePromoCode,
    "billing.promo_code.reserve": ReservePromoCode,
    "billing.promo_code.release": ReleasePromoCode,
    "billing.promo_code.settle": SettlePromoCode,
}

EVENTS: dict[str, type] = {
    "billing.command.accepted": CommandAccepted,
    "billing.command.rejected": CommandRejected,
    "billing.order.placed": OrderPlaced,
    "billing.order.already_placed": OrderAlreadyPlaced,
    "billing.order.paid": OrderPaid,
    "billing.order.payment_waived": OrderPaymentWaived,
    "billing.order.fulfilled": OrderFulfilled,
    "billing.order.cancelled": OrderCancelled,
    "billing.order.expired": OrderExpired,
    "billing.order.failed": OrderFailed,
    "billing.payment.created": PaymentCreated,
    "billing.payment.action_required": PaymentActionRequired,
    "billing.payment.processing": PaymentProcessing,
    "billing.payment.call_repeated": PaymentCallRepeated,
    "billing.payment.fetch_requested": PaymentFetchRequested,
    "billing.payment.unchanged": PaymentUnchanged,
    "billing.payment.declined": PaymentDeclined,
    "billing.payment.close_requested": PaymentCloseRequested,
    "billing.payment.succeeded": PaymentSucceeded,
    "billing.payment.failed": PaymentFailed,
    "billing.payment.cancelled": PaymentCancelled,
    "billing.payment.expired": PaymentExpired,
    "billing.subscription.started": SubscriptionStarted,
    "billing.subscription.renewed": SubscriptionRenewed,
    "billing.subscription.renewal_attempted": RenewalAttempted,
    "billing.subscription.renewal_failed": RenewalFailed,
    "billing.subscription.authentication_required": RenewalAuthenticationRequired,
    "billing.subscription.cancelled": SubscriptionCancelled,
    "billing.subscription.resumed": SubscriptionResumed,
    "billing.subscription.extended": SubscriptionExtended,
    "billing.subscription.shortened": SubscriptionShortened,
    "billing.subscription.restored": SubscriptionRestored,
    "billing.subscription.plan_change_scheduled": PlanChangeScheduled,
    "billing.subscription.plan_change_dropped": PlanChangeDropped,
    "billing.subscription.plan_changed": PlanChanged,
    "billing.subscription.paused": SubscriptionPaused,
    "billing.subscription.continued": SubscriptionContinued,
    "billing.subscription.grace_started": SubscriptionGraceStarted,
    "billing.subscription.ended": SubscriptionEnded,
    "billing.access.blocked": AccessBlocked,
    "billing.payment_method.saved": PaymentMethodSaved,
    "billing.payment_method.removed": PaymentMethodRemoved,
    "billing.refund.requested": RefundRequested,
    "billing.refund.submitted": RefundSubmitted,
    "billing.refund.call_repeated": RefundCallRepeated,
    "billing.refund.succeeded": RefundSucceeded,
    "billing.refund.failed": RefundFailed,
    "billing.refund.reinstated": RefundReinstated,
    "billing.refund.reversed": RefundReversed,
    "billing.dispute.opened": DisputeOpened,
    "billing.dispute.updated": DisputeUpdated,
    "billing.dispute.won": DisputeWon,
    "billing.dispute.lost": DisputeLost,
    "billing.dispute.closed": DisputeClosed,
    "billing.entitlement.granted": EntitlementGranted,
    "billing.entitlement.ended": EntitlementEnded,
    "billing.product.defined": ProductDefined,
    "billing.product.archived": ProductArchived,
    "billing.price.added": PriceAdded,
    "billing.price.archived": PriceArchived,
    "billing.months_discounts.defined": MonthsDiscountsDefined,
    "billing.promo_code.defined": PromoCodeDefined,
    "billing.promo_code.archived": PromoCodeArchived,
    "billing.promo_code.reserved": PromoCodeReserved,
    "billing.promo_code.refused": PromoCodeRefused,
    "billing.promo_code.released": PromoCodeReleased,
    "billing.promo_code.settled": PromoCodeSettled,
    "billing.promo_use.requested": PromoUseRequested,
    "billing.promo_use.held": PromoUseHeld,
    "billing.promo_use.refused": PromoUseRefused,
    "billing.promo_use.call_repeated": PromoUseCallRepeated,
    "billing.promo_use.release_requested": PromoUseReleaseRequested,
    "billing.promo_use.released": PromoUseReleased,
    "billing.promo_use.settled": PromoUseSettled,
    "billing.personal_discount.granted": PersonalDiscountGranted,
    "billing.personal_discount.revoked": PersonalDiscountRevoked,
    "billing.grant.given": GrantGiven,
    "billing.grant.revoked": GrantRevoked,
    "billing.grant.ended": GrantEnded,
    "billing.credit.granted": CreditGranted,
    "billing.credit.taken_back": CreditTakenBack,
    "billing.balance.used": BalanceUsed,
    "billing.balance.returned": BalanceReturned,
    "billing.balance.paid": BalancePaid,
    "billing.balance.refunded": BalanceRefunded,
}

EFFECTS: dict[str, type] = {
    "billing.effect.create_checkout": CreateCheckout,
    "billing.effect.charge_method": ChargeMethod,
    "billing.effect.fetch_payment": FetchPayment,
    "billing.effect.close_checkout": CloseCheckout,
    "billing.effect.refund_payment": RefundPayment,
    "billing.effect.send_command": RelayedCommand,
}

PUBLIC: dict[str, type] = {
    "billing.entitlements.current": EntitlementsRecord,
    "billing.catalog.product": Product,
    "billing.catalog.months_discounts": MonthsDiscounts,
    "billing.catalog.promo_code": PromoCode,
}

MESSAGES: dict[str, type] = COMMANDS | EVENTS | EFFECTS | PUBLIC
TYPE_OF: dict[type, str] = {cls: name for name, cls in MESSAGES.items()}
