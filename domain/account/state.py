"""Everything that belongs to one customer. It lives under one key, so one decision sees all of it at once."""

from __future__ import annotations

from collections.abc import Mapping

from domain.disputes.state import Dispute
from domain.entitlements.state import Entitlement
from domain.grants.state import Grant
from domain.ids import DiscountId, DisputeId, OrderId, PaymentId, RefundId, Resource, SubscriptionId
from domain.orders.state import Order
from domain.payments.state import Payment, SavedMethod
from domain.pricing.state import PersonalDiscount
from domain.promo.state import PromoUse
from domain.records import dataclass, field
from domain.refunds.state import Refund
from domain.subscriptions.state import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The fold of an account's events."""

    orders: Mapping[OrderId, Order] = field(default_factory=dict)
    payments: Mapping[PaymentId, Payment] = field(default_factory=dict)
    subscriptions: Mapping[SubscriptionId, Subscription] = field(default_factory=dict)
    entitlements: Mapping[Resource, Entitlement] = field(default_factory=dict)
    refunds: Mapping[RefundId, Refund] = field(default_factory=dict)
    disputes: Mapping[DisputeId, Dispute] = field(default_factory=dict)
    promo_uses: Mapping[OrderId, PromoUse] = field(default_factory=dict)
    personal_discounts: Mapping[DiscountId, PersonalDiscount] = field(default_factory=dict)
    grants: Mapping[Resource, Grant] = field(default_factory=dict)
    """What managers let the customer watch, beside what was bought."""
    balances: Mapping[str, int] = field(default_factory=dict)
    """What the customer may spend here, by currency, in minor units; what open orders hold is not in it."""
    methods: tuple[SavedMethod, ...] = ()
    """Saved means of payment, the one to charge first."""


INITIAL = Account()
