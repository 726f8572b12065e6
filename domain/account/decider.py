"""The one door to everything that concerns a customer: which rule decides which command."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from domain.balance import decider as balance
from domain.balance.commands import BalanceCommand, GrantCredit, TakeBackCredit
from domain.disputes import decider as disputes
from domain.disputes.commands import DisputeCommand, ReportDispute
from domain.entitlements.commands import EndEntitlement, EntitlementCommand
from domain.grants import decider as grants
from domain.grants.commands import EndGrant, GiveGrant, GrantCommand, RevokeGrant
from domain.operations import decider as operations
from domain.operations.commands import OperationsCommand, ResumeOverdue
from domain.orders import decider as orders
from domain.orders.commands import CancelOrder, ExpireOrder, OrderCommand, PlaceOrder
from domain.payments import decider as payments
from domain.payments import methods
from domain.payments.commands import (
    AnswerCall,
    ExpirePayment,
    PaymentCommand,
    RemovePaymentMethod,
    RepeatCall,
    ReportPayment,
    SweepPayment,
)
from domain.pricing import decider as discounts
from domain.pricing.commands import GrantPersonalDiscount, PersonalDiscountCommand, RevokePersonalDiscount
from domain.promo import uses as promo_uses
from domain.promo.commands import AnswerPromoReservation, PromoUseCommand, RepeatPromoCall
from domain.refunds import decider as refunds
from domain.refunds.commands import AnswerRefund, RefundCommand, RepeatRefund, RequestRefund, SweepRefund
from domain.subscriptions import decider as subscriptions
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
    SubscriptionCommand,
)

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command

AccountCommand = (
    OrderCommand
    | PaymentCommand
    | SubscriptionCommand
    | EntitlementCommand
    | RefundCommand
    | DisputeCommand
    | PromoUseCommand
    | PersonalDiscountCommand
    | OperationsCommand
    | GrantCommand
    | BalanceCommand
)


def decide(account: Account, command: Command[AccountCommand]) -> tuple[AccountEvent, ...]:
    """Return what happens; `()` when it is already so. Raises DomainError when a rule is broken."""
    events = _decide(account, command)
    if isinstance(command.data, ResumeOverdue):
        return events  # each of what it fires was decided here by itself
    return balance.let_go(account, events)


def _decide(account: Account, command: Command[AccountCommand]) -> tuple[AccountEvent, ...]:  # one return a command
    data = command.data
    match data:
        case PlaceOrder():
            return orders.place(account, data, command)
        case CancelOrder():
            return orders.cancel(account, data, command)
        case ExpireOrder():
            return orders.expire(account, data, command)
        case AnswerPromoReservation():
            return orders.answer_promo(account, data, command)
        case RepeatPromoCall():
            return promo_uses.repeat(account, data, command)
        case GrantPersonalDiscount():
            return discounts.grant(account, data, command)
        case RevokePersonalDiscount():
            return discounts.revoke(account, data, command)
        case GiveGrant():
            return grants.give(account, data, command)
        case RevokeGrant():
            return grants.revoke(account, data, command)
        case EndGrant():
            return grants.end(account, data, command)
        case GrantCredit():
            return balance.grant(account, data)
        case TakeBackCredit():
            return balance.take_back(account, data)
        case RemovePaymentMethod():
            return methods.remove(account, data)
        case AnswerCall():
            return payments.answer_call(account, data, command)
        case ReportPayment():
            return payments.report(account, data, command)
        case RepeatCall():
            return payments.repeat_call(account, data, command)
        case SweepPayment():
            return payments.sweep(account, data, command)
        case ExpirePayment():
            return payments.expire(account, data, command)
        case CancelSubscription():
            return subscriptions.cancel(account, data, command)
        case ResumeSubscription():
            return subscriptions.resume(account, data, command)
        case ExtendSubscription():
            return subscriptions.extend(account, data, command)
        case ChangePlan():
            return subscriptions.change_plan(account, data, command)
        case MigratePrice():
            return subscriptions.migrate_price(account, data, command)
        case PauseSubscription():
            return subscriptions.pause(account, data, command)
        case ContinueSubscription():
            return subscriptions.continue_after_pause(account, data, command)
        case StartTrial():
            return subscriptions.start_trial(account, data, command)
        case RenewSubscription():
            return subscriptions.renew(account, data, command)
        case EndGrace():
            return subscriptions.end_grace(account, data, command)
        case EndPeriod():
            return subscriptions.end_period(account, data, command)
        case RequestRefund():
            return refunds.request(account, data, command)
        case AnswerRefund():
            return refunds.answer(account, data, command)
        case RepeatRefund():
            return refunds.repeat(account, data, command)
        case SweepRefund():
            return refunds.sweep(account, data, command)
        case ReportDispute():
            return disputes.report(account, data, command)
        case EndEntitlement():
            return subscriptions.end_entitlement(account, data, command)
        case ResumeOverdue():
            return operations.resume(account, data, command, decide)
        case _:
            assert_never(data)
