"""Laws of money: exact, of one currency, within bounds."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import AmountOutOfRange, CurrencyMismatch, CurrencyUnknown
from domain.ids import PriceId, ProductId, derive, product_key, product_of
from domain.money import AMOUNT_MAX, EXPONENTS, Money, checked

amounts = st.integers(-(10**15), 10**15)
currencies = st.sampled_from(sorted(EXPONENTS))
money = st.builds(Money, amount=amounts, currency=currencies)


@given(left=amounts, right=amounts, currency=currencies)
def test_addition_and_subtraction_are_exact_and_undo_each_other(left: int, right: int, currency: str) -> None:
    one, other = Money(amount=left, currency=currency), Money(amount=right, currency=currency)
    assert one + other == other + one == Money(amount=left + right, currency=currency)
    assert one + other - other == one


@given(one=money, times=st.integers(0, 50))
def test_multiplication_is_repeated_addition(one: Money, times: int) -> None:
    total = Money(amount=0, currency=one.currency)
    for _ in range(times):
        total = total + one
    assert one * times == total


@given(one=money, other=money)
def test_currencies_do_not_mix(one: Money, other: Money) -> None:
    if one.currency == other.currency:
        return
    with pytest.raises(CurrencyMismatch):
        one + other
    with pytest.raises(CurrencyMismatch):
        one - other


@given(amount=st.integers())
def test_only_amounts_within_bounds_enter(amount: int) -> None:
    offered = Money(amount=amount, currency="USD")
    if 0 < amount <= AMOUNT_MAX:
        assert checked(offered) is offered
    else:
        with pytest.raises(AmountOutOfRange):
            checked(offered)


@given(currency=st.text(max_size=4))
def test_only_currencies_of_iso_4217_enter(currency: str) -> None:
    if currency not in EXPONENTS:
        with pytest.raises(CurrencyUnknown):
            checked(Money(amount=1, currency=currency))


def test_every_currency_has_its_own_exponent() -> None:
    assert {EXPONENTS[name] for name in ("USD", "EUR", "RUB")} == {2}
    assert (EXPONENTS["JPY"], EXPONENTS["KWD"], EXPONENTS["CLF"]) == (0, 3, 4)


@given(parent=st.text(), name=st.text())
def test_an_id_is_the_uuid_of_version_5(parent: str, name: str) -> None:
    namespace = uuid.UUID("6f1c9b1e-7a52-5a0e-9d53-0f6f5a1f3b11")
    assert derive(parent, name) == str(uuid.uuid5(namespace, f"{parent}\n{name}"))


def test_names_of_the_catalogue() -> None:
    assert product_key(ProductId("solaris")) == "catalog/product/solaris"
    assert product_of(PriceId("solaris:own")) == "solaris"
