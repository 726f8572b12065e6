"""Subscriptions: look."""

from __future__ import annotations

from fastapi import APIRouter

from api import docs
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.views import subscription_answer
from projections import subscriptions
from schemas.http.access import SubscriptionAnswer
from schemas.http.fields import PageAnswer

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
