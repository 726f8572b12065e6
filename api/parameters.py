"""Parameters in addresses: those that the route names, each once. What it would pass over is refused instead."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from fastapi import Request

from api.problems import ERRORS_MAX, Problem

if TYPE_CHECKING:
    from fastapi.dependencies.models import Dependant
    from fastapi.routing import APIRoute
    from starlette.types import Scope

_SHOWN_MAX = 100


async def known_parameters(request: Request) -> None:
    """The check as a dependency of every route that FastAPI answers. Raises Problem."""
    require_known(request.scope, request.scope["route"])


def require_known(scope: Scope, route: APIRoute) -> None:
    """Raises Problem where the address has a parameter that the route does not name, or one of them twice.

    A misspelt filter would otherwise answer with everything, and of two values it would be ours to guess which counts.
    """
    if not scope["query_string"]:
        return
    allowed = parameters_of(route.dependant)
    found = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
    unknown = sorted(set(found) - set(allowed))
    repeated = [name for name in allowed if found.count(name) > 1]
    if not unknown and not repeated:
        return
    takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
    listed = [(name, f"This address has no such parameter; {takes}.") for name in unknown]
    listed += [(name, "A parameter may be given once.") for name in repeated]
    raise Problem(
        "query_invalid",
        f"The address has parameters that cannot be; {takes}.",
        extra={
            "errors": [{"parameter": name[:_SHOWN_MAX], "detail": detail} for name, detail in listed[:ERRORS_MAX]],
            "allowed": allowed,
        },
    )


def parameters_of(dependant: Dependant) -> list[str]:
    """The names of the parameters that a route or what it depends on reads from the address."""
    own = [field.alias for field in dependant.query_params]
    return own + [name for inner in dependant.dependencies for name in parameters_of(inner)]
