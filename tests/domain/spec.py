"""Specs in the manner of emmett: `given(events).when(command).then(events)`, and the catalogue that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest

from domain.account import decider as account_decider
from domain.account.evolve import evolve as evolve_account
from domain.account.state import INITIAL, Account
from domain.calendar import Period, PeriodUnit
from domain.catalog import decider as catalog_decider
from domain.catalog.state import NoProduct, Offer, Price, Product, ProductKind
from domain.decider import Command
from domain.ids import CommandId, EffectId, OrderId, PaymentId, PriceId, ProductId, SubscriptionId, derive
from domain.money import Money
from domain.policies.reactions import pending, react
from domain.policies.settings import Policies
from domain.policies.terms import agreed
from domain.pricing.state import PromoCode
from domain.promo import decider as promo_decider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.catalog.commands import ArchiveProduct, DefineProduct
    from domain.effects import AnyEffect
    from domain.errors import DomainError
    from domain.policies.reactions import Timer
    from domain.promo.commands import PromoCommand
    from domain.promo.state import PromoState

T0 = datetime(2030, 1, 31, 12, 30, tzinfo=UTC)
POLICIES = Policies()
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def usd(amount: int) -> Money:
    """Cents."""
    return Money(amount=amount, currency="USD")


def product(
    name: str, *prices: Price, role: str | None = None, validity_days: int | None = None, active: bool = True
) -> Product:
    """A plan where there is a role, else a film."""
    return Product(
        id=ProductId(name),
        kind=ProductKind.SUBSCRIPTION if role else ProductKind.FILM,
        title=name.title(),
        role=role,
        validity_days=validity_days,
        active=active,
        prices={price.id: price for price in prices},
    )


def price(
    name: str, amount: Money, period: Period | None = None, *, active: bool = True, trial_days: int | None = None
) -> Price:
    """A price by its whole id."""
    return Price(id=PriceId(name), amount=amount, period=period, active=active, trial_days=trial_days)


AGREED = agreed(None, POLICIES, is_plan=True)
"""The terms of a plan whose product says nothing of its own."""
AGREED_FOR_FILMS = agreed(None, POLICIES, is_plan=False)
MONTH = Period(count=1, unit=PeriodUnit.MONTH)
CATALOGUE = (
    product("solaris", price("solaris:own", usd(999)), price("solaris:eur", Money(amount=899, currency="EUR"))),
    product("stalker", price("stalker:rent", usd(299)), validity_days=2),
    product("gone", price("gone:own", usd(100)), active=False),
    product("old", price("old:cheap", usd(1), active=False), price("old:own", usd(500))),
    product("dear", price("dear:own", usd(10**12))),
    product(
        "cinema",
        price("cinema:month", usd(999), MONTH),
        price("cinema:quarter", usd(2500), Period(count=3, unit=PeriodUnit.MONTH)),
        price("cinema:days", usd(900), Period(count=30, unit=PeriodUnit.DAY)),
        price("cinema:new", usd(1299), MONTH),
        price("cinema:eur", Money(amount=899, currency="EUR"), MONTH),
        role="cinema",
    ),
    product("cinema-plus", price("cinema-plus:month", usd(1999), MONTH), role="cinema"),
    product("kids", price("kids:month", usd(500), MONTH), role="kids"),
    product("arthouse", price("arthouse:month", usd(700), MONTH, trial_days=14), role="arthouse"),
)
OFFERS = {offered.id: Offer(product=sold, price=offered) for sold in CATALOGUE for offered in sold.prices.values()}
HALF = PromoCode(code="HALF", basis_points=5000)
LIMITED = replace(HALF, uses_max=2)


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids that an order has by the command that placed it."""

    command: str

    @property
    def order(self) -> OrderId:
        return OrderId(derive(self.command, "order"))

    @property
    def payment(self) -> PaymentId:
        return PaymentId(derive(self.command, "payment"))

    @property
    def checkout(self) -> EffectId:
        return EffectId(derive(self.payment, "checkout"))

    @property
    def close(self) -> EffectId:
        return EffectId(derive(self.payment, "close"))

    def fetch(self, sweep: int) -> EffectId:
        return EffectId(derive(self.payment, f"fetch {sweep}"))

    def subscription(self, product_id: str) -> SubscriptionId:
        return SubscriptionId(derive(self.command, f"subscription {product_id}"))


ORDER = Ids("place 1")
"""Of the order that most specs are about."""
SECOND = Ids("place 2")


class Spec:
    """What was given: an account and its history."""

    def __init__(self, account: Account, events: tuple[Any, ...]) -> None:
        self.account = account
        self.events = events

    def and_given(self, *events: Any) -> Spec:
        """More history."""
        return Spec(reduce(evolve_account, events, self.account), self.events + events)

    def when(self, data: Any, *, at: datetime = T0, command_id: str = "a command", **changed: Any) -> Decision:
        """Decide one command. `changed`: other `prices` or `policies` than the common ones."""
        command: Command[Any] = Command(
            id=CommandId(command_id),
            key="ann",
            at=at,
            actor="test",
            data=data,
            **{"prices": OFFERS, "policies": POLICIES, **changed},
        )
        return Decision(self, command)

    def then_waits_for(self, expected: Mapping[str, datetime]) -> None:
        """The timers of the account are exactly these: the type of the command by when it comes."""
        assert {type(timer.data).__name__: timer.due_at for timer in pending(self.account)} == dict(expected)

    @property
    def timers(self) -> tuple[Timer, ...]:
        return pending(self.account)


class Decision:
    """A command that is about to be decided."""

    def __init__(self, spec: Spec, command: Command[Any]) -> None:
        self._spec = spec
        self._command = command

    @property
    def events(self) -> tuple[Any, ...]:
        return account_decider.decide(self._spec.account, self._command)

    def then(self, *expected: Any) -> Spec:
        """It has exactly these events; returns the account after them."""
        assert self.events == expected
        return self._spec.and_given(*expected)

    def then_nothing(self) -> Spec:
        """It is already so."""
        return self.then()

    def then_rejected(self, error: type[DomainError], **facts: str) -> None:
        """A rule is broken, and these are among its facts."""
        with pytest.raises(error) as caught:
            _ = self.events
        assert facts.items() <= caught.value.facts.items()
        assert "{" not in caught.value.detail

    def happens(self) -> Spec:
        """Whatever it has; returns the account after it."""
        return self._spec.and_given(*self.events)

    @property
    def calls(self) -> tuple[AnyEffect, ...]:
        """What it asks of the provider or tells to another key."""
        account, calls = self._spec.account, []
        for event in self.events:
            account = evolve_account(account, event)
            call = react(account, event)
            if call is not None:
                calls.append(call)
        return tuple(calls)

    def then_calls(self, *expected: AnyEffect) -> Spec:
        """The provider is called, or another key is told, so."""
        assert self.calls == expected
        return self._spec.and_given(*self.events)


def given(*events: Any) -> Spec:
    """A history."""
    return Spec(INITIAL, ()).and_given(*events)


class PromoSpec:
    """The same for one promo code at its own key."""

    def __init__(self, *events: Any, state: PromoState = promo_decider.INITIAL) -> None:
        self.state = reduce(promo_decider.evolve, events, state)

    def when(self, data: PromoCommand, *, at: datetime = T0) -> PromoDecision:
        """Decide one command."""
        return PromoDecision(self, Command(id=CommandId("c"), key="catalog/promo/X", at=at, actor="test", data=data))


class PromoDecision:
    """A command for a promo code that is about to be decided."""

    def __init__(self, spec: PromoSpec, command: Command[PromoCommand]) -> None:
        self._spec = spec
        self._command = command

    @property
    def events(self) -> tuple[Any, ...]:
        return promo_decider.decide(self._spec.state, self._command)

    def then(self, *expected: Any) -> PromoSpec:
        """It has exactly these events."""
        assert self.events == expected
        return PromoSpec(*expected, state=self._spec.state)

    def happens(self) -> PromoSpec:
        """Whatever it has."""
        return PromoSpec(*self.events, state=self._spec.state)

    def then_rejected(self, error: type[DomainError], **facts: str) -> None:
        """A rule is broken."""
        with pytest.raises(error) as caught:
            _ = self.events
        assert facts.items() <= caught.value.facts.items()
        assert "{" not in caught.value.detail


class CatalogSpec:
    """The same for one product."""

    def __init__(self, *events: Any) -> None:
        initial: Product | NoProduct = catalog_decider.INITIAL
        self.state = reduce(catalog_decider.evolve, events, initial)

    def when(self, data: DefineProduct | ArchiveProduct) -> CatalogDecision:
        """Decide one command."""
        return CatalogDecision(
            self, Command(id=CommandId("c"), key=f"catalog/product/{data.product_id}", at=T0, actor="test", data=data)
        )


class CatalogDecision:
    """A command of the catalogue that is about to be decided."""

    def __init__(self, spec: CatalogSpec, command: Command[DefineProduct | ArchiveProduct]) -> None:
        self._spec = spec
        self._command = command

    @property
    def events(self) -> tuple[Any, ...]:
        return catalog_decider.decide(self._spec.state, self._command)

    def then(self, *expected: Any) -> None:
        """It has exactly these events."""
        assert self.events == expected

    def then_rejected(self, error: type[DomainError], *, said: tuple[str, ...] = (), **facts: str) -> None:
        """A rule is broken, and these words are among what is told."""
        with pytest.raises(error) as caught:
            _ = self.events
        assert facts.items() <= caught.value.facts.items()
        assert all(words in caught.value.detail for words in said)
        assert "{" not in caught.value.detail
