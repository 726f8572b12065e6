"""Sentences of discounts and promo codes, of what a manager gives, and the intents that they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from domain.grants.events import GrantEnded, GrantGiven, GrantRevoked
from domain.orders.events import OrderPaymentWaived
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted, PersonalDiscountRevoked
from domain.promo.events import (
    PromoCodeArchived,
    PromoCodeDefined,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoCodeSettled,
    PromoUseCallRepeated,
    PromoUseHeld,
    PromoUseRefused,
    PromoUseReleased,
    PromoUseReleaseRequested,
    PromoUseRequested,
    PromoUseSettled,
)
from projections.audit.words import Names, amount, moment, percent, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from domain.pricing.state import PromoCode

Event = TypeVar("Event")
SENTENCES: dict[type, Callable[[Any, Names], str]] = {}

INTENTS = {
    "billing.order.expire": "to end an order whose promo code never answered",
    "billing.promo_use.answer": "to note what a promo code answered",
    "billing.promo_use.repeat_call": "to ask a promo code again that had not answered",
    "billing.personal_discount.grant": "to give a customer a discount",
    "billing.personal_discount.revoke": "to take a customer's discount back",
    "billing.months_discounts.define": "to set the discounts by months",
    "billing.promo_code.define": "to describe a promo code",
    "billing.promo_code.archive": "to let nobody use a promo code any more",
    "billing.promo_code.reserve": "to reserve a use of a promo code",
    "billing.promo_code.release": "to give a use of a promo code back",
    "billing.promo_code.settle": "to make a use of a promo code final",
    "billing.grant.give": "to give a customer access",
    "billing.grant.revoke": "to take back access that a manager gave",
    "billing.grant.end": "to end access that a manager gave for a time",
}


def says(kind: type[Event]) -> Callable[[Callable[[Event, Names], str]], Callable[[Event, Names], str]]:
    """Have the function say what an event of the kind means."""

    def register(say: Callable[[Event, Names], str]) -> Callable[[Event, Names], str]:
        SENTENCES[kind] = say
        return say

    return register


@says(OrderPaymentWaived)
def _payment_waived(event: OrderPaymentWaived, names: Names) -> str:
    return f"Nothing is to be paid for {names('order', event.order_id)}: {event.reason}."


@says(MonthsDiscountsDefined)
def _months_defined(event: MonthsDiscountsDefined, names: Names) -> str:
    if not event.steps:
        return "There are no discounts by months any more."
    steps = ", ".join(f"{percent(step.basis_points)} from {step.months} months on" for step in event.steps)
    return f"The discounts by months are {steps}."


@says(PersonalDiscountGranted)
def _personal_granted(event: PersonalDiscountGranted, names: Names) -> str:
    discount = event.discount
    what = f" on {', '.join(discount.products)}" if discount.products else ""
    when = _validity(discount.valid_from, discount.valid_until)
    given = f"{percent(discount.basis_points)} off{what}{when} ({names('discount', discount.id)})"
    return f"The customer was given {given}: {discount.reason}."


@says(PersonalDiscountRevoked)
def _personal_revoked(event: PersonalDiscountRevoked, names: Names) -> str:
    return f"The customer's {names('discount', event.discount_id)} was taken back."


@says(PromoCodeDefined)
def _promo_defined(event: PromoCodeDefined, names: Names) -> str:
    return f"The promo code {event.promo.code} takes {_terms(event.promo)}."


@says(PromoCodeArchived)
def _promo_archived(event: PromoCodeArchived, names: Names) -> str:
    return f"The promo code {event.code} may be used no more; who has it keeps it."


@says(PromoCodeReserved)
def _promo_reserved(event: PromoCodeReserved, names: Names) -> str:
    return f"{names('Order', event.order_id)} of {event.account} has one of the uses of {event.code}."


@says(PromoCodeRefused)
def _promo_refused(event: PromoCodeRefused, names: Names) -> str:
    return f"{names('Order', event.order_id)} of {event.account} got no use of {event.code} ({event.reason})."


@says(PromoCodeReleased)
def _promo_released(event: PromoCodeReleased, names: Names) -> str:
    return f"{names('Order', event.order_id)} of {event.account} has no use of {event.code} (any more)."


@says(PromoCodeSettled)
def _promo_settled(event: PromoCodeSettled, names: Names) -> str:
    return f"{names('Order', event.order_id)} was paid: its use of {event.code} is final."


@says(PromoUseRequested)
def _use_requested(event: PromoUseRequested, names: Names) -> str:
    order, call = names("Order", event.order_id), names("call", event.effect_id)
    return f"{order} waits for a use of the promo code {event.code} ({call}), until {moment(event.expires_at)}."


@says(PromoUseHeld)
def _use_held(event: PromoUseHeld, names: Names) -> str:
    limit = "one of the uses" if event.is_limited else "a use"
    return f"{names('Order', event.order_id)} has {limit} of the promo code {event.code}."


@says(PromoUseRefused)
def _use_refused(event: PromoUseRefused, names: Names) -> str:
    return f"The promo code {event.code} has no use for {names('order', event.order_id)} ({event.reason})."


@says(PromoUseCallRepeated)
def _use_repeated(event: PromoUseCallRepeated, names: Names) -> str:
    order, call = names("order", event.order_id), names("call", event.effect_id)
    return f"The promo code of {order} had not answered and was asked again ({call}), attempt {event.attempt}."


@says(PromoUseReleaseRequested)
def _use_release_requested(event: PromoUseReleaseRequested, names: Names) -> str:
    order, call = names("order", event.order_id), names("call", event.effect_id)
    return f"The use of {event.code} that {order} has is given back ({call})."


@says(PromoUseReleased)
def _use_released(event: PromoUseReleased, names: Names) -> str:
    return f"The use of {event.code} that {names('order', event.order_id)} had was given back."


@says(PromoUseSettled)
def _use_settled(event: PromoUseSettled, names: Names) -> str:
    return f"The use of {event.code} by {names('order', event.order_id)} is final, as it was paid."


@says(GrantGiven)
def _grant_given(event: GrantGiven, names: Names) -> str:
    return f"A manager gave access to {event.resource} {until(event.until)}: {event.reason}."


@says(GrantRevoked)
def _grant_revoked(event: GrantRevoked, names: Names) -> str:
    return f"A manager took back the access to {event.resource} that was given: {event.reason}."


@says(GrantEnded)
def _grant_ended(event: GrantEnded, names: Names) -> str:
    return f"The access to {event.resource} that a manager gave ended at {moment(event.ended_at)}."


def _terms(promo: PromoCode) -> str:
    part = amount(promo.amount) if promo.amount is not None else percent(promo.basis_points or 0)
    what = f" on {', '.join(promo.products)}" if promo.products else ""
    months = "" if promo.months_min is None else f" for {promo.months_min} months or more"
    limits = "" if promo.uses_max is None else f", {promo.uses_max} times in all"
    each = "" if promo.uses_per_account_max is None else f", {promo.uses_per_account_max} times for each customer"
    return f"{part} off{what}{months}{limits}{each}{_validity(promo.valid_from, promo.valid_until)}"


def _validity(start: datetime | None, end: datetime | None) -> str:
    begins = "" if start is None else f" from {moment(start)} on"
    return begins + ("" if end is None else f" until {moment(end)}")
