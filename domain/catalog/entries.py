"""Whatever stands under a key of the catalogue: a product, the table of discounts by months, a promo code.

One door for the engine: which rules decide a command, what an event changes, and what others are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from domain.catalog import decider as products
from domain.catalog.commands import ArchiveProduct, CatalogCommand, DefineProduct
from domain.catalog.events import CatalogEvent
from domain.catalog.state import NoProduct, Product, ProductState
from domain.ids import MONTHS_DISCOUNTS_KEY, PROMO_PREFIX, product_key, promo_key
from domain.pricing.commands import DefineMonthsDiscounts
from domain.pricing.decider import define_months
from domain.pricing.events import MonthsDiscountsDefined
from domain.pricing.state import MonthsDiscounts, PromoCode
from domain.promo import decider as promo_codes
from domain.promo.commands import (
    ArchivePromoCode,
    DefinePromoCode,
    PromoCommand,
    ReleasePromoCode,
    ReservePromoCode,
    SettlePromoCode,
)
from domain.promo.events import PromoCodeArchived, PromoCodeDefined, PromoEvent
from domain.promo.reactions import answer
from domain.promo.state import NoPromoCode, PromoCodeUses, PromoState

if TYPE_CHECKING:
    from domain.decider import Command
    from domain.effects import SendCommand

EntryState = ProductState | MonthsDiscounts | PromoState
EntryCommand = CatalogCommand | DefineMonthsDiscounts | PromoCommand
EntryEvent = CatalogEvent | MonthsDiscountsDefined | PromoEvent
PublicEntry = Product | MonthsDiscounts | PromoCode
"""What everybody may know of an entry; who uses a promo code is nobody's business."""


def initial(key: str) -> EntryState:
    """Return the state of an entry that has no history."""
    if key == MONTHS_DISCOUNTS_KEY:
        return MonthsDiscounts()
    return promo_codes.INITIAL if key.startswith(PROMO_PREFIX) else products.INITIAL


def key_of(data: object) -> str | None:
    """Return the key under which a command must stand, or None for what is no command of the catalogue."""
    match data:
        case DefineProduct() | ArchiveProduct():
            return product_key(data.product_id)
        case DefineMonthsDiscounts():
            return MONTHS_DISCOUNTS_KEY
        case DefinePromoCode():
            return promo_key(data.promo.code)
        case ArchivePromoCode() | ReservePromoCode() | ReleasePromoCode() | SettlePromoCode():
            return promo_key(data.code)
        case _:
            return None


def decide(state: EntryState, command: Command[Any]) -> tuple[EntryEvent, ...]:
    """Return what happens to the entry; `()` when it already is as asked. Raises DomainError."""
    if isinstance(state, MonthsDiscounts):
        return define_months(state, command.data)
    if isinstance(state, NoPromoCode | PromoCodeUses):
        return promo_codes.decide(state, command)
    if isinstance(state, NoProduct | Product):
        return products.decide(state, command)
    assert_never(state)


def evolve(state: EntryState, event: Any) -> EntryState:
    """Return the entry after one of its events."""
    if isinstance(state, MonthsDiscounts):
        return MonthsDiscounts(steps=event.steps)
    if isinstance(state, NoPromoCode | PromoCodeUses):
        return promo_codes.evolve(state, event)
    if isinstance(state, NoProduct | Product):
        return products.evolve(state, event)
    assert_never(state)


def react(event: object) -> SendCommand | None:
    """Return what the entry says to another key after the event."""
    return answer(event) if isinstance(event, PromoEvent) else None


def public(state: EntryState, events: tuple[object, ...]) -> PublicEntry | None:
    """Return the record that tells everybody of the entry, where the events changed what they may know."""
    if not events:
        return None
    if isinstance(state, Product | MonthsDiscounts):
        return state
    if isinstance(state, PromoCodeUses) and any(
        isinstance(event, PromoCodeDefined | PromoCodeArchived) for event in events
    ):
        return state.promo
    return None
