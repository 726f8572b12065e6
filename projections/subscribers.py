"""Who subscribes at a price; and subscriptions as the domain reckons with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from domain.ids import OrderId, PriceId, ProductId, Resource, SubscriptionId
from domain.subscriptions.state import Subscription, SubscriptionStatus
from projections.subscriptions import subscriptions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.subscriptions import SubscriptionView


async def at_price(
    connection: AsyncConnection, price_id: str, *, after: str = "", limit: int = 1000
) -> tuple[tuple[str, str], ...]:
    """Return account and id of the running subscriptions at a price, by their ids from `after` on."""
    statement = (
        select(subscriptions.c.account, subscriptions.c.id)
        .where(
            subscriptions.c.price_id == price_id,
            subscriptions.c.status != SubscriptionStatus.ENDED,
            subscriptions.c.id > after,
        )
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    return tuple((row.account, row.id) for row in await connection.execute(statement))


def state_of(view: SubscriptionView) -> Subscription:
    """Return what of it is needed to reckon its renewals; what was paid by which order is not among it."""
    return Subscription(
        id=SubscriptionId(view.id),
        product_id=ProductId(view.product_id),
        price_id=PriceId(view.price_id),
        title=view.title,
        price=view.price,
        period=view.period,
        resource=Resource(view.resource),
        order_id=OrderId(view.order_id),
        anchor=view.anchor,
        units=view.units,
        paid=(),
        period_start=view.period_start,
        period_end=view.period_end,
        access_end=view.access_end,
        auto_renew=view.auto_renew,
        status=SubscriptionStatus(view.status),
        renew_at=view.renew_at,
        planned=view.planned,
        terms=view.terms,
        paused_at=view.paused_at,
        resume_by=view.resume_by,
    )
