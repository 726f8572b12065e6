"""Health and metrics, for operations."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api import docs
from api.dependencies import ServicesDep
from api.problems import Problem
from api.reading import reading
from api.services import Services
from schemas.http.health import LiveAnswer, ReadyAnswer

router = APIRouter(tags=["operations"])

_DEADLINE_S = 2.0
_OK = "ok"


@router.get("/health/live", responses=docs.problems(400))
async def live() -> LiveAnswer:
    """Whether the process answers; nothing else is asked."""
    return LiveAnswer()


@router.get("/health/ready", responses=docs.problems(400, 503))
async def ready(services: ServicesDep) -> ReadyAnswer:
    """Whether commands can be taken and queries answered; otherwise 503 with what is wrong."""
    broker, database = await asyncio.gather(services.sender.check(_DEADLINE_S), _check_database(services))
    checks = {
        "broker": broker or _OK,
        "database": database or _OK,
        "projections": _OK if services.watcher.is_connected else "no news of the read models arrive",
    }
    if any(answer != _OK for answer in checks.values()):
        raise Problem("not_ready", "Something that is needed is not there.", extra={"checks": checks})
    return ReadyAnswer(checks=checks)


@router.get("/metrics", include_in_schema=False)
async def metrics(services: ServicesDep) -> Response:
    """Counters and times, as Prometheus reads them."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _check_database(services: Services) -> str | None:
    try:
        async with reading(services.engine, deadline_s=_DEADLINE_S) as connection:
            await connection.execute(text("select 1 from billing.positions limit 1"))
    except (SQLAlchemyError, OSError) as error:
        return f"the database: {type(error).__name__}"
    return None
