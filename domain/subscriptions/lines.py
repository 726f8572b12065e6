"""A plan on sale, and a period of it as a line of an order, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.catalog.state import ProductKind
from domain.errors import PriceInvalid, PriceUnknown
from domain.orders.state import OrderLine
from domain.policies.terms import agreed
from domain.subscriptions.state import Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalog.state import Offer
    from domain.decider import Command
    from domain.ids import PriceId, SubscriptionId
    from domain.policies.settings import Policies
    from domain.policies.terms import Terms


def offer_of(price_id: PriceId, command: Command[object]) -> Offer:
    """Return what is on sale at a price. Raises PriceUnknown."""
    offer = command.prices.get(price_id)
    if offer is None or not offer.product.active or not offer.price.active:
        raise PriceUnknown(price_id=price_id)
    return offer


def plan_on_sale(offer: Offer) -> Plan:
    """Return the plan that an offer is for. Raises PriceInvalid for a film."""
    product, price = offer.product, offer.price
    if product.kind is not ProductKind.SUBSCRIPTION or price.period is None:
        raise PriceInvalid(price_id=price.id, reason="it is no plan")
    return Plan(
        product_id=product.id,
        price_id=price.id,
        title=product.title,
        price=price.amount,
        period=price.period,
        resource=product.resource,
    )


def terms_now(plan: Plan, prices: Mapping[PriceId, Offer], policies: Policies, before: Terms | None) -> Terms:
    """Return the terms of a period of a plan that is ordered now: its product's and the settings of today.

    A product that is not to be seen, which happens to nobody whose catalogue is whole, stays as it was agreed `before`.
    """
    offer = prices.get(plan.price_id)
    return agreed(before if offer is None else offer.product.terms, policies, is_plan=True)


def line_of(plan: Plan, subscription_id: SubscriptionId, terms: Terms) -> OrderLine:
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
        terms=terms,
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
