"""The documents that tell others what our messages look like: JSON Schemas and AsyncAPI, generated from the code.

They are committed. `differences` finds a change that nobody wrote down, `breaks` one that a reader would not survive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from schemas.messages import COMMANDS, EFFECTS, EVENTS, MESSAGES, PUBLIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Json = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WORDS = frozenset({"title", "description", "default", "examples"})
_TEXT: Json = {"type": "string"}
_CLOUD_EVENTS: Json = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": {"type": "string", "description": "The record's id; a repeat has the same."},
    "ce_type": {"type": "string", "description": "The message's name, such as `billing.order.placed`."},
    "ce_source": _TEXT,
    "ce_subject": {"type": "string", "description": "The account, as in the record's key."},
    "ce_time": {"type": "string", "format": "date-time"},
    "ce_dataschema": {"type": "string", "description": "`urn:billing:schema:` and the message's name."},
    "content-type": {"const": "application/json"},
}
_CAUSES: Json = {
    "command_id": {"type": "string", "description": "The command that caused it."},
    "correlation_id": {"type": "string", "description": "The request with which it all began."},
    "causation_id": {"type": "string", "description": "What caused the command."},
}
_CHAIN: Json = {
    "sequence": {"type": "string", "description": "1, 2, 3 … in each account."},
    "chain_hash": {"type": "string", "description": "SHA-256 over the one before and this event, in hexadecimal."},
    "command_offset": {"type": "string", "description": "Where the command stands in the same partition of commands."},
}


def documents() -> dict[str, Json]:
    """Every document by its path inside `schemas/`."""
    found = {f"json/{wire_type}.json": json_schema(wire_type, cls) for wire_type, cls in sorted(MESSAGES.items())}
    found["asyncapi.json"] = asyncapi()
    return found


def json_schema(wire_type: str, cls: type) -> Json:
    """The JSON Schema of one message's body."""
    schema = TypeAdapter(cls).json_schema()
    return {"$schema": _DIALECT, "$id": f"urn:billing:schema:{wire_type}", **schema}


def asyncapi() -> Json:
    """The AsyncAPI 3.0 document of the topics that others read."""
    entitlements = ("billing.entitlements.current",)
    catalog = tuple(name for name in PUBLIC if name.startswith("billing.catalog."))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Billing",
            "version": "0.1.0",
            "description": "Topics on Kafka. Read those written in transactions with `isolation.level=read_committed`. "
            "A record's key is the account, or in the catalogue `catalog/product/<id>`, `catalog/promo/<code>` or "
            "`catalog/months-discounts`.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "commands": _channel("billing.commands", "Intents, written by the API and the gateway.", COMMANDS),
            "events": _channel("billing.events", "All that happened, for ever. Transactional.", EVENTS),
            "effects": _channel("billing.effects", "Calls to providers. Transactional.", EFFECTS),
            "entitlements": _channel(
                "billing.entitlements",
                "Compacted, transactional: the newest record of an account is all that it may watch now.",
                entitlements,
            ),
            "catalog": _channel("billing.catalog", "Compacted, transactional: what is on sale now.", catalog),
        },
        "operations": {
            name: {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}
            for name, action, channel in (
                ("takeCommands", "receive", "commands"),
                ("tellEvents", "send", "events"),
                ("askProviders", "send", "effects"),
                ("tellEntitlements", "send", "entitlements"),
                ("tellCatalog", "send", "catalog"),
            )
        },
        "components": {"messages": {wire_type: _message(wire_type) for wire_type in sorted(MESSAGES)}},
    }


def _channel(address: str, description: str, wire_types: Iterable[str]) -> Json:
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in sorted(wire_types)}
    return {"address": address, "description": description, "messages": messages}


def _message(wire_type: str) -> Json:
    headers = {**_CLOUD_EVENTS, **_CAUSES, **(_CHAIN if wire_type in EVENTS else {})}
    return {
        "name": wire_type,
        "title": MESSAGES[wire_type].__name__,
        "summary": (MESSAGES[wire_type].__doc__ or "").strip(),
        "headers": {"type": "object", "properties": headers},
        "payload": {"$ref": f"./json/{wire_type}.json"},
    }


def differences(committed: Mapping[str, Json], generated: Mapping[str, Json]) -> list[str]:
    """The paths of documents that are not what the code says, missing and superfluous ones among them."""
    return sorted(path for path in committed.keys() | generated.keys() if committed.get(path) != generated.get(path))


def breaks(before: Mapping[str, Json], after: Mapping[str, Json]) -> list[str]:
    """What a reader would not survive, in words.

    The log is kept for ever and its readers are other people's, so old records must be readable by new code and new
    records by old code. That leaves one change of a message: a new field that may be absent.
    """
    found = []
    for path, schema in sorted(before.items()):
        if not path.startswith("json/"):
            continue
        if path not in after:
            found.append(f"{path}: the message is gone")
        else:
            found += [f"{path}: {problem}" for problem in _breaks(schema, after[path], "")]
    return found


def _breaks(before: Any, after: Any, place: str) -> list[str]:
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [each for old, new in zip(before, after, strict=True) for each in _breaks(old, new, place)]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if before == after else [f"{place or 'the body'} was {before!r} and is {after!r}"]
    found = []
    for name in sorted((before.keys() | after.keys()) - _WORDS - {"properties", "$defs", "required"}):
        found += _breaks(before.get(name), after.get(name), f"{place}.{name}".lstrip("."))
    for group in ("properties", "$defs"):
        for name, schema in before.get(group, {}).items():
            if name not in after.get(group, {}):
                found.append(f"{place}.{name}".lstrip(".") + " is gone")
            else:
                found += _breaks(schema, after[group][name], f"{place}.{name}".lstrip("."))
    required, now_required = set(before.get("required", ())), set(after.get("required", ()))
    found += [f"{place}.{name}".lstrip(".") + " may be absent now" for name in sorted(required - now_required)]
    found += [f"{place}.{name}".lstrip(".") + " is required now" for name in sorted(now_required - required)]
    return found
