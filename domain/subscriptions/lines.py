"""A period of a plan as a line of an order, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.catalog.state import ProductKind
from domain.orders.state import OrderLine
from domain.subscriptions.state import Plan

if TYPE_CHECKING:
    from domain.ids import SubscriptionId


def line_of(plan: Plan, subscription_id: SubscriptionId) -> OrderLine:
    """Return the line for one period of a plan."""
    return OrderLine(
        product_id=plan.product_id,
        price_id=plan.price_id,
        kind=ProductKind.SUBSCRIPTION,
        title=plan.title,
        resource=plan.resource,
        unit_price=plan.price,
        quantity=1,
        total=plan.price,
        period=plan.period,
        subscription_id=subscription_id,
    )


def plan_of(line: OrderLine) -> Plan:
    """Return the plan that a line is for."""
    if line.period is None:
        raise AssertionError(f"{line.product_id} is no plan")
    return Plan(
        product_id=line.product_id,
        price_id=line.price_id,
        title=line.title,
        price=line.unit_price,
        period=line.period,
        resource=line.resource,
    )
