"""Laws of money: exact, of one currency, within bounds."""

from __future__ import annotations

import ast
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.core import get_global
from babel.numbers import list_currencies
from hypothesis import given
from hypothesis import strategies as st

import domain
from domain.errors import AmountOutOfRange, CurrencyMismatch, CurrencyUnknown
from domain.ids import PriceId, ProductId, derive, product_key, product_of
from domain.money import AMOUNT_MAX, EXPONENTS, Money, checked, in_words
from domain.refunds.parts import prorated

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


NOT_TWO = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""What ISO 4217 lists with another number of digits than two."""
WITHDRAWN = {"ANG", "BGN", "CUC", "HRK", "SLL", "VEF", "ZWL"}
NO_MONEY = {"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"}
"""Metals, units of account without minor units, and codes for tests."""


def test_every_currency_has_its_own_exponent() -> None:
    others = {code: exponent for exponent, codes in NOT_TWO.items() for code in codes.split()}
    assert {code: exponent for code, exponent in EXPONENTS.items() if exponent != 2} == others
    assert not EXPONENTS.keys() & (WITHDRAWN | NO_MONEY)


def test_every_legal_tender_of_the_world_can_be_charged() -> None:
    """The list is ours; its judge is the one of Unicode, which knows what is paid with in every country today."""
    territories = get_global("territory_currencies").values()
    tender = {code for known in territories for code, _, end, is_tender in known if end is None and is_tender}
    assert len(tender) > 150
    assert tender - WITHDRAWN <= EXPONENTS.keys()
    assert EXPONENTS.keys() <= set(list_currencies()) | {"XAD"}, "Unicode may learn of new ones later"


NO_FLOATS = sorted(Path(str(domain.__file__)).parent.rglob("*.py"))


@pytest.mark.parametrize("path", NO_FLOATS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_float_comes_near_money(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), ast.unparse(node)
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), ast.unparse(node)
        assert not (isinstance(node, ast.Name) and node.id == "float"), path


prices = st.builds(Money, amount=st.integers(1, AMOUNT_MAX), currency=currencies)


@given(one=prices)
def test_words_have_the_digits_of_the_currency_and_nothing_is_lost(one: Money) -> None:
    number, _, currency = in_words(one).partition(" ")
    whole, _, fraction = number.partition(".")
    assert (currency, len(fraction)) == (one.currency, EXPONENTS[one.currency])
    assert int(whole + fraction) == one.amount


@given(one=prices, seconds=st.integers(1, 10 * 366 * 86_400), cuts=st.lists(st.integers(-10, 11 * 366 * 86_400)))
def test_the_rest_of_a_period_is_at_most_the_whole_and_never_more_later(
    one: Money, seconds: int, cuts: list[int]
) -> None:
    start = datetime(2030, 1, 31, tzinfo=UTC)
    end = start + timedelta(seconds=seconds)
    moments = [start, *sorted(start + timedelta(seconds=cut) for cut in cuts), end]
    rests = [prorated(one.amount, start, end, moment) for moment in moments]
    assert max(rests) == one.amount
    assert prorated(one.amount, start, end, end) == 0
    in_order = [prorated(one.amount, start, end, moment) for moment in sorted(moments)]
    assert in_order == sorted(in_order, reverse=True)


@given(one=prices, cuts=st.lists(st.integers(1, 365), max_size=9, unique=True))
def test_the_parts_of_a_period_never_exceed_the_whole(one: Money, cuts: list[int]) -> None:
    """Whatever is given back piece by piece is not more than what was paid."""
    start, end = datetime(2030, 1, 31, tzinfo=UTC), datetime(2031, 1, 31, tzinfo=UTC)
    borders = [start, *(start + timedelta(days=cut) for cut in sorted(cuts)), end]
    whole = int((end - start).total_seconds())
    parts = [
        prorated(one.amount, start, start + timedelta(seconds=whole), end - (later - earlier))
        for earlier, later in itertools.pairwise(borders)
    ]
    assert all(part >= 0 for part in parts)
    assert sum(parts) <= one.amount


@given(parent=st.text(), name=st.text())
def test_an_id_is_the_uuid_of_version_5(parent: str, name: str) -> None:
    namespace = uuid.UUID("6f1c9b1e-7a52-5a0e-9d53-0f6f5a1f3b11")
    assert derive(parent, name) == str(uuid.uuid5(namespace, f"{parent}\n{name}"))


def test_names_of_the_catalogue() -> None:
    assert product_key(ProductId("solaris")) == "catalog/product/solaris"
    assert product_of(PriceId("solaris:own")) == "solaris"
