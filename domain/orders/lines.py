"""From what a customer asks for to lines at the present prices: the same for quotes and orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.calendar import PeriodUnit
from domain.catalog.state import Offer, ProductKind
from domain.errors import ItemRepeated, MonthsInvalid, OrderEmpty, PriceUnknown, PromoCodeUnknown, TooManyItems
from domain.ids import SubscriptionId, derive, spelled
from domain.money import checked
from domain.orders.state import OrderLine
from domain.policies.terms import agreed
from domain.pricing.quote import Candidates, Quote, quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from domain.ids import CommandId, PriceId
    from domain.orders.commands import OrderItem
    from domain.policies.settings import Policies
    from domain.pricing.state import PromoCode


def quote_items(
    items: tuple[OrderItem, ...],
    prices: Mapping[PriceId, Offer],
    candidates: Candidates,
    *,
    at: datetime,
    policies: Policies,
    command_id: CommandId | None = None,
) -> Quote:
    """Return what the items cost at a moment. An order of the same items at the same moment costs the same.

    Raises DomainError for items that cannot be ordered, and for a promo code that does not fit them.
    """
    return quote(_lines(items, prices, policies, command_id), candidates, at)


def named_promo(name: str | None, promo: PromoCode | None) -> PromoCode | None:
    """Return the promo code that a customer named; None where none was named. Raises PromoCodeUnknown."""
    if name is None:
        return None
    if promo is None or not promo.active or promo.code != spelled(name):
        raise PromoCodeUnknown(promo_code=name)
    return promo


def _lines(
    items: tuple[OrderItem, ...],
    prices: Mapping[PriceId, Offer],
    policies: Policies,
    command_id: CommandId | None,
) -> tuple[OrderLine, ...]:
    if not items:
        raise OrderEmpty
    if len(items) > policies.items_max:
        raise TooManyItems(items=len(items), items_max=policies.items_max)
    lines = tuple([_line(prices, item, policies, command_id) for item in items])
    seen: set[str] = set()
    for line in lines:
        if line.resource in seen:
            raise ItemRepeated(product_id=line.product_id, resource=line.resource)
        seen.add(line.resource)
    return lines


def _line(
    prices: Mapping[PriceId, Offer], item: OrderItem, policies: Policies, command_id: CommandId | None
) -> OrderLine:
    offer = prices.get(item.price_id)
    if offer is None or not offer.product.active or not offer.price.active:
        raise PriceUnknown(price_id=item.price_id)
    product, price = offer.product, offer.price
    quantity = _quantity(offer, item.months, policies.months_max)
    is_plan = product.kind is ProductKind.SUBSCRIPTION and command_id is not None
    return OrderLine(
        product_id=product.id,
        price_id=price.id,
        kind=product.kind,
        title=product.title,
        resource=product.resource,
        unit_price=price.amount,
        quantity=quantity,
        total=checked(price.amount * quantity),
        period=price.period,
        validity_days=product.validity_days,
        subscription_id=SubscriptionId(derive(str(command_id), f"subscription {product.id}")) if is_plan else None,
        terms=agreed(product.terms, policies, is_plan=product.kind is ProductKind.SUBSCRIPTION),
    )


def _quantity(offer: Offer, months: int | None, months_max: int) -> int:
    period = offer.price.period
    if months is None:
        return 1
    if period is None:
        raise MonthsInvalid(months=months, reason="a film is bought once; leave months out")
    if period.unit is not PeriodUnit.MONTH:
        raise MonthsInvalid(months=months, reason="the price is not by the month; leave months out")
    if not 0 < months <= months_max:
        raise MonthsInvalid(months=months, reason=f"it must be 1 to {months_max}")
    if months % period.count:
        raise MonthsInvalid(months=months, reason=f"the price is for {period.count} months at a time")
    return months // period.count
