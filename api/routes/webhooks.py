"""Webhooks: what payment providers tell by themselves, verified on the raw bytes before anything is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from api import docs
from api.bodies import read_body
from api.commanding import path_id
from api.dependencies import services_of_request
from api.edge import request_id_of
from api.headers import single_headers
from api.problems import Problem
from infra.logging import get_logger
from infra.oidc import is_account
from infra.stripe import webhooks as stripe
from infra.stripe.disputes import OwnerUnknownError
from schemas.envelope import new_command

if TYPE_CHECKING:
    from api.services import Services
    from domain.reports import ProviderReport

log = get_logger(__name__)

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_BYTES_MAX = 256 * 1024


@router.post("/{provider}", **docs.webhook())
async def take_webhook(request: Request) -> Response:
    """Take a provider's report. 200 means that it is in the log, or that it does not concern us.

    503 where the log did not confirm: the provider sends it again, and it counts once.
    """
    services = services_of_request(request)
    provider = path_id(request, "provider")
    if provider not in services.providers:
        raise Problem("webhook_provider_unknown", f"There is no payment provider {provider!r}.")
    headers = single_headers(request.scope)
    payload = await read_body(request.receive, headers, _BYTES_MAX)
    secrets = [secret.get_secret_value() for secret in services.settings.stripe_webhook_secrets]
    try:
        found = stripe.read(payload, headers.get(b"stripe-signature", b"").decode("latin-1"), secrets)
    except stripe.WebhookRejectedError as error:
        raise Problem("webhook_invalid", f"This is no webhook of {provider}: {error}.") from error
    if isinstance(found, stripe.DisputeWebhook):
        found = await _with_owner(services, found)
    if found is None or not is_account(found.account):
        log.info("webhook.ignored", provider=provider, request_id=request_id_of(request.scope))
        return Response(status_code=200)
    await services.intake.report(
        new_command(
            command_id=found.command_id(provider),
            key=found.account,
            time=services.clock.now(),
            source=f"billing/webhooks/{provider}",
            actor=f"provider:{provider}",
            data=found.command,
            correlation_id=request_id_of(request.scope),
            causation_id=found.report_id,
        )
    )
    return Response(status_code=200)


async def _with_owner(services: Services, found: stripe.DisputeWebhook) -> ProviderReport | None:
    """The same with the account whose payment it is about. Raises Problem: the provider sends it again."""
    if services.owners is None:
        return None
    try:
        owner = await services.owners.find(found.intent)
    except OwnerUnknownError as error:
        raise Problem(
            "payment_provider_unavailable",
            "The provider did not say whose payment is disputed; send it again.",
            headers={"Retry-After": "10"},
        ) from error
    return None if owner is None else found.report_for(owner)
