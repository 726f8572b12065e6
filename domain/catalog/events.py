"""What happened to the catalogue."""

from __future__ import annotations

from domain.catalog.state import Price, ProductKind
from domain.ids import PriceId, ProductId
from domain.policies.terms import Terms
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductDefined:
    """The product was put on the list, or described anew, without its prices."""

    product_id: ProductId
    kind: ProductKind
    title: str
    description: str
    role: str | None
    validity_days: int | None
    terms: Terms | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductArchived:
    """The product was taken off the list."""

    product_id: ProductId


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceAdded:
    """The product got a price."""

    product_id: ProductId
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceArchived:
    """The price is no longer on sale; who agreed to it keeps it."""

    product_id: ProductId
    price_id: PriceId


CatalogEvent = ProductDefined | ProductArchived | PriceAdded | PriceArchived
