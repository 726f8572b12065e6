"""What is sold: a product (film or subscription plan) and its immutable prices."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from domain.calendar import Period
from domain.ids import PriceId, ProductId, Resource
from domain.money import Money
from domain.policies.terms import Terms
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.records import dataclass, field


class ProductKind(StrEnum):
    """A film is bought once; a subscription plan gives a role for a period."""

    FILM = "film"
    SUBSCRIPTION = "subscription"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a product costs. It never changes: a new amount is a new price."""

    id: PriceId
    amount: Money
    period: Period | None = None
    """Set for subscription plans, absent for films."""
    active: bool = True
    trial_days: int | None = None
    """How many days the plan may be tried for nothing before its first period; absent: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A film or a subscription plan, with all of its prices by id."""

    id: ProductId
    kind: ProductKind
    title: str
    description: str = ""
    role: str | None = None
    """The role that a subscription gives; absent for films."""
    validity_days: int | None = None
    """How many days a bought film may be watched; absent: for ever."""
    terms: Terms | None = None
    """What holds for it otherwise than in the settings; absent: nothing."""
    active: bool = True
    prices: Mapping[PriceId, Price] = field(default_factory=dict)

    @property
    def resource(self) -> Resource:
        """What the buyer may watch."""
        return Resource(f"film:{self.id}" if self.kind is ProductKind.FILM else f"role:{self.role}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoProduct:
    """The catalogue has no such product yet."""


ProductState = Product | NoProduct


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A price on sale together with its product, as an order needs it."""

    product: Product
    price: Price


class Catalogue(Protocol):
    """Everything that is on sale and at which conditions, as somebody knows it now."""

    @property
    def prices(self) -> Mapping[PriceId, Offer]:
        """Offers by price id, archived ones among them."""

    @property
    def months_discounts(self) -> MonthsDiscounts:
        """The table of discounts by months."""

    @property
    def promo_codes(self) -> Mapping[str, PromoCode]:
        """Promo codes by their one spelling, archived ones among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StillCatalogue:
    """A catalogue that does not change."""

    prices: Mapping[PriceId, Offer] = field(default_factory=dict)
    months_discounts: MonthsDiscounts = field(default_factory=MonthsDiscounts)
    promo_codes: Mapping[str, PromoCode] = field(default_factory=dict)
