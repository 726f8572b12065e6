"""What managers ask of the catalogue."""

from __future__ import annotations

from domain.catalog.state import Price, ProductKind
from domain.ids import ProductId
from domain.policies.terms import Terms
from domain.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineProduct:
    """Make the product be as given. Prices that are not named are archived; named ones are added or kept."""

    product_id: ProductId
    kind: ProductKind
    title: str
    prices: tuple[Price, ...]
    description: str = ""
    role: str | None = None
    validity_days: int | None = None
    terms: Terms | None = None
    """What is otherwise than in the settings; absent: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveProduct:
    """Take the product off the list. What was sold stays sold."""

    product_id: ProductId


CatalogCommand = DefineProduct | ArchiveProduct
