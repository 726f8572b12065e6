"""Trials: a plan for some days for nothing, once for each customer and product."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, carry_out, read_ask
from api.reading import reading
from api.views import subscription_answer
from projections import subscriptions
from projections.commands import CommandView
from schemas.http.subscriptions import StartTrialRequest, SubscriptionAnswer

router = APIRouter(prefix="/v1/trials", tags=["subscriptions"])


@router.post("", **docs.command(StartTrialRequest, SubscriptionAnswer, status=201))
async def start_trial(request: Request) -> Response:
    """Try a plan for nothing. At the end of the trial its first period is charged, unless it is cancelled before."""
    ask = await read_ask(request, StartTrialRequest)

    async def show(view: CommandView, _deadline: float) -> Answer | None:
        subscription_id = view.resources.get("subscription", "")
        async with reading(ask.services.engine) as connection:
            subscription = await subscriptions.get(connection, ask.account, subscription_id)
        if subscription is None:
            return None
        return Answer(subscription_answer(subscription), 201, f"/v1/subscriptions/{subscription_id}")

    return await carry_out(ask, ask.account, ask.body.to_command(), show)
