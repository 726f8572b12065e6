"""Subscriptions: look, cancel, resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, Ask, Show, carry_out, path_id, read_ask
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.views import subscription_answer
from domain.ids import SubscriptionId
from domain.subscriptions.commands import CancelSubscription, ResumeSubscription
from projections import subscriptions
from projections.commands import CommandView
from schemas.http.access import CancelSubscriptionRequest, SubscriptionAnswer
from schemas.http.fields import PageAnswer
from schemas.http.orders import NoBody

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.get("", **docs.query())
async def list_subscriptions(
    principal: CurrentPrincipal, connection: Reader, limit: Limit = 20, cursor: Cursor = None
) -> PageAnswer[SubscriptionAnswer]:
    """The caller's subscriptions, the latest begun first."""
    page = await subscriptions.list_page(connection, principal.account, limit=limit, cursor=cursor)
    return PageAnswer(items=tuple(map(subscription_answer, page.items)), next_cursor=page.next_cursor)


@router.get("/current", **docs.query(404))
async def get_current_subscription(principal: CurrentPrincipal, connection: Reader) -> SubscriptionAnswer:
    """The running subscription that ends last; 404 where none runs."""
    subscription = await subscriptions.current(connection, principal.account)
    if subscription is None:
        raise Problem("subscription_unknown", "There is no running subscription.")
    return subscription_answer(subscription)


@router.get("/{subscription_id}", **docs.query(404))
async def get_subscription(
    principal: CurrentPrincipal, connection: Reader, subscription_id: ResourceId
) -> SubscriptionAnswer:
    """One subscription of the caller."""
    subscription = await subscriptions.get(connection, principal.account, subscription_id)
    if subscription is None:
        raise Problem("subscription_unknown", f"There is no subscription {subscription_id!r}.")
    return subscription_answer(subscription)


@router.post("/{subscription_id}/cancel", **docs.command(CancelSubscriptionRequest, SubscriptionAnswer))
async def cancel_subscription(request: Request) -> Response:
    """Renew no more: access stays to the end of what is paid, or ends at once."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, CancelSubscriptionRequest)
    data = CancelSubscription(subscription_id=subscription_id, at=ask.body.moment)
    return await carry_out(ask, ask.account, data, _shown(ask, subscription_id))


@router.post("/{subscription_id}/resume", **docs.command(NoBody, SubscriptionAnswer))
async def resume_subscription(request: Request) -> Response:
    """Renew again by the saved means of payment."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, NoBody)
    data = ResumeSubscription(subscription_id=subscription_id)
    return await carry_out(ask, ask.account, data, _shown(ask, subscription_id))


def _shown(ask: Ask[Any], subscription_id: SubscriptionId) -> Show:
    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            subscription = await subscriptions.get(connection, ask.account, subscription_id)
        return None if subscription is None else Answer(subscription_answer(subscription))

    return show
