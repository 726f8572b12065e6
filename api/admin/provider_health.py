"""How the payment providers answer."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from api import docs
from api.dependencies import CurrentManager, Now, Reader, ServicesDep
from projections.overdue import ProviderStanding, provider_standings
from schemas.http.fields import ItemsAnswer
from schemas.http.operations import ProviderHealthAnswer

router = APIRouter(prefix="/v1/admin/provider-health", tags=["admin: operations"])


@router.get("", **docs.manager_query())
async def list_provider_health(
    services: ServicesDep, _manager: CurrentManager, connection: Reader, now: Now
) -> ItemsAnswer[ProviderHealthAnswer]:
    """The configured payment providers, each with what it has not answered. Nobody is called for this."""
    standings = await provider_standings(connection, now)
    found = {name: standings.get(name, ProviderStanding()) for name in services.providers}
    return ItemsAnswer(
        items=tuple(
            ProviderHealthAnswer(id=name, answers=not standing.late, **asdict(standing))
            for name, standing in found.items()
        )
    )
