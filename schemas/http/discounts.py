"""Quotes and discounts over HTTP: for customers what won and why, for managers what there is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from domain.ids import PriceId, ProductId
from domain.orders.commands import OrderItem
from domain.pricing.commands import DefineMonthsDiscounts, GrantPersonalDiscount
from domain.pricing.state import MonthsStep, PromoCode
from domain.promo.commands import DefinePromoCode
from schemas.http.fields import AnswerModel, Moment, MoneyAnswer, MoneyRequest, NameText, RequestModel, Wide
from schemas.http.orders import ITEMS_MAX, AppliedDiscountAnswer, OrderItemRequest, QuoteLineAnswer

if TYPE_CHECKING:
    from domain.pricing.state import ConsideredDiscount


class QuoteRequest(RequestModel):
    """What would these items cost now?"""

    items: Annotated[list[OrderItemRequest], Field(max_length=ITEMS_MAX)]
    promo_code: NameText | None = None

    def to_items(self) -> tuple[OrderItem, ...]:
        """The items as an order has them."""
        return tuple(OrderItem(price_id=PriceId(item.price_id), months=item.months) for item in self.items)


class ConsideredDiscountAnswer(AnswerModel):
    """A discount that did not win: what it would have taken off."""

    kind: str
    reference: str
    amount: MoneyAnswer
    what: str

    @classmethod
    def of(cls, considered: ConsideredDiscount) -> ConsideredDiscountAnswer:
        """The same for clients."""
        return cls(
            kind=considered.kind,
            reference=considered.reference,
            amount=MoneyAnswer.of(considered.amount),
            what=considered.what,
        )


class QuoteAnswer(AnswerModel):
    """What the items cost now: an order of them with `expected_total` costs exactly this, or is rejected.

    subtotal − discount = total. `balance_used` of that would be paid out of the balance as it is now, the rest in
    money. `applied_discount` says which discount won and why, `considered_discounts` the others:
    they do not add up.
    """

    items: tuple[QuoteLineAnswer, ...]
    subtotal: MoneyAnswer
    discount: MoneyAnswer
    total: MoneyAnswer
    balance_used: MoneyAnswer
    applied_discount: AppliedDiscountAnswer | None
    considered_discounts: tuple[ConsideredDiscountAnswer, ...]


ProductNames = Annotated[list[NameText], Field(max_length=1000)]


class MonthsStepRequest(RequestModel):
    """A part off, in basis points (1,000 is 10 %), for whoever takes at least so many months at once."""

    months: Annotated[int, Wide("discount_invalid")]
    basis_points: Annotated[int, Wide("discount_invalid")]


class DefineMonthsDiscountsRequest(RequestModel):
    """The whole table of discounts by months; no steps: no such discounts."""

    steps: Annotated[list[MonthsStepRequest], Field(max_length=1000)]

    def to_command(self) -> DefineMonthsDiscounts:
        """The intent."""
        return DefineMonthsDiscounts(
            steps=tuple(MonthsStep(months=step.months, basis_points=step.basis_points) for step in self.steps)
        )


class GrantPersonalDiscountRequest(RequestModel):
    """A part off for one customer, in basis points (1,000 is 10 %); without products: for all of them."""

    basis_points: Annotated[int, Wide("discount_invalid")]
    reason: NameText
    products: ProductNames = Field(default_factory=list)
    valid_from: Moment | None = None
    valid_until: Moment | None = None

    def to_command(self) -> GrantPersonalDiscount:
        """The intent."""
        return GrantPersonalDiscount(
            basis_points=self.basis_points,
            reason=self.reason,
            products=tuple(map(ProductId, self.products)),
            valid_from=self.valid_from,
            valid_until=self.valid_until,
        )


class DefinePromoCodeRequest(RequestModel):
    """What the promo code is to be: either a part off, in basis points, or an amount. A limit left out is none."""

    basis_points: Annotated[int, Wide("promo_code_invalid")] | None = None
    amount: MoneyRequest | None = None
    products: ProductNames = Field(default_factory=list)
    months_min: Annotated[int, Wide("promo_code_invalid")] | None = None
    valid_from: Moment | None = None
    valid_until: Moment | None = None
    uses_max: Annotated[int, Wide("promo_code_invalid")] | None = None
    uses_per_account_max: Annotated[int, Wide("promo_code_invalid")] | None = None

    def to_command(self, code: str) -> DefinePromoCode:
        """The intent."""
        promo = PromoCode(
            code=code,
            basis_points=self.basis_points,
            amount=None if self.amount is None else self.amount.to_domain(),
            products=tuple(map(ProductId, self.products)),
            months_min=self.months_min,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            uses_max=self.uses_max,
            uses_per_account_max=self.uses_per_account_max,
        )
        return DefinePromoCode(promo=promo)


class MonthsStepAnswer(AnswerModel):
    """A part off, in basis points, from so many months on."""

    months: int
    basis_points: int


class MonthsDiscountsAnswer(AnswerModel):
    """The table of discounts by months; `updated_at` null: nobody ever defined one."""

    steps: tuple[MonthsStepAnswer, ...]
    updated_at: datetime | None


class PersonalDiscountAnswer(AnswerModel):
    """A discount of one customer, with who gave it; revoked ones stay on the list."""

    id: str
    account: str
    basis_points: int
    reason: str
    products: tuple[str, ...]
    valid_from: datetime | None
    valid_until: datetime | None
    granted_at: datetime
    granted_by: str
    revoked_at: datetime | None


class PromoCodeAnswer(AnswerModel):
    """A promo code; `uses` is how many orders use it now, paid ones and open ones that have a use."""

    code: str
    basis_points: int | None
    amount: MoneyAnswer | None
    products: tuple[str, ...]
    months_min: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    uses_per_account_max: int | None
    active: bool
    uses: int
    updated_at: datetime


class PromoUseAnswer(AnswerModel):
    """One order that asked for a promo code: reserving, held, settled (paid), refused, releasing or released."""

    order_id: str
    account: str
    status: str
    refusal: str | None
    asked_at: datetime
    updated_at: datetime
