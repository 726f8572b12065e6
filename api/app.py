"""The application: everything composed, nothing decided."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from api import docs
from api.access_log import access_logger
from api.admin import credits as admin_credits
from api.admin import dead_letters as admin_dead_letters
from api.admin import discounts as admin_discounts
from api.admin import disputes as admin_disputes
from api.admin import grants as admin_grants
from api.admin import ledger as admin_ledger
from api.admin import overdue as admin_overdue
from api.admin import products as admin_products
from api.admin import promo_codes as admin_promo_codes
from api.admin import provider_health as admin_provider_health
from api.admin import reports as admin_reports
from api.admin import sales as admin_sales
from api.admin import subscriptions as admin_subscriptions
from api.edge import Edge, request_id_of
from api.errors import EXPECTED, problem_of
from api.metrics import Metrics
from api.parameters import known_parameters, require_known
from api.problems import CONTENT_TYPE
from api.routes import (
    commands,
    entitlements,
    explanations,
    health,
    orders,
    payment_methods,
    payment_providers,
    payments,
    products,
    quotes,
    refunds,
    subscriptions,
    trials,
    webhooks,
)
from api.routes import credits as customer_credits
from api.services import services_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from infra.settings import Settings

_VERSION = "0.1.0"
ROUTERS = (
    orders.router,
    quotes.router,
    customer_credits.router,
    admin_products.router,
    admin_overdue.router,
    admin_dead_letters.router,
    admin_provider_health.router,
    admin_ledger.router,
    admin_reports.router,
    admin_discounts.router,
    admin_promo_codes.router,
    admin_subscriptions.router,
    admin_disputes.router,
    admin_sales.router,
    admin_credits.router,
    admin_grants.router,
    webhooks.router,
    products.router,
    payment_providers.router,
    payments.router,
    refunds.router,
    payment_methods.router,
    subscriptions.router,
    trials.router,
    entitlements.router,
    explanations.router,
    commands.router,
    health.router,
)


def create_app(settings: Settings) -> FastAPI:
    """The API with these settings. It starts whether or not broker and database are there, and waits for them."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with services_of(settings, metrics) as services:
            yield {"services": services}

    class Application(FastAPI):
        """FastAPI for queries and documents; commands go by a shorter way, and everything through the edge."""

        def build_middleware_stack(self) -> ASGIApp:
            routes = (route for router in ROUTERS for route in router.routes)
            short = ShortWay(routes, super().build_middleware_stack())
            return Edge(short, metrics, access_logger(settings.log_format))

    app = Application(
        title="Billing",
        version=_VERSION,
        lifespan=lifespan,
        dependencies=[Depends(known_parameters)],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in ROUTERS:
        app.include_router(router)
    for kind in (*EXPECTED, Exception):  # Exception too, or the framework answers a bug by itself, as plain text
        app.add_exception_handler(kind, _answer_problem)
    docs.install(app)
    return app


class ShortWay:
    """Takes requests that write straight to their endpoints, and leaves all others to the application.

    Such an endpoint reads its request by itself, so it needs nothing of what FastAPI prepares; without that, a command
    costs half of the processor time.
    """

    def __init__(self, routes: Iterable[object], app: ASGIApp) -> None:
        self._app = app
        self._routes = [
            (Route(route.path, route.endpoint, methods=sorted(route.methods or ())), route)
            for route in routes
            if isinstance(route, APIRoute) and docs.reads_by_itself(route)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find the endpoint, and have it answer."""
        if scope["type"] == "http" and scope["method"] != "GET":
            for short, route in self._routes:
                match, found = short.matches(scope)
                if match is Match.FULL:
                    scope.update(found, route=route)
                    require_known(scope, route)
                    response: Response = await route.endpoint(Request(scope, receive))
                    await response(scope, receive, send)
                    return
        await self._app(scope, receive, send)


async def _answer_problem(request: Request, error: Exception) -> Response:
    """What a route raised, as its problem; what is none is passed on, to be noted at the edge."""
    problem = problem_of(error)
    if problem is None:
        raise error
    return Response(
        problem.encoded(request_id_of(request.scope)),
        problem.status,
        headers=problem.headers,
        media_type=CONTENT_TYPE,
    )
