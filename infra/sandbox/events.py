"""Events and where they are sent: `/v1/events`, `/v1/webhook_endpoints`."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from infra.sandbox.errors import InvalidParameterError, ResourceMissingError
from infra.sandbox.requests import Request, event_page, listing, merged_metadata, page
from infra.sandbox.store import Transaction, new_id
from infra.stripe.names import API_VERSION

if TYPE_CHECKING:
    from infra.sandbox.settings import SandboxSettings

Json = dict[str, Any]

CONFIGURED_ENDPOINT = "we_configured"
"""The endpoint of the settings; unlike those of the API it follows the settings at each start."""

ENDPOINTS_MAX = 16
"""Stripe allows sixteen, and each costs a delivery for every event."""


def _stored(blob: bytes, tx: Transaction) -> Json:
    event: Json = orjson.loads(zlib.decompress(blob))
    rows = tx.rows(
        "SELECT count(*) FROM deliveries JOIN events ON events.seq = deliveries.event_seq WHERE events.id = ?",
        (event["id"],),
    )
    event["pending_webhooks"] = rows[0][0]
    return event


def retrieve(tx: Transaction, request: Request) -> Json:
    """GET /v1/events/{event}."""
    request.params.texts("expand")
    request.params.finish()
    rows = tx.rows("SELECT body FROM events WHERE id = ?", (request.names["event"],))
    if not rows:
        raise ResourceMissingError("event", request.names["event"])
    return _stored(rows[0][0], tx)


def list_events(tx: Transaction, request: Request) -> Json:
    """GET /v1/events."""
    request.params.texts("expand")
    blobs, more = event_page(tx, request.params)
    return listing(request.path, [_stored(blob, tx) for blob in blobs], has_more=more)


def create_endpoint(tx: Transaction, request: Request) -> Json:
    """POST /v1/webhook_endpoints; its signing secret is told once, here."""
    params = request.params
    url = _checked_url(params.required_text("url"))
    types = params.texts("enabled_events")
    if not types:
        params.missing("enabled_events")
    description, metadata = params.text("description"), params.metadata()
    version = params.text("api_version")
    params.texts("expand")
    params.finish()
    if len(tx.rows("SELECT 1 FROM objects WHERE kind = 'webhook_endpoint'")) >= ENDPOINTS_MAX:
        raise InvalidParameterError(f"You have reached the maximum of {ENDPOINTS_MAX} webhook endpoints.")
    secret = new_id("whsec", length=32)
    endpoint = _endpoint(tx, new_id("we"), url, types, description=description)
    endpoint["api_version"] = version
    endpoint["metadata"] = merged_metadata({}, metadata)
    tx.insert(endpoint, private={"secret": secret})
    return {**endpoint, "secret": secret}


def _endpoint(tx: Transaction, identifier: str, url: str, types: list[str], *, description: str | None) -> Json:
    return {
        "id": identifier,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": tx.now,
        "description": description,
        "enabled_events": types,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidParameterError("Invalid URL: use http:// or https://.", code="url_invalid", param="url")
    return url


def update_endpoint(tx: Transaction, request: Request) -> Json:
    """POST /v1/webhook_endpoints/{endpoint}."""
    params = request.params
    endpoint = tx.get("webhook_endpoint", request.names["endpoint"])
    url, types, disabled = params.text("url"), params.texts("enabled_events"), params.boolean("disabled")
    change = params.metadata()
    params.texts("expand")
    params.finish()
    if url is not None:
        endpoint["url"] = _checked_url(url)
    if types:
        endpoint["enabled_events"] = types
    if disabled is not None:
        endpoint["status"] = "disabled" if disabled else "enabled"
        if disabled:
            tx.execute("DELETE FROM deliveries WHERE endpoint = ?", (endpoint["id"],))
    endpoint["metadata"] = merged_metadata(endpoint["metadata"], change)
    tx.update(endpoint)
    return endpoint


def delete_endpoint(tx: Transaction, request: Request) -> Json:
    """DELETE /v1/webhook_endpoints/{endpoint}; what waits for it is not sent any more."""
    request.params.finish()
    endpoint = tx.get("webhook_endpoint", request.names["endpoint"])
    tx.delete(endpoint["id"])
    tx.execute("DELETE FROM deliveries WHERE endpoint = ?", (endpoint["id"],))
    return {"id": endpoint["id"], "object": "webhook_endpoint", "deleted": True}


def list_endpoints(tx: Transaction, request: Request) -> Json:
    """GET /v1/webhook_endpoints."""
    return page(tx, request, "webhook_endpoint")


def configure(tx: Transaction, settings: SandboxSettings) -> None:
    """Makes the endpoint of the settings what the settings say; deliveries that wait go to its new address."""
    existing = tx.find("webhook_endpoint", CONFIGURED_ENDPOINT)
    if not settings.webhook_url:
        if existing is not None:
            tx.delete(CONFIGURED_ENDPOINT)
            tx.execute("DELETE FROM deliveries WHERE endpoint = ?", (CONFIGURED_ENDPOINT,))
        return
    endpoint = _endpoint(
        tx, CONFIGURED_ENDPOINT, settings.webhook_url, list(settings.webhook_events), description="From the settings"
    )
    write = tx.insert if existing is None else tx.update
    write(endpoint, private={"secret": settings.webhook_secret})
