"""What is on sale in a simulation, and how it changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.calendar import Period, PeriodUnit
from domain.catalog.commands import DefineProduct
from domain.catalog.state import Price, ProductKind
from domain.ids import MONTHS_DISCOUNTS_KEY, PriceId, ProductId, product_key, promo_key
from domain.money import Money
from domain.pricing.commands import DefineMonthsDiscounts
from domain.pricing.state import MonthsStep, PromoCode
from domain.promo.commands import DefinePromoCode

if TYPE_CHECKING:
    from random import Random

MONTH = Period(count=1, unit=PeriodUnit.MONTH)
PRODUCTS = ("dune", "solaris", "premium", "weekly")
PROMO_CODES = (
    PromoCode(code="HALF", basis_points=5000, uses_max=2),
    PromoCode(code="FREE", basis_points=10_000, uses_max=1),
    PromoCode(code="TENTH", basis_points=1000, uses_per_account_max=1),
)
CODES_TRIED = ("half", "HALF", "FREE", "TENTH", "NOBODY")


@dataclass(slots=True)
class Shelf:
    """The products by their newest prices."""

    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PRODUCTS, 1))

    def definitions(self) -> list[tuple[str, Any]]:
        """Return the commands, with their keys, that put everything on sale."""
        products = [(product_key(ProductId(name)), self.define(name)) for name in PRODUCTS]
        codes = [(promo_key(promo.code), DefinePromoCode(promo=promo)) for promo in PROMO_CODES]
        steps = DefineMonthsDiscounts(steps=(MonthsStep(months=3, basis_points=1000),))
        return [*products, *codes, (MONTHS_DISCOUNTS_KEY, steps)]

    def define(self, name: str) -> DefineProduct:
        """Return the command that puts a product on sale at its newest price."""
        version = self.versions[name]
        amount, period, role, days = {
            "dune": (999, None, None, None),
            "solaris": (450, None, None, 30),
            "premium": (1299, MONTH, "premium", None),
            "weekly": (333, Period(count=7, unit=PeriodUnit.DAY), "weekly", None),
        }[name]
        price = Price(
            id=self.price(name), amount=Money(amount=amount + 100 * (version - 1), currency="USD"), period=period
        )
        return DefineProduct(
            product_id=ProductId(name),
            kind=ProductKind.FILM if period is None else ProductKind.SUBSCRIPTION,
            title=name.capitalize(),
            prices=(price,),
            role=role,
            validity_days=days,
        )

    def price(self, name: str) -> PriceId:
        """Return the newest price of a product."""
        return PriceId(f"{name}:usd-{self.versions[name]}")

    def any_film(self, random: Random) -> PriceId:
        """Return the price of a film, mostly the newest."""
        return self._any(random, ("dune", "solaris"))

    def any_plan(self, random: Random) -> PriceId:
        """Return the price of a plan, mostly the newest."""
        return self._any(random, ("premium", "premium", "premium", "weekly"))

    def change_price(self, random: Random) -> tuple[str, DefineProduct]:
        """Return a product and the command that gives it another price."""
        name = random.choice(PRODUCTS)
        self.versions[name] += 1
        return name, self.define(name)

    def _any(self, random: Random, names: tuple[str, ...]) -> PriceId:
        name = random.choice(names)
        version = self.versions[name]
        if version > 1 and random.random() < 0.1:
            version -= 1  # a page that was open for a long time
        return PriceId(f"{name}:usd-{version}")
