"""Products and payment providers over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field, StringConstraints

from domain.catalog.commands import DefineProduct
from domain.catalog.state import Price, ProductKind
from domain.ids import PriceId, ProductId
from domain.policies.settings import DELAYS_MAX
from domain.policies.terms import Terms
from schemas.http.fields import (
    TEXT_PATTERN,
    AnswerModel,
    Duration,
    MoneyAnswer,
    MoneyRequest,
    NameText,
    PeriodAnswer,
    PeriodRequest,
    RequestModel,
    Wide,
)

PRICES_MAX = 100


class PriceRequest(RequestModel):
    """A price on sale; its id is `<product id>:<name>`, and it never changes once published.

    `trial_days` is for plans: how long a customer who never had the product may try it for nothing.
    """

    id: NameText
    amount: MoneyRequest
    period: PeriodRequest | None = None
    trial_days: Annotated[int, Wide("price_invalid")] | None = None


class TermsRequest(RequestModel):
    """What holds for the product otherwise than in the settings; what is absent is as they say.

    `grace` is how long access stays after the end while a renewal is not paid, `refund_window` how long all of a
    payment may be had back, `refund_unused` whether the unused part of a period may after that, `renewal_offsets` when
    a renewal is tried, counted from the end of the period.
    """

    grace: Duration | None = None
    refund_window: Duration | None = None
    refund_unused: bool | None = None
    renewal_offsets: Annotated[tuple[Duration, ...], Field(max_length=DELAYS_MAX)] | None = None

    def to_domain(self) -> Terms:
        """The same as the domain has it."""
        return Terms(
            grace=self.grace,
            refund_window=self.refund_window,
            refund_unused=self.refund_unused,
            renewal_offsets=self.renewal_offsets,
        )


class DefineProductRequest(RequestModel):
    """What the product is to be. Prices that are not named are taken off sale."""

    kind: ProductKind
    title: NameText
    description: Annotated[str, StringConstraints(max_length=5000, pattern=TEXT_PATTERN)] = ""
    role: NameText | None = None
    validity_days: Annotated[int, Wide("product_invalid")] | None = None
    terms: TermsRequest | None = None
    prices: Annotated[list[PriceRequest], Field(min_length=1, max_length=PRICES_MAX)]

    def to_command(self, product_id: ProductId) -> DefineProduct:
        """The intent."""
        return DefineProduct(
            product_id=product_id,
            kind=self.kind,
            title=self.title,
            description=self.description,
            role=self.role,
            validity_days=self.validity_days,
            terms=None if self.terms is None else self.terms.to_domain(),
            prices=tuple(
                Price(
                    id=PriceId(price.id),
                    amount=price.amount.to_domain(),
                    period=None if price.period is None else price.period.to_domain(),
                    trial_days=price.trial_days,
                )
                for price in self.prices
            ),
        )


class PriceAnswer(AnswerModel):
    """A price on sale; `period` is absent for films, `trial_days` where it cannot be tried for nothing."""

    id: str
    amount: MoneyAnswer
    period: PeriodAnswer | None
    trial_days: int | None


class ProductAnswer(AnswerModel):
    """A product on sale with its prices, the lowest first."""

    id: str
    kind: ProductKind
    title: str
    description: str
    role: str | None
    validity_days: int | None
    prices: tuple[PriceAnswer, ...]
    updated_at: datetime


class ManagedPriceAnswer(PriceAnswer):
    """A price, on sale or not."""

    active: bool


class TermsAnswer(AnswerModel):
    """Policies for one product; what is absent is as in the settings."""

    grace: timedelta | None
    refund_window: timedelta | None
    refund_unused: bool | None
    renewal_offsets: tuple[timedelta, ...] | None

    @classmethod
    def of(cls, terms: Terms) -> TermsAnswer:
        """The same for clients."""
        return cls(
            grace=terms.grace,
            refund_window=terms.refund_window,
            refund_unused=terms.refund_unused,
            renewal_offsets=terms.renewal_offsets,
        )


class ManagedProductAnswer(ProductAnswer):
    """A product, on sale or not, with every price that it ever had; `terms` are what it has of its own."""

    terms: TermsAnswer | None
    active: bool
    prices: tuple[ManagedPriceAnswer, ...]


class DefinedProductAnswer(AnswerModel):
    """A product after a manager's command; what is on sale stands in the public list."""

    id: str
    active: bool


class PaymentProviderAnswer(AnswerModel):
    """A provider that an order can be paid at."""

    id: str
    default: bool
