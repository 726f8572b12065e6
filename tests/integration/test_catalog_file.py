"""What `billing catalog import` makes of a file, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli import catalog
from cli.amounts import parse_amount
from cli.catalog import as_document, read_catalog, read_file
from cli.catalog_discounts import months_document, promo_document
from cli.catalog_terms import terms_document
from cli.common import UsageError
from domain.calendar import Period, PeriodUnit
from domain.catalog.state import ProductKind
from domain.ids import ProductId
from domain.money import AMOUNT_MAX, EXPONENTS, Money, in_words
from domain.policies.terms import Terms
from domain.pricing.commands import DefineMonthsDiscounts
from domain.pricing.state import MonthsDiscounts, MonthsStep, PromoCode
from domain.promo.commands import DefinePromoCode
from projections.products import PriceView, ProductView

if TYPE_CHECKING:
    from domain.catalog.commands import DefineProduct

PLAN = """
products:
  - id: premium
    kind: subscription
    title: Premium
    role: premium
    prices:
      - {id: "premium:monthly", amount: {amount: 999, currency: USD}, period: {count: 1, unit: month}}
"""


def read(data_dir: Path, text: str) -> tuple[DefineProduct, ...]:
    path = data_dir / "catalog.yaml"
    path.write_text(text, "utf-8")
    return read_catalog(path)


def test_plan_becomes_a_command(data_dir: Path) -> None:
    (command,) = read(data_dir, PLAN)
    assert (command.product_id, command.kind, command.role) == ("premium", ProductKind.SUBSCRIPTION, "premium")
    (price,) = command.prices
    assert price.amount == Money(amount=999, currency="USD")
    assert price.period == Period(count=1, unit=PeriodUnit.MONTH)


def test_what_is_exported_is_what_is_imported(data_dir: Path) -> None:
    view = ProductView(
        id="premium",
        kind="subscription",
        title="Premium",
        description="",
        role="premium",
        validity_days=None,
        terms=None,
        active=True,
        prices=(
            PriceView(
                id="premium:monthly",
                amount=Money(amount=999, currency="USD"),
                period=Period(count=1, unit=PeriodUnit.MONTH),
                trial_days=None,
                active=True,
            ),
        ),
        updated_at=datetime(2026, 1, 31, tzinfo=UTC),
    )
    assert read(data_dir, yaml.safe_dump({"products": [as_document(view)]})) == read(data_dir, PLAN)


any_money = st.builds(Money, amount=st.integers(1, AMOUNT_MAX), currency=st.sampled_from(sorted(EXPONENTS)))


@given(money=any_money)
def test_what_is_written_in_words_is_read_as_it_was(money: Money) -> None:
    assert parse_amount(in_words(money)) == money


@given(money=any_money, digits=st.integers(1, 3))
def test_more_digits_than_the_currency_has_are_refused(money: Money, digits: int) -> None:
    number, _, currency = in_words(money).partition(" ")
    written = f"{number}{'' if '.' in number else '.'}{'0' * digits} {currency}"
    with pytest.raises(ValueError, match=r"is not exact|is no amount"):
        parse_amount(written)


TERMS = """
    terms: {grace: 5d, refund_window: PT12H, refund_unused: false, renewal_offsets: [-2d, 0d, P4D]}
"""
OWN = Terms(
    grace=timedelta(days=5),
    refund_window=timedelta(hours=12),
    refund_unused=False,
    renewal_offsets=(timedelta(days=-2), timedelta(0), timedelta(days=4)),
)


def test_terms_are_written_as_in_the_settings_and_come_back(data_dir: Path) -> None:
    (command,) = read(data_dir, PLAN.rstrip() + TERMS)
    assert command.terms == OWN
    assert terms_document(OWN)["renewal_offsets"] == ["-P2D", "PT0S", "P4D"]
    written = yaml.safe_dump({"terms": terms_document(OWN)}, indent=2).replace("\n", "\n    ")
    assert read(data_dir, f"{PLAN.rstrip()}\n    {written.rstrip()}\n") == (command,)


@pytest.mark.parametrize(
    ("terms", "problem"),
    [
        ("{grace: soon}", "terms.grace: 'soon' is no duration"),
        ("{renewal_offsets: [-3d, later]}", "terms.renewal_offsets: 'later' is no duration"),
        ("{renewal_offsets: -3d}", "terms.renewal_offsets: Input should be"),
        ("{refund_unused: 2d}", "terms.refund_unused: Input should be a valid boolean"),
        ("{grace: yes}", "terms.grace: Value error, a duration is written in days"),
        ("{pause_max: 2d}", "terms.pause_max: Extra inputs are not permitted"),
        ("{grace: 999999w}", "terms.grace: "),
        ("[2d]", "terms: Input should be"),
    ],
)
def test_terms_that_are_none_are_named(data_dir: Path, terms: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read(data_dir, f"{PLAN.rstrip()}\n    terms: {terms}\n")


def test_demo_catalogue_has_films_and_plans() -> None:
    demo = read_catalog(Path(catalog.__file__).with_name("demo_catalog.yaml"))
    assert {command.kind for command in demo} == {ProductKind.FILM, ProductKind.SUBSCRIPTION}


@pytest.mark.parametrize(
    ("written", "money"),
    [
        ("9.99 USD", Money(amount=999, currency="USD")),
        ("10 USD", Money(amount=1000, currency="USD")),
        ("0.5 EUR", Money(amount=50, currency="EUR")),
        ("1500 JPY", Money(amount=1500, currency="JPY")),
        ("3.075 KWD", Money(amount=3075, currency="KWD")),
        ("9007199254.41 USD", Money(amount=900719925441, currency="USD")),
    ],
)
def test_amounts_may_be_written_as_people_write_them(written: str, money: Money, data_dir: Path) -> None:
    (command,) = read(data_dir, PLAN.replace("{amount: 999, currency: USD}", written))
    assert command.prices[0].amount == money


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there must be a list `products`"),
        ("products: nosferatu", "there must be a list `products`"),
        ("products: [nosferatu]", "there must be a list `products`"),
        ("products: [{title: x}]", "needs an `id` of its own"),
        (PLAN + PLAN.replace("products:", "").lstrip("\n"), "needs an `id` of its own"),
        (PLAN.replace("amount: 999", "amount: 9.99"), "prices.0.amount.amount: Input should be a valid integer"),
        (PLAN.replace("title:", "titel:"), "titel: Extra inputs are not permitted"),
        (PLAN.replace("kind: subscription", "kind: cinema"), "kind: Input should be 'film' or 'subscription'"),
        ("products: [", "cannot be read"),
        (PLAN.replace("{amount: 999, currency: USD}", "9.99"), "prices.0.amount"),
        (PLAN.replace("{amount: 999, currency: USD}", "9.999 USD"), "USD has 2 digits after the point"),
        (PLAN.replace("{amount: 999, currency: USD}", "1.5 JPY"), "JPY has 0 digits after the point"),
        (PLAN.replace("{amount: 999, currency: USD}", "'9,99 USD'"), "write 9.99 USD"),
        (PLAN.replace("{amount: 999, currency: USD}", "-1 USD"), "write 9.99 USD"),
        (PLAN.replace("{amount: 999, currency: USD}", "9.99 XXX"), "a currency of ISO 4217"),
        (PLAN.replace("title:", "titel:"), "line 3: product premium"),
    ],
)
def test_what_is_wrong_is_named(text: str, complaint: str, data_dir: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(data_dir, text)
    assert complaint in str(caught.value)


def test_file_that_is_not_there(data_dir: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_catalog(data_dir / "none.yaml")


DISCOUNTS = """
months_discounts:
  - {months: 6, takes: 20 %}
  - {months: 3, takes: 12.5%}
promo_codes:
  - {code: summer, takes: 10 %, products: [premium], months_min: 3, valid_until: 2027-09-01T00:00:00Z, uses_max: 5}
  - {code: FIVE, takes: 5.00 USD, uses_per_account_max: 1}
"""


def test_discounts_become_commands(data_dir: Path) -> None:
    path = data_dir / "discounts.yaml"
    path.write_text(DISCOUNTS, "utf-8")
    assert read_catalog(path) == (), "a file may have discounts alone"
    months, summer, five = read_file(path)
    steps = (MonthsStep(months=6, basis_points=2000), MonthsStep(months=3, basis_points=1250))
    assert months == DefineMonthsDiscounts(steps=steps)
    assert summer == DefinePromoCode(
        promo=PromoCode(
            code="SUMMER",
            basis_points=1000,
            products=(ProductId("premium"),),
            months_min=3,
            valid_until=datetime(2027, 9, 1, tzinfo=UTC),
            uses_max=5,
        )
    )
    assert five == DefinePromoCode(
        promo=PromoCode(code="FIVE", amount=Money(amount=500, currency="USD"), uses_per_account_max=1)
    )


def test_exported_discounts_are_imported_as_they_were(data_dir: Path) -> None:
    path = data_dir / "discounts.yaml"
    path.write_text(DISCOUNTS, "utf-8")
    months, *codes = read_file(path)
    assert isinstance(months, DefineMonthsDiscounts)
    documents = [promo_document(define.promo) for define in codes if isinstance(define, DefinePromoCode)]
    table = months_document(MonthsDiscounts(steps=months.steps))
    path.write_text(yaml.safe_dump({"months_discounts": table, "promo_codes": documents}), "utf-8")
    assert read_file(path) == (months, *codes)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("months_discounts: 3", "`months_discounts` must be a list"),
        ("promo_codes: [x]", "`promo_codes` must be a list"),
        ("promo_codes: [{takes: 10 %}]", "needs a `code` of its own"),
        ("promo_codes: [{code: A1, takes: 10 %}, {code: a1, takes: 5 %}]", "needs a `code` of its own"),
        ("promo_codes: [{code: A1, takes: 10}]", "10 is no part"),
        ("promo_codes: [{code: A1, takes: 10.001 %}]", "write 9.99 USD"),
        ("promo_codes: [{code: A1, takes: 1.5 JPY}]", "JPY has 0 digits after the point"),
        ("promo_codes: [{code: A1, takes: 10 %, uses: 5}]", "promo code A1: uses: Extra inputs"),
        (
            "promo_codes: [{code: A1, takes: 10 %, valid_until: 2027-01-01T00:00:00}]",
            "valid_until: Value error, a moment is written as RFC 3339 has it",
        ),
        ("months_discounts: [{months: 3, takes: 5.00 USD}]", "is no part: write 10 %"),
        ("months_discounts: [{months: 3, basis_points: 0.1}]", "basis_points: Input should be a valid integer"),
    ],
)
def test_what_is_wrong_with_discounts_is_named(text: str, complaint: str, data_dir: Path) -> None:
    path = data_dir / "wrong.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError) as caught:
        read_file(path)
    assert complaint in str(caught.value)
