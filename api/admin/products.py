"""Products: define, archive."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import history_answer, managed_product
from api.commanding import Answer, Ask, carry_out, path_id, read_ask
from api.dependencies import CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import page_answer, product_answer
from domain.catalog.commands import ArchiveProduct
from domain.ids import ProductId, product_key
from projections import products
from projections.commands import CommandView
from schemas.http.catalog import DefinedProductAnswer, DefineProductRequest, ManagedProductAnswer, ProductAnswer
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer
from schemas.http.orders import NoBody

router = APIRouter(prefix="/v1/admin/products", tags=["admin: products"])

_PRODUCT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@router.get("", **docs.query(403))
async def list_products(
    _manager: CurrentManager, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[ManagedProductAnswer]:
    """Every product by its id, archived ones among them, with every price that it ever had."""
    return page_answer(await products.list_all(connection, limit=limit, cursor=cursor), managed_product)


@router.get("/{product_id}", **docs.query(403, 404))
async def get_product(_manager: CurrentManager, connection: Reader, product_id: ResourceId) -> ManagedProductAnswer:
    """One product, on sale or not."""
    return managed_product(await _known(connection, product_id))


@router.get("/{product_id}/history", **docs.query(403, 404))
async def list_changes(
    _manager: CurrentManager, connection: Reader, product_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the product and its prices, oldest first."""
    await _known(connection, product_id)
    return history_answer(await products.history(connection, product_id))


@router.put("/{product_id}", **docs.command(DefineProductRequest, ProductAnswer))
async def define_product(request: Request) -> Response:
    """Have the product be as given. Prices that are not named are taken off sale; published ones never change."""
    ask = await read_ask(request, DefineProductRequest, needs_manager=True)
    known_id = _checked(path_id(request, "product_id"))

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            product = await products.get(connection, known_id)
        return None if product is None else Answer(product_answer(product))

    return await carry_out(ask, product_key(known_id), ask.body.to_command(known_id), show)


@router.post("/{product_id}/archive", **docs.command(NoBody, DefinedProductAnswer))
async def archive_product(request: Request) -> Response:
    """Take the product off sale. What was sold stays sold."""
    ask: Ask[NoBody] = await read_ask(request, NoBody, needs_manager=True)
    known_id = _checked(path_id(request, "product_id"))

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        return Answer(DefinedProductAnswer(id=known_id, active=False))

    return await carry_out(ask, product_key(known_id), ArchiveProduct(product_id=known_id), show)


async def _known(connection: Reader, product_id: str) -> products.ProductView:
    product = await products.find(connection, product_id)
    if product is None:
        raise Problem("product_unknown", f"There is no product {product_id!r}.")
    return product


def _checked(product_id: str) -> ProductId:
    """The id becomes part of a key of the log, so it is checked before anything is sent."""
    if not _PRODUCT_ID.fullmatch(product_id):
        raise Problem(
            "product_invalid",
            "A product's id has 1 to 63 lower-case letters, digits and dashes.",
        )
    return ProductId(product_id)
