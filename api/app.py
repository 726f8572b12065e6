"""The application: everything composed, nothing decided."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from api import docs, errors
from api.access_log import access_logger
from api.admin import products as admin_products
from api.edge import Edge
from api.metrics import Metrics
from api.routes import (
    commands,
    entitlements,
    health,
    orders,
    payment_providers,
    payments,
    products,
    subscriptions,
    webhooks,
)
from api.services import services_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from infra.settings import Settings

_VERSION = "0.1.0"
_ROUTERS = (
    products.router,
    payment_providers.router,
    orders.router,
    payments.router,
    subscriptions.router,
    entitlements.router,
    commands.router,
    webhooks.router,
    admin_products.router,
    health.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The API with these settings. It starts whether or not broker and database are there, and waits for them."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with services_of(settings, metrics) as services:
            yield {"services": services}

    app = FastAPI(title="Billing", version=_VERSION, lifespan=lifespan, redoc_url=None, redirect_slashes=False)
    for router in _ROUTERS:
        app.include_router(router)
    errors.install(app)
    docs.install(app)
    app.add_middleware(Edge, metrics=metrics, access_log=access_logger(settings.log_format))
    return app
