"""What `billing catalog import` makes of a file, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from cli import catalog
from cli.catalog import as_document, read_catalog
from cli.common import UsageError
from domain.calendar import Period, PeriodUnit
from domain.catalog.state import ProductKind
from domain.money import Money
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
        (PLAN.replace("currency: USD", "currency: usd"), "prices.0.amount.currency"),
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
