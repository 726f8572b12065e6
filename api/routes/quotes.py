"""Quotes: what an order would cost now, by the very function that prices the order. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from api import docs
from api.bodies import read_json
from api.dependencies import principal_of, reach_position, services_of_request
from api.headers import single_headers
from api.problems import Problem
from api.reading import reading
from api.views import quote_answer
from domain.errors import DomainError
from domain.ids import spelled
from domain.money import Money
from domain.orders.lines import named_promo, quote_items
from domain.pricing.quote import Candidates
from domain.promo.decider import USED_UP
from domain.promo.uses import require_left, wins
from projections import balances, discounts, promo_uses
from schemas.http.discounts import QuoteAnswer, QuoteRequest

if TYPE_CHECKING:
    from api.services import Services
    from domain.pricing.quote import Quote
    from domain.pricing.state import PersonalDiscount

router = APIRouter(prefix="/v1/quotes", tags=["orders"])

CATALOGUE_WAIT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What the customer holds, as far as it matters to a price and how it is paid."""

    balances: tuple[Money, ...] = ()
    personal: tuple[PersonalDiscount, ...] = ()
    uses: int = 0
    """Orders of the account that use the promo code."""
    taken: int = 0
    """Orders of all accounts that do."""


@router.post("", **docs.question(QuoteRequest, QuoteAnswer))
async def quote(request: Request) -> Response:
    """Tell what the items cost now, with the discount that is best for the caller. Changes nothing."""
    services = services_of_request(request)
    headers = single_headers(request.scope)
    principal = await principal_of(services, headers)
    body = await read_json(request.receive, headers, QuoteRequest)
    await reach_position(services, request.scope)
    if not await services.catalogue.wait_until_ready(CATALOGUE_WAIT_S):
        problem = "The catalogue has not been read yet; try again in a moment."
        raise Problem("catalogue_unavailable", problem, headers={"Retry-After": "1"})
    standing = await _standing(services, principal.account, body.promo_code)
    try:
        found = _quoted(services, body, standing)
    except DomainError as error:
        raise Problem(error.code, error.detail, extra={"facts": error.facts} if error.facts else None) from None
    on_it = next((held.amount for held in standing.balances if held.currency == found.total.currency), 0)
    answer = quote_answer(found, Money(amount=min(on_it, found.total.amount), currency=found.total.currency))
    return Response(answer.__pydantic_serializer__.to_json(answer), media_type="application/json")


async def _standing(services: Services, account: str, promo_code: str | None) -> _Standing:
    async with reading(services.engine) as connection:
        personal = await discounts.held(connection, account)
        on_it = await balances.held(connection, account)
        if promo_code is None:
            return _Standing(balances=on_it, personal=personal)
        code = spelled(promo_code)
        return _Standing(
            balances=on_it,
            personal=personal,
            uses=await promo_uses.count_of_account(connection, account, code),
            taken=await promo_uses.count_taken(connection, code),
        )


def _quoted(services: Services, body: QuoteRequest, standing: _Standing) -> Quote:
    """The quote by the domain. Raises DomainError, and Problem where no use of the promo code is left."""
    catalogue = services.catalogue
    known = None if body.promo_code is None else catalogue.promo_codes.get(spelled(body.promo_code))
    promo = named_promo(body.promo_code, known)
    quoted = quote_items(
        body.to_items(),
        catalogue.prices,
        Candidates(personal=standing.personal, months=catalogue.months_discounts, promo=promo),
        at=services.clock.now(),
        policies=services.settings.policies,
    )
    if promo is not None and wins(quoted):
        require_left(promo, standing.uses)
        if promo.uses_max is not None and standing.taken >= promo.uses_max:
            raise Problem(USED_UP, promo_refusal(USED_UP, promo.code))
    return quoted


def promo_refusal(reason: str, code: str) -> str:
    """One sentence for a promo code that had no use for an order."""
    if reason == USED_UP:
        return f"The promo code {code!r} is used up: every use of it is taken."
    return f"The promo code {code!r} cannot be used any more."
