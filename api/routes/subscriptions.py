"""Subscriptions: look, cancel, pause, resume, take another plan, and see what the next renewals will be."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api import docs
from api.commanding import Answer, Ask, Show, carry_out, path_id, read_ask
from api.dependencies import CurrentPrincipal, Cursor, Limit, Reader, ResourceId, ServicesDep
from api.problems import Problem
from api.reading import reading
from api.routes.orders import is_open, provider_named, wait_for_order
from api.routes.quotes import CATALOGUE_WAIT_S
from api.views import order_answer, subscription_answer, upcoming_answer
from domain.ids import SubscriptionId
from domain.payments.state import PaymentStatus
from domain.pricing.quote import Candidates
from domain.subscriptions.commands import CancelSubscription, PauseSubscription, ResumeSubscription
from domain.subscriptions.preview import RENEWALS_MAX, preview
from projections import discounts, subscriptions
from projections.commands import CommandView
from projections.orders import OrderView
from projections.subscribers import state_of
from schemas.http.fields import ItemsAnswer, PageAnswer
from schemas.http.orders import NoBody
from schemas.http.subscriptions import (
    CancelSubscriptionRequest,
    ChangePlanRequest,
    PlanChangeAnswer,
    SubscriptionAnswer,
    UpcomingRenewalAnswer,
)

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

Count = Annotated[int, Query(ge=1, le=RENEWALS_MAX, description="How many renewals to show.")]


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
        raise _unknown(subscription_id)
    return subscription_answer(subscription)


@router.get("/{subscription_id}/preview", **docs.query(404, 503))
async def preview_renewals(
    principal: CurrentPrincipal,
    services: ServicesDep,
    connection: Reader,
    subscription_id: ResourceId,
    count: Count = 12,
) -> ItemsAnswer[UpcomingRenewalAnswer]:
    """The next renewals: their dates by the calendar rule, their amounts by the discounts that are known now.

    None of what does not renew by itself; a paused subscription is shown as if it went on now.
    """
    subscription = await subscriptions.get(connection, principal.account, subscription_id)
    if subscription is None:
        raise _unknown(subscription_id)
    personal = await discounts.held(connection, principal.account)
    if not await services.catalogue.wait_until_ready(CATALOGUE_WAIT_S):
        problem = "The catalogue has not been read yet; try again in a moment."
        raise Problem("catalogue_unavailable", problem, headers={"Retry-After": "1"})
    upcoming = preview(
        state_of(subscription),
        Candidates(personal=personal, months=services.catalogue.months_discounts),
        count=count,
        now=services.clock.now(),
        prices=services.catalogue.prices,
        policies=services.settings.policies,
    )
    return ItemsAnswer(items=tuple(map(upcoming_answer, upcoming)))


@router.post("/{subscription_id}/cancel", **docs.command(CancelSubscriptionRequest, SubscriptionAnswer))
async def cancel_subscription(request: Request) -> Response:
    """Renew no more: access stays to the end of what is paid, or ends at once."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, CancelSubscriptionRequest)
    data = CancelSubscription(subscription_id=subscription_id, at=ask.body.moment)
    return await carry_out(ask, ask.account, data, shown(ask, ask.account, subscription_id))


@router.post("/{subscription_id}/pause", **docs.command(NoBody, SubscriptionAnswer))
async def pause_subscription(request: Request) -> Response:
    """Let access rest and keep the rest of what is paid; nothing is charged meanwhile."""
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, NoBody)
    data = PauseSubscription(subscription_id=subscription_id)
    return await carry_out(ask, ask.account, data, shown(ask, ask.account, subscription_id))


@router.post("/{subscription_id}/resume", **docs.command(NoBody, SubscriptionAnswer))
async def resume_subscription(request: Request) -> Response:
    """End a pause: everything that was paid moves by its length, and it renews as it did before.

    What is not paused renews again by the saved means of payment.
    """
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, NoBody)
    data = ResumeSubscription(subscription_id=subscription_id)
    return await carry_out(ask, ask.account, data, shown(ask, ask.account, subscription_id))


@router.post("/{subscription_id}/change-plan", **docs.command(ChangePlanRequest, PlanChangeAnswer))
async def change_plan(request: Request) -> Response:
    """Take another plan: with the next period, or now, with what is left of the old one taken off its price.

    The present plan with `period_end` drops a change that was to come. The order of a change now tells whether its
    money came: the plan changes with the money, not before.
    """
    subscription_id = SubscriptionId(path_id(request, "subscription_id"))
    ask = await read_ask(request, ChangePlanRequest)
    data = ask.body.to_command(subscription_id, provider_named(ask.services, ask.body.provider))

    async def show(view: CommandView, deadline: float) -> Answer | None:
        order = None
        if ask.body.at == "now":
            order = await wait_for_order(ask, view.resources.get("order", ""), deadline, _is_being_charged)
        async with reading(ask.services.engine) as connection:
            subscription = await subscriptions.get(connection, ask.account, subscription_id)
        if subscription is None:
            return None
        return Answer(
            PlanChangeAnswer(
                subscription=subscription_answer(subscription), order=None if order is None else order_answer(order)
            )
        )

    return await carry_out(ask, ask.account, data, show)


def shown(ask: Ask[Any], account: str, subscription_id: str) -> Show:
    """The subscription as it is after a command."""

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            subscription = await subscriptions.get(connection, account, subscription_id)
        return None if subscription is None else Answer(subscription_answer(subscription))

    return show


def _is_being_charged(order: OrderView) -> bool:
    """Neither has the money come, nor is the customer asked to do anything."""
    is_asked = order.payment is not None and order.payment.status == PaymentStatus.ACTION_REQUIRED
    return is_open(order) and not is_asked


def _unknown(subscription_id: str) -> Problem:
    return Problem("subscription_unknown", f"There is no subscription {subscription_id!r}.")
