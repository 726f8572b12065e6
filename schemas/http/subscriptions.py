"""Subscriptions over HTTP: for customers, and for managers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import StringConstraints

from domain.ids import PriceId, SubscriptionId
from domain.subscriptions.commands import (
    CancelAt,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    MigratePrice,
    StartTrial,
)
from schemas.http.fields import (
    LINE_PATTERN,
    AnswerModel,
    Moment,
    MoneyAnswer,
    NameText,
    PeriodAnswer,
    RequestModel,
    Wide,
)
from schemas.http.orders import AppliedDiscountAnswer, OrderAnswer, WebAddress

ReasonText = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=LINE_PATTERN)]


class CancelSubscriptionRequest(RequestModel):
    """When the subscription ends: with what is paid, or at once."""

    at: Literal["period_end", "now"] = "period_end"

    @property
    def moment(self) -> CancelAt:
        """The word of the domain."""
        return CancelAt(self.at)


class ChangePlanRequest(RequestModel):
    """Another plan, by its price: from now on, or with the next period.

    `now` orders a whole period of it, less what is left of the old one; the saved means of payment is charged, and
    where there is none, `provider` and `return_url` are those of the page where the customer pays.
    """

    price_id: NameText
    at: Literal["now", "period_end"]
    provider: NameText | None = None
    return_url: WebAddress | None = None

    def to_command(self, subscription_id: SubscriptionId, provider: str) -> ChangePlan:
        """The intent."""
        return ChangePlan(
            subscription_id=subscription_id,
            price_id=PriceId(self.price_id),
            at=ChangeAt(self.at),
            provider=provider,
            return_url=self.return_url,
        )


class StartTrialRequest(RequestModel):
    """A plan to try for nothing, by its price. Where it renews, its first period is paid at the end of the trial."""

    price_id: NameText
    auto_renew: bool = True

    def to_command(self) -> StartTrial:
        """The intent."""
        return StartTrial(price_id=PriceId(self.price_id), auto_renew=self.auto_renew)


class ExtendSubscriptionRequest(RequestModel):
    """Days that a manager gives; `account` may be left out, since the subscription is somebody's."""

    days: Annotated[int, Wide("extension_invalid")]
    reason: ReasonText
    account: NameText | None = None

    def to_command(self, subscription_id: SubscriptionId) -> ExtendSubscription:
        """The intent."""
        return ExtendSubscription(subscription_id=subscription_id, days=self.days, reason=self.reason)


class CancelForCustomerRequest(CancelSubscriptionRequest):
    """When a manager ends a subscription: with what is paid, or at once."""

    account: NameText | None = None


class MigratePriceRequest(RequestModel):
    """A new price of the same product, for periods that begin at `effective_at` or later."""

    price_id: NameText
    effective_at: Moment
    account: NameText | None = None

    def to_command(self, subscription_id: SubscriptionId) -> MigratePrice:
        """The intent."""
        return MigratePrice(
            subscription_id=subscription_id, price_id=PriceId(self.price_id), effective_at=self.effective_at
        )


class PlannedChangeAnswer(AnswerModel):
    """Another plan that begins with a later period.

    It begins with the next one where the customer chose it; where a new price was announced, with the first that begins
    at `not_before` or later.
    """

    product_id: str
    title: str
    price_id: str
    price: MoneyAnswer
    period: PeriodAnswer
    resource: str
    not_before: datetime | None


class SubscriptionAnswer(AnswerModel):
    """A subscription; `price` is that of one period, `period_end` the end of all that was paid or given.

    `access_end` is the end of access if nothing more is paid, `renew_at` when it is next tried to renew it, and
    `renewal_failure` why the last try brought no money. A pause ends by itself at `resume_by`.
    """

    id: str
    status: str
    order_id: str
    product_id: str
    title: str
    price_id: str
    price: MoneyAnswer
    period: PeriodAnswer
    resource: str
    auto_renew: bool
    period_start: datetime
    period_end: datetime
    access_end: datetime
    renew_at: datetime | None
    renewal_failure: str | None
    paused_at: datetime | None
    resume_by: datetime | None
    planned_change: PlannedChangeAnswer | None
    ended_at: datetime | None


class AccountSubscriptionAnswer(SubscriptionAnswer):
    """A subscription of some account."""

    account: str


class PlanChangeAnswer(AnswerModel):
    """A subscription after the wish for another plan; `order` is what the change now costs, and how it is paid."""

    subscription: SubscriptionAnswer
    order: OrderAnswer | None


class UpcomingRenewalAnswer(AnswerModel):
    """A renewal that is to come: when it is charged first, for which period, and what it costs by what is known."""

    charge_at: datetime
    period_start: datetime
    period_end: datetime
    price_id: str
    title: str
    subtotal: MoneyAnswer
    discount: MoneyAnswer
    total: MoneyAnswer
    applied_discount: AppliedDiscountAnswer | None
