"""Stripe's OpenAPI document as a judge of bodies.

OpenAPI lets an object have fields that its schema does not name. A body with such a field is not Stripe's, so here
every schema is closed unless it says otherwise: a misspelt or invented field fails.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

KEPT = frozenset({"type", "enum", "maxLength", "pattern", "required", "minimum", "maximum", "minItems", "maxItems"})


class StripeDocument:
    """The judge. `problems` of a body is empty if Stripe could have answered it."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_bytes())
        self.version: str = document["info"]["version"]
        self._schemas = {name: _closed(schema) for name, schema in document["components"]["schemas"].items()}
        self._paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", pattern) + r"\Z"), pattern.count("{"), operations)
            for pattern, operations in document["paths"].items()
        ]
        self._validators: dict[str, Draft202012Validator] = {}

    def problems(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer of the API."""
        operation = self._operation(method, path)
        if operation is None:
            # Stripe's 404 for paths that it does not have is an error body too.
            return self.problems_of("error", body) if status >= 400 else [f"Stripe has no {method} {path}"]
        responses = operation["responses"]
        answer = responses.get(str(status)) or responses["default"]
        schema = _closed(answer["content"]["application/json"]["schema"])
        return self._check(f"{method} {path} {status}", schema, body)

    def problems_of(self, name: str, body: Any) -> list[str]:
        """What is wrong with an object of a kind."""
        if name not in self._schemas:
            return [f"Stripe has no object {name}"]
        return self._check(name, {"$ref": f"#/$defs/{name}"}, body)

    def problems_of_event(self, event: Any) -> list[str]:
        """What is wrong with an event, and with the object that it tells about."""
        problems = self.problems_of("event", event)
        if not problems:
            body = event["data"]["object"]
            problems = self.problems_of(str(body.get("object")), body)
        return problems

    def _operation(self, method: str, path: str) -> Json | None:
        matches = [(names, operations) for pattern, names, operations in self._paths if pattern.match(path)]
        if not matches:
            return None
        operations: Json = min(matches, key=lambda match: match[0])[1]
        found: Json | None = operations.get(method.lower())
        return found

    def _check(self, key: str, schema: Json, body: Any) -> list[str]:
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "$defs": self._schemas})
        return [_told(error) for error in self._validators[key].iter_errors(body)]


def _told(error: Any) -> str:
    deepest = best_match([error]) or error
    where = "/".join(str(part) for part in deepest.absolute_path)
    return f"at {where or 'the top'}: {deepest.message[:300]}"


def _closed(schema: Json) -> Json:
    """The OpenAPI 3.0 schema as JSON Schema 2020-12: nullable spelt out, references moved, objects closed."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/components/schemas/", "#/$defs/")}
    closed: Json = {name: schema[name] for name in KEPT & schema.keys()}
    if "anyOf" in schema:
        closed["anyOf"] = [_closed(option) for option in schema["anyOf"]]
    if "items" in schema:
        closed["items"] = _closed(schema["items"])
    if "properties" in schema:
        closed["properties"] = {name: _closed(child) for name, child in schema["properties"].items()}
        closed["additionalProperties"] = False
    extra = schema.get("additionalProperties")
    if extra is not None:
        closed["additionalProperties"] = _closed(extra) if isinstance(extra, dict) else extra
    return {"anyOf": [{"type": "null"}, closed]} if schema.get("nullable") else closed


def broken(body: Any) -> Iterator[tuple[str, Any]]:
    """Copies of a body with one thing wrong each: a judge that accepts one of them judges nothing."""
    wrong = json.loads(json.dumps(body))
    wrong["invented"] = 1
    yield "a field that Stripe does not have", wrong
    for name, value in (("id", 7), ("created", "yesterday"), ("livemode", None), ("object", "something")):
        wrong = json.loads(json.dumps(body))
        wrong[name] = value
        yield f"{name} of a wrong kind", wrong
        if name in body:
            wrong = {field: text for field, text in body.items() if field != name}
            yield f"no {name}", wrong
