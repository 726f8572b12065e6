"""Subscriptions of customers: what there is, give days, end them, let a new price hold for one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.admin.views import account_subscription, history_answer
from api.commanding import Ask, carry_out, path_id, read_ask
from api.dependencies import AccountFilter, CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from api.reading import reading
from api.routes.subscriptions import shown
from api.views import page_answer
from domain.ids import AccountId, SubscriptionId
from domain.subscriptions.commands import CancelSubscription
from domain.subscriptions.state import SubscriptionStatus
from infra.oidc import is_account
from projections import subscriptions
from schemas.http.fields import HistoryEntryAnswer, ItemsAnswer, PageAnswer
from schemas.http.subscriptions import (
    AccountSubscriptionAnswer,
    CancelForCustomerRequest,
    ExtendSubscriptionRequest,
    MigratePriceRequest,
    SubscriptionAnswer,
)

router = APIRouter(prefix="/v1/admin/subscriptions", tags=["admin: subscriptions"])


@router.get("", **docs.query(403))
async def list_subscriptions(
    _manager: CurrentManager,
    connection: Reader,
    account: AccountFilter = None,
    status: SubscriptionStatus | None = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[AccountSubscriptionAnswer]:
    """Subscriptions, the latest begun first."""
    page = await subscriptions.list_all(connection, account=account, status=status, limit=limit, cursor=cursor)
    return page_answer(page, account_subscription)


@router.get("/{subscription_id}", **docs.query(403, 404))
async def get_subscription_of_customer(
    _manager: CurrentManager, connection: Reader, subscription_id: ResourceId
) -> AccountSubscriptionAnswer:
    """One subscription, whosever it is."""
    return account_subscription(await _subscription(connection, subscription_id))


@router.get("/{subscription_id}/history", **docs.query(403, 404))
async def list_changes_of_subscription(
    _manager: CurrentManager, connection: Reader, subscription_id: ResourceId
) -> ItemsAnswer[HistoryEntryAnswer]:
    """Every change of the subscription, oldest first."""
    subscription = await _subscription(connection, subscription_id)
    return history_answer(await subscriptions.history(connection, subscription.account, subscription.id))


@router.post("/{subscription_id}/extend", **docs.command(ExtendSubscriptionRequest, SubscriptionAnswer))
async def extend_subscription(request: Request) -> Response:
    """Give days for nothing, once for each key. Every later period moves with them."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, ExtendSubscriptionRequest, needs_manager=True)
    account = await _account(ask, ask.body.account, subscription_id)
    return await carry_out(ask, account, ask.body.to_command(subscription_id), shown(ask, account, subscription_id))


@router.post("/{subscription_id}/cancel", **docs.command(CancelForCustomerRequest, SubscriptionAnswer))
async def cancel_subscription_of_customer(request: Request) -> Response:
    """Renew a customer's subscription no more: access stays to the end of what is paid, or ends at once."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, CancelForCustomerRequest, needs_manager=True)
    account = await _account(ask, ask.body.account, subscription_id)
    data = CancelSubscription(subscription_id=subscription_id, at=ask.body.moment)
    return await carry_out(ask, account, data, shown(ask, account, subscription_id))


@router.post("/{subscription_id}/migrate", **docs.command(MigratePriceRequest, SubscriptionAnswer))
async def migrate_price(request: Request) -> Response:
    """Announce a new price of the product to one subscriber; `billing catalog migrate` does so to all of a price."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, MigratePriceRequest, needs_manager=True)
    account = await _account(ask, ask.body.account, subscription_id)
    return await carry_out(ask, account, ask.body.to_command(subscription_id), shown(ask, account, subscription_id))


async def _account(ask: Ask[Any], named: str | None, subscription_id: str) -> AccountId:
    """Whose subscription it is, by the manager's word or by the read model. Raises Problem where it is nobody's."""
    account = named
    if account is None:
        async with reading(ask.services.engine) as connection:
            account = (await _subscription(connection, subscription_id)).account
    if not is_account(account):
        raise _unknown(subscription_id)
    return AccountId(account)


async def _subscription(connection: Reader, subscription_id: str) -> subscriptions.SubscriptionView:
    subscription = await subscriptions.find(connection, subscription_id)
    if subscription is None:
        raise _unknown(subscription_id)
    return subscription


def _unknown(subscription_id: str) -> Problem:
    return Problem("subscription_unknown", f"There is no subscription {subscription_id!r}.")
