"""Rules that can be broken. Each is a class with a stable code and typed fields; transport is no concern of theirs.

One flat table, however long: codes are of one vocabulary, which docs/problems.md lists and a test holds against it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

FACT_CHARACTERS_MAX = 1000


class DomainError(Exception):
    """A command that breaks a rule of the business: recorded in the log as a rejection, never a crash."""

    code: ClassVar[str] = "rejected"
    sentence: ClassVar[str] = "The command breaks a rule."

    @property
    def facts(self) -> dict[str, str]:
        """The typed fields of the rule that was broken, as text for the log and the client.

        What a client wrote may be among them, of any length: it is cut.
        """
        return {field.name: str(getattr(self, field.name))[:FACT_CHARACTERS_MAX] for field in fields(self)}  # type: ignore[arg-type]  # every subclass is a dataclass

    @property
    def detail(self) -> str:
        """One sentence that says what is wrong and what to do."""
        return self.sentence.format(**self.facts)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(eq=False, kw_only=True)
class CurrencyUnknown(DomainError):
    currency: str
    code: ClassVar[str] = "currency_unknown"
    sentence: ClassVar[str] = "{currency!r} is no ISO 4217 currency; use a code such as EUR."


@dataclass(eq=False, kw_only=True)
class CurrencyMismatch(DomainError):
    left: str
    right: str
    code: ClassVar[str] = "currency_mismatch"
    sentence: ClassVar[str] = "{left} and {right} do not mix: an order, like a subscription, is of one currency."


@dataclass(eq=False, kw_only=True)
class AmountOutOfRange(DomainError):
    amount: int
    amount_max: int
    amount_min: int = 1
    code: ClassVar[str] = "amount_out_of_range"
    sentence: ClassVar[str] = "The amount {amount} is not between {amount_min} and {amount_max} minor units."


@dataclass(eq=False, kw_only=True)
class ProductInvalid(DomainError):
    product_id: str
    reason: str
    code: ClassVar[str] = "product_invalid"
    sentence: ClassVar[str] = "The product {product_id!r} is not valid: {reason}."


@dataclass(eq=False, kw_only=True)
class ProductUnknown(DomainError):
    product_id: str
    code: ClassVar[str] = "product_unknown"
    sentence: ClassVar[str] = "There is no product {product_id!r}."


@dataclass(eq=False, kw_only=True)
class PriceInvalid(DomainError):
    price_id: str
    reason: str
    code: ClassVar[str] = "price_invalid"
    sentence: ClassVar[str] = "The price {price_id!r} is not valid: {reason}."


@dataclass(eq=False, kw_only=True)
class PriceImmutable(DomainError):
    price_id: str
    code: ClassVar[str] = "price_immutable"
    sentence: ClassVar[str] = "The price {price_id!r} was published and cannot change; add a new price instead."


@dataclass(eq=False, kw_only=True)
class PriceUnknown(DomainError):
    price_id: str
    code: ClassVar[str] = "price_unknown"
    sentence: ClassVar[str] = "There is no price {price_id!r} on sale; GET /v1/products lists what is."


@dataclass(eq=False, kw_only=True)
class PriceChanged(DomainError):
    expected_amount: int
    expected_currency: str
    total_amount: int
    currency: str
    code: ClassVar[str] = "price_changed"
    sentence: ClassVar[str] = (
        "The total is {total_amount} {currency} (minor units), not {expected_amount} {expected_currency}; "
        "ask for a new quote."
    )


@dataclass(eq=False, kw_only=True)
class OrderEmpty(DomainError):
    code: ClassVar[str] = "order_empty"
    sentence: ClassVar[str] = "An order needs at least one item."


@dataclass(eq=False, kw_only=True)
class ItemRepeated(DomainError):
    product_id: str
    resource: str
    code: ClassVar[str] = "item_repeated"
    sentence: ClassVar[str] = "{product_id!r} gives {resource}, which another item of the order gives already."


@dataclass(eq=False, kw_only=True)
class MonthsInvalid(DomainError):
    months: int
    reason: str
    code: ClassVar[str] = "months_invalid"
    sentence: ClassVar[str] = "months {months} cannot be ordered: {reason}."


@dataclass(eq=False, kw_only=True)
class PromoCodeUnknown(DomainError):
    promo_code: str
    code: ClassVar[str] = "promo_code_unknown"
    sentence: ClassVar[str] = "There is no promo code {promo_code!r}."


@dataclass(eq=False, kw_only=True)
class PromoCodeExpired(DomainError):
    promo_code: str
    valid_until: str
    code: ClassVar[str] = "promo_code_expired"
    sentence: ClassVar[str] = "The promo code {promo_code!r} was valid until {valid_until}."


@dataclass(eq=False, kw_only=True)
class PromoCodeNotYetValid(DomainError):
    promo_code: str
    valid_from: str
    code: ClassVar[str] = "promo_code_not_yet_valid"
    sentence: ClassVar[str] = "The promo code {promo_code!r} is valid from {valid_from} on."


@dataclass(eq=False, kw_only=True)
class ProductTermsInvalid(DomainError):
    product_id: str
    reason: str
    code: ClassVar[str] = "product_terms_invalid"
    sentence: ClassVar[str] = "The product {product_id!r} cannot be sold on these terms: {reason}."


@dataclass(eq=False, kw_only=True)
class PromoCodeNotApplicable(DomainError):
    promo_code: str
    reason: str
    code: ClassVar[str] = "promo_code_not_applicable"
    sentence: ClassVar[str] = "The promo code {promo_code!r} does not fit this order: {reason}."


@dataclass(eq=False, kw_only=True)
class PromoCodeUsed(DomainError):
    promo_code: str
    uses_max: int
    code: ClassVar[str] = "promo_code_used"
    sentence: ClassVar[str] = "The account may use the promo code {promo_code!r} {uses_max} time(s), and has."


@dataclass(eq=False, kw_only=True)
class PromoCodeInvalid(DomainError):
    promo_code: str
    reason: str
    code: ClassVar[str] = "promo_code_invalid"
    sentence: ClassVar[str] = "The promo code {promo_code!r} cannot be defined: {reason}."


@dataclass(eq=False, kw_only=True)
class DiscountInvalid(DomainError):
    reason: str
    code: ClassVar[str] = "discount_invalid"
    sentence: ClassVar[str] = "The discount is not valid: {reason}."


@dataclass(eq=False, kw_only=True)
class DiscountUnknown(DomainError):
    discount_id: str
    code: ClassVar[str] = "discount_unknown"
    sentence: ClassVar[str] = "The account has no personal discount {discount_id!r}."


@dataclass(eq=False, kw_only=True)
class OrderOpen(DomainError):
    order_id: str
    code: ClassVar[str] = "order_open"
    sentence: ClassVar[str] = (
        "The order {order_id!r} has some of the same things and is not paid yet; pay it or cancel it first."
    )


@dataclass(eq=False, kw_only=True)
class AlreadyEntitled(DomainError):
    resource: str
    code: ClassVar[str] = "already_entitled"
    sentence: ClassVar[str] = "The account may already watch {resource}; nothing was charged."


@dataclass(eq=False, kw_only=True)
class OrderUnknown(DomainError):
    order_id: str
    code: ClassVar[str] = "order_unknown"
    sentence: ClassVar[str] = "The account has no order {order_id!r}."


@dataclass(eq=False, kw_only=True)
class OrderIsCancelled(DomainError):
    order_id: str
    code: ClassVar[str] = "order_cancelled"
    sentence: ClassVar[str] = "The order {order_id!r} is cancelled already."


@dataclass(eq=False, kw_only=True)
class OrderNotCancellable(DomainError):
    order_id: str
    status: str
    code: ClassVar[str] = "order_not_cancellable"
    sentence: ClassVar[str] = "The order {order_id!r} is {status} and can no longer be cancelled."


@dataclass(eq=False, kw_only=True)
class OrderIsRenewal(DomainError):
    order_id: str
    subscription_id: str
    code: ClassVar[str] = "order_is_renewal"
    sentence: ClassVar[str] = (
        "The order {order_id!r} renews the subscription {subscription_id!r}; cancel the subscription instead."
    )


@dataclass(eq=False, kw_only=True)
class PaymentUnknown(DomainError):
    payment_id: str
    code: ClassVar[str] = "payment_unknown"
    sentence: ClassVar[str] = "The account has no payment {payment_id!r}."


@dataclass(eq=False, kw_only=True)
class ReferenceMismatch(DomainError):
    payment_id: str
    reference: str
    code: ClassVar[str] = "reference_mismatch"
    sentence: ClassVar[str] = (
        "{reference!r} is not what we asked the provider to collect for the payment {payment_id!r}."
    )


@dataclass(eq=False, kw_only=True)
class PaidAmountMismatch(DomainError):
    payment_id: str
    agreed_amount: int
    agreed_currency: str
    paid_amount: int
    paid_currency: str
    code: ClassVar[str] = "paid_amount_mismatch"
    sentence: ClassVar[str] = (
        "The provider reports {paid_amount} {paid_currency} for the payment {payment_id!r}, "
        "agreed were {agreed_amount} {agreed_currency}."
    )


@dataclass(eq=False, kw_only=True)
class TooManyItems(DomainError):
    items: int
    items_max: int
    code: ClassVar[str] = "too_many_items"
    sentence: ClassVar[str] = "An order has at most {items_max} items, not {items}."


@dataclass(eq=False, kw_only=True)
class TooManyOpenOrders(DomainError):
    orders: int
    open_orders_max: int
    code: ClassVar[str] = "too_many_open_orders"
    sentence: ClassVar[str] = "{orders} orders wait to be paid, at most {open_orders_max} may: pay or cancel one first."


@dataclass(eq=False, kw_only=True)
class SubscriptionUnknown(DomainError):
    subscription_id: str
    code: ClassVar[str] = "subscription_unknown"
    sentence: ClassVar[str] = "The account has no subscription {subscription_id!r}."


@dataclass(eq=False, kw_only=True)
class SubscriptionNotRunning(DomainError):
    subscription_id: str
    status: str
    code: ClassVar[str] = "subscription_not_running"
    sentence: ClassVar[str] = "The subscription {subscription_id!r} is {status}; buy the plan again instead."


@dataclass(eq=False, kw_only=True)
class RenewalMethodMissing(DomainError):
    subscription_id: str
    code: ClassVar[str] = "renewal_method_missing"
    sentence: ClassVar[str] = (
        "The subscription {subscription_id!r} cannot renew by itself without a saved means of payment or a balance "
        "that covers its price; buy the plan again with auto-renewal, which saves one."
    )


@dataclass(eq=False, kw_only=True)
class ExtensionInvalid(DomainError):
    days: int
    days_max: int
    code: ClassVar[str] = "extension_invalid"
    sentence: ClassVar[str] = "{days} days cannot be given; it must be 1 to {days_max}."


@dataclass(eq=False, kw_only=True)
class PlanChangeNeeded(DomainError):
    subscription_id: str
    code: ClassVar[str] = "plan_change_needed"
    sentence: ClassVar[str] = (
        "The subscription {subscription_id!r} already gives this role; change its plan instead of buying another."
    )


@dataclass(eq=False, kw_only=True)
class PlanUnchanged(DomainError):
    subscription_id: str
    price_id: str
    code: ClassVar[str] = "plan_unchanged"
    sentence: ClassVar[str] = "The subscription {subscription_id!r} has the price {price_id!r} already."


@dataclass(eq=False, kw_only=True)
class PlanChangeRefused(DomainError):
    subscription_id: str
    reason: str
    code: ClassVar[str] = "plan_change_refused"
    sentence: ClassVar[str] = "The plan of the subscription {subscription_id!r} cannot be changed now: {reason}."


@dataclass(eq=False, kw_only=True)
class MigrationInvalid(DomainError):
    reason: str
    code: ClassVar[str] = "migration_invalid"
    sentence: ClassVar[str] = "The subscription cannot be moved to this price: {reason}."


@dataclass(eq=False, kw_only=True)
class SubscriptionNotPausable(DomainError):
    subscription_id: str
    status: str
    code: ClassVar[str] = "subscription_not_pausable"
    sentence: ClassVar[str] = "The subscription {subscription_id!r} is {status}; only a paid period can be paused."


@dataclass(eq=False, kw_only=True)
class PauseLimitReached(DomainError):
    subscription_id: str
    pauses_max: int
    code: ClassVar[str] = "pause_limit_reached"
    sentence: ClassVar[str] = (
        "The subscription {subscription_id!r} may be paused {pauses_max} time(s) until it is paid again."
    )


@dataclass(eq=False, kw_only=True)
class TrialUnavailable(DomainError):
    product_id: str
    code: ClassVar[str] = "trial_unavailable"
    sentence: ClassVar[str] = "{product_id!r} cannot be tried for nothing."


@dataclass(eq=False, kw_only=True)
class TrialUsed(DomainError):
    product_id: str
    code: ClassVar[str] = "trial_used"
    sentence: ClassVar[str] = "The account had {product_id!r} before; it can be tried once."


@dataclass(eq=False, kw_only=True)
class SubscriptionIsPaused(DomainError):
    subscription_id: str
    code: ClassVar[str] = "subscription_is_paused"
    sentence: ClassVar[str] = "The subscription {subscription_id!r} is paused; resume it before buying more of it."


@dataclass(eq=False, kw_only=True)
class GrantInvalid(DomainError):
    resource: str
    reason: str
    code: ClassVar[str] = "grant_invalid"
    sentence: ClassVar[str] = "A grant of {resource!r} is not valid: {reason}."


@dataclass(eq=False, kw_only=True)
class GrantUnknown(DomainError):
    resource: str
    code: ClassVar[str] = "grant_unknown"
    sentence: ClassVar[str] = "No manager gave the account {resource!r}, or not any more."


@dataclass(eq=False, kw_only=True)
class RefundUnknown(DomainError):
    refund_id: str
    code: ClassVar[str] = "refund_unknown"
    sentence: ClassVar[str] = "The account has no refund {refund_id!r}."


@dataclass(eq=False, kw_only=True)
class PaymentNotRefundable(DomainError):
    payment_id: str
    status: str
    code: ClassVar[str] = "payment_not_refundable"
    sentence: ClassVar[str] = "The payment {payment_id!r} is {status}; only what was paid can be given back."


@dataclass(eq=False, kw_only=True)
class NothingToRefund(DomainError):
    payment_id: str
    code: ClassVar[str] = "nothing_to_refund"
    sentence: ClassVar[str] = (
        "Nothing of the payment {payment_id!r} can be given back any more; "
        "GET /v1/payments?refundable=true lists what can."
    )


@dataclass(eq=False, kw_only=True)
class PaymentDisputed(DomainError):
    payment_id: str
    code: ClassVar[str] = "payment_disputed"
    sentence: ClassVar[str] = (
        "The customer's bank has taken the money of the payment {payment_id!r} in a dispute; none of it can be given "
        "back beside that."
    )


@dataclass(eq=False, kw_only=True)
class DisputeInvalid(DomainError):
    reference: str
    reason: str
    code: ClassVar[str] = "dispute_invalid"
    sentence: ClassVar[str] = "The dispute {reference!r} cannot be what the provider says: {reason}."


@dataclass(eq=False, kw_only=True)
class RefundAmountInvalid(DomainError):
    amount: int
    code: ClassVar[str] = "refund_amount_invalid"
    sentence: ClassVar[str] = "{amount} is no amount to give back; it must be at least 1 minor unit."


@dataclass(eq=False, kw_only=True)
class RefundExceedsPayment(DomainError):
    payment_id: str
    amount: int
    left_amount: int
    rule: str
    code: ClassVar[str] = "refund_exceeds_payment"
    sentence: ClassVar[str] = (
        "{amount} is more than the {left_amount} minor units of the payment {payment_id!r} that can be given back "
        "({rule})."
    )


@dataclass(eq=False, kw_only=True)
class RefundPartialUnavailable(DomainError):
    payment_id: str
    amount: int
    allowed_amount: int
    code: ClassVar[str] = "refund_partial_unavailable"
    sentence: ClassVar[str] = (
        "{amount} would pay back a part of a film, which is access or not; "
        "ask without an amount for all {allowed_amount} minor units that were paid."
    )


@dataclass(eq=False, kw_only=True)
class BalanceTooLarge(DomainError):
    amount: int
    currency: str
    balance_amount: int
    balance_max: int
    code: ClassVar[str] = "balance_too_large"
    sentence: ClassVar[str] = (
        "The balance has {balance_amount} minor units of {currency}; with {amount} more it would have more than "
        "{balance_max}."
    )


@dataclass(eq=False, kw_only=True)
class CreditExceedsBalance(DomainError):
    amount: int
    currency: str
    balance_amount: int
    code: ClassVar[str] = "credit_exceeds_balance"
    sentence: ClassVar[str] = (
        "{amount} is more than the {balance_amount} minor units of {currency} that are on the balance and in use "
        "nowhere."
    )


@dataclass(eq=False, kw_only=True)
class PaymentMethodUnknown(DomainError):
    method_reference: str
    code: ClassVar[str] = "payment_method_unknown"
    sentence: ClassVar[str] = "The account has no saved means of payment {method_reference!r}."
