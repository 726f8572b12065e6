"""Subscriptions of customers: give days, end them, let a new price hold for one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Ask, carry_out, path_id, read_ask
from api.problems import Problem
from api.reading import reading
from api.routes.subscriptions import shown
from domain.ids import AccountId, SubscriptionId
from domain.subscriptions.commands import CancelSubscription
from infra.oidc import is_account
from projections import subscribers
from schemas.http.subscriptions import (
    CancelForCustomerRequest,
    ExtendSubscriptionRequest,
    MigratePriceRequest,
    SubscriptionAnswer,
)

router = APIRouter(prefix="/v1/admin/subscriptions", tags=["admin: subscriptions"])


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
            account = await subscribers.account_of(connection, subscription_id)
    if account is None or not is_account(account):
        raise Problem("subscription_unknown", f"There is no subscription {subscription_id!r}.")
    return AccountId(account)
