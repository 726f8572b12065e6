"""The same work for everybody: customers who each order several films, one after another."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from domain.catalog.commands import DefineProduct
from domain.catalog.state import Offer, Price, Product, ProductKind
from domain.ids import CommandId, PriceId, ProductId, derive, product_key
from domain.money import Money
from domain.orders.commands import OrderItem, PlaceOrder
from schemas.envelope import new_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.envelope import CommandRecord

FILMS = 5
"""Orders of one account: every one is for another film, so that each is decided into two events."""
EVENTS_PER_COMMAND = 2
"""Domain events: OrderPlaced and PaymentCreated. Our engine writes an outcome record beside them."""


def products() -> list[Product]:
    """The films on sale."""
    return [_film(number) for number in range(FILMS)]


def _film(number: int) -> Product:
    price = Price(id=PriceId(f"film-{number}:eur"), amount=Money(amount=499 + number, currency="EUR"))
    return Product(
        id=ProductId(f"film-{number}"), kind=ProductKind.FILM, title=f"Film {number}", prices={price.id: price}
    )


def offers() -> dict[PriceId, Offer]:
    """The prices on sale."""
    return {price.id: Offer(product=film, price=price) for film in products() for price in film.prices.values()}


def catalogue_commands() -> list[CommandRecord]:
    """The commands that put the films on sale."""
    return [
        new_command(
            command_id=CommandId(derive(film.id, "define")),
            key=product_key(film.id),
            time=datetime.now(UTC),
            source="bench",
            actor="bench",
            data=DefineProduct(
                product_id=film.id, kind=film.kind, title=film.title, prices=tuple(film.prices.values())
            ),
        )
        for film in products()
    ]


def orders(count: int, *, run: str) -> Iterator[CommandRecord]:
    """So many orders; accounts of one `run` are met by no other. All first films come first, then all second ones."""
    accounts = (count + FILMS - 1) // FILMS
    now = datetime.now(UTC)
    for number in range(count):
        account, film = f"{run}-{number % accounts}", number // accounts
        yield new_command(
            command_id=CommandId(derive(account, f"order {film}")),
            key=account,
            time=now,
            source="bench",
            actor=f"user:{account}",
            data=PlaceOrder(items=(OrderItem(price_id=PriceId(f"film-{film}:eur")),), provider="stripe"),
            body_hash="0" * 64,
        )
