"""Payment providers: where an order can be paid, for anyone."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import ServicesDep
from schemas.http.catalog import PaymentProviderAnswer
from schemas.http.fields import ItemsAnswer

router = APIRouter(prefix="/v1/payment-providers", tags=["payment providers"])


@router.get("", responses=docs.problems(400))
async def list_payment_providers(services: ServicesDep) -> ItemsAnswer[PaymentProviderAnswer]:
    """The providers that are configured; the first is taken where an order names none."""
    return ItemsAnswer(
        items=tuple(PaymentProviderAnswer(id=name, default=index == 0) for index, name in enumerate(services.providers))
    )
