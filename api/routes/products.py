"""Products: what is on sale, for anyone."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.views import product_answer
from domain.catalog.state import ProductKind
from projections import products
from schemas.http.catalog import ProductAnswer
from schemas.http.fields import PageAnswer

router = APIRouter(prefix="/v1/products", tags=["products"])


@router.get("", **docs.public())
async def list_products(
    connection: Reader, kind: ProductKind | None = None, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[ProductAnswer]:
    """Products on sale with their prices, by their lowest price."""
    page = await products.list_page(connection, kind=None if kind is None else kind.value, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(product_answer, page.items)), next_cursor=page.next_cursor)


@router.get("/{product_id}", **docs.public(404))
async def get_product(connection: Reader, product_id: ResourceId) -> ProductAnswer:
    """One product on sale."""
    product = await products.get(connection, product_id)
    if product is None:
        raise Problem("product_unknown", f"There is no product {product_id!r} on sale.")
    return product_answer(product)
