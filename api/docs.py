"""What OpenAPI says about routes that read their requests by themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from schemas.http.commands import PendingAnswer
from schemas.http.fields import ProblemAnswer, RequestModel
from schemas.http.orders import NoBody

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.routing import APIRoute

_MODELS: dict[type[BaseModel], None] = {ProblemAnswer: None}
"""What the document names and FastAPI does not see; the requests come with their routes."""
_REFERENCE = "#/components/schemas/{model}"
BEARER = "bearer"
ASSETS_PATH = "/docs/assets"
"""Swagger UI comes from a package of ours, not from another host: the page works where there is no internet."""

_DESCRIPTION = """
Event-sourced billing. Commands go to the log and are answered `202` at once, or with `Prefer: wait=10` with the
finished resource. Every command needs an `Idempotency-Key`: the same request again gets the first answer. Errors are
`application/problem+json` with a stable `code`.
"""

_POSITION = {
    "description": "Where the outcome stands in the log: give it back with a query to read your own write.",
    "schema": {"type": "string"},
}
_ANSWER_HEADERS: dict[str, Any] = {
    "Billing-Position": _POSITION,
    "Idempotency-Replayed": {
        "description": "`true` where this is the answer to an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Location": {"description": "Where to look next.", "schema": {"type": "string"}},
}
_COMMAND_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "1 to 255 printable characters; the same for each repeat of the same request.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~](?:[ -~]*[!-~])?$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "`wait=N`: wait up to N (at most 30) seconds for the outcome.",
        "schema": {"type": "string"},
    },
]
POSITION_PARAMETER: dict[str, Any] = {
    "name": "Billing-Position",
    "in": "header",
    "required": False,
    "description": "Answer from read models that have reached this position.",
    "schema": {"type": "string", "pattern": "^(?:\\d{1,9}:\\d{1,18}|command:[0-9a-f-]{36})$"},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with."""
    return {
        status: {
            "description": "Problem",
            "content": {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="ProblemAnswer")}}},
        }
        for status in statuses
    }


def command(request: type[RequestModel], answer: type[BaseModel], *, status: int = 200) -> dict[str, Any]:
    """Arguments of a route that takes a command."""
    return {
        "status_code": status,
        "responses": {
            200: {"model": answer, "description": "Carried out.", "headers": _ANSWER_HEADERS},
            status: {"model": answer, "description": "Carried out.", "headers": _ANSWER_HEADERS},
            202: {"model": PendingAnswer, "description": "In the log.", "headers": _ANSWER_HEADERS},
            **problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 503),
        },
        "openapi_extra": {
            "parameters": _COMMAND_PARAMETERS,
            "security": [{BEARER: []}],
            "requestBody": _body(request),
        },
    }


def question(request: type[RequestModel], answer: type[BaseModel]) -> dict[str, Any]:
    """Arguments of a route that is asked with a body and changes nothing."""
    return {
        "responses": {
            200: {"model": answer, "description": "The answer."},
            **problems(400, 401, 408, 409, 413, 415, 422, 503, 504),
        },
        "openapi_extra": {
            "parameters": [POSITION_PARAMETER],
            "security": [{BEARER: []}],
            "requestBody": _body(request),
        },
    }


def _body(request: type[RequestModel]) -> dict[str, Any]:
    _MODELS[request] = None
    reference = {"$ref": _REFERENCE.format(model=request.__name__)}
    return {"required": request is not NoBody, "content": {"application/json": {"schema": reference}}}


def reads_by_itself(route: APIRoute) -> bool:
    """Tell whether the endpoint takes the bare request, and nothing that FastAPI would have to prepare."""
    dependant = route.dependant
    return dependant.request_param_name is not None and not (
        dependant.dependencies
        or dependant.path_params
        or dependant.query_params
        or dependant.header_params
        or dependant.body_params
        or dependant.response_param_name
    )


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def query(*statuses: int) -> dict[str, Any]:
    """Arguments of a route that a user reads from."""
    return {
        "responses": problems(400, 401, *statuses, 503, 504),
        "openapi_extra": {"parameters": [POSITION_PARAMETER], "security": [{BEARER: []}]},
    }


def manager_query(*statuses: int) -> dict[str, Any]:
    """Arguments of a route that only managers read from."""
    return query(403, *statuses)


def webhook() -> dict[str, Any]:
    """Arguments of a route that a provider writes to: the body is the provider's, and so is its signature."""
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "responses": {200: {"description": "In the log, or none of our concern."}, **problems(400, 404, 408, 413, 503)},
        "openapi_extra": {"requestBody": body},
    }


def public(*statuses: int) -> dict[str, Any]:
    """Arguments of a route that anyone reads from."""
    return {"responses": problems(400, *statuses, 503, 504), "openapi_extra": {"parameters": [POSITION_PARAMETER]}}


def install(app: FastAPI) -> None:
    """Have the application's document complete: the requests that FastAPI does not see, and how to authenticate."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS_PATH}/favicon-32x32.png",
        )

    app.mount(ASSETS_PATH, StaticFiles(packages=[("fastapi_swagger", "resources")]), name="docs-assets")
    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION.strip(), routes=app.routes)
    components = found.setdefault("components", {})
    _, extra = models_json_schema([(model, "validation") for model in _MODELS], ref_template=_REFERENCE)
    components["schemas"] = {**components.get("schemas", {}), **extra["$defs"]}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operations in found["paths"].items():
        for operation in operations.values():
            parameters = operation.setdefault("parameters", [])
            known = {parameter["name"] for parameter in parameters}
            parameters += [parameter for parameter in _path_parameters(path) if parameter["name"] not in known]
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    return found
