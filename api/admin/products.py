"""Products: define, archive."""

from __future__ import annotations

import re

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, Ask, carry_out, path_id, read_ask
from api.problems import Problem
from api.reading import reading
from api.views import product_answer
from domain.catalog.commands import ArchiveProduct
from domain.ids import ProductId, product_key
from projections import products
from projections.commands import CommandView
from schemas.http.catalog import DefinedProductAnswer, DefineProductRequest, ProductAnswer
from schemas.http.orders import NoBody

router = APIRouter(prefix="/v1/admin/products", tags=["admin: products"])

_PRODUCT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


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


def _checked(product_id: str) -> ProductId:
    """The id becomes part of a key of the log, so it is checked before anything is sent."""
    if not _PRODUCT_ID.fullmatch(product_id):
        raise Problem(
            "product_invalid",
            "A product's id has 1 to 63 lower-case letters, digits and dashes.",
        )
    return ProductId(product_id)
