"""Amounts at Stripe: the same sum in every currency, or a clear refusal, never another sum."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import AMOUNT_MAX, EXPONENTS, Money
from infra.stripe.currencies import AmountNotRepresentableError, money_of, stripe_exponent, to_stripe_amount

UNKNOWN_TO_STRIPE = {"CLF", "IQD", "LYD", "UYI", "UYW"}


@given(amount=st.integers(1, AMOUNT_MAX), currency=st.sampled_from(sorted(EXPONENTS)))
def test_it_is_the_same_sum_or_none(amount: int, currency: str) -> None:
    try:
        told = to_stripe_amount(amount, currency)
    except AmountNotRepresentableError:
        return
    assert Fraction(told, 10 ** stripe_exponent(currency)) == Fraction(amount, 10 ** EXPONENTS[currency])
    assert money_of(told, currency.lower()) == Money(amount=amount, currency=currency)


@pytest.mark.parametrize(
    ("amount", "currency", "told"),
    [
        (1050, "USD", 1050),
        (500, "JPY", 500),
        (5, "ISK", 500),
        (5, "UGX", 500),
        (500, "MGA", 5),
        (1050, "HUF", 1050),
        (1050, "TWD", 1050),
        (5120, "KWD", 5120),
    ],
)
def test_the_special_cases(amount: int, currency: str, told: int) -> None:
    assert to_stripe_amount(amount, currency) == told


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        (5124, "KWD", "the last digit of a three-decimal amount must be 0"),
        (550, "MGA", "Stripe has fewer decimals"),
        (10**12, "USD", "the amount has more than 12 digits"),
        *((1000, currency, "Stripe does not charge in this currency") for currency in sorted(UNKNOWN_TO_STRIPE)),
    ],
)
def test_what_stripe_cannot_carry_is_refused(amount: int, currency: str, reason: str) -> None:
    with pytest.raises(AmountNotRepresentableError, match=reason):
        to_stripe_amount(amount, currency)


@pytest.mark.parametrize("currency", sorted(UNKNOWN_TO_STRIPE))
def test_nothing_is_read_in_a_currency_without_a_rule(currency: str) -> None:
    assert money_of(1000, currency) is None
