"""Discounts by months and promo codes as a catalogue's file has them, both ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cli.amounts import parse_amount
from cli.common import UsageError, problems_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from domain.pricing.commands import DefineMonthsDiscounts
    from domain.pricing.state import MonthsDiscounts, PromoCode
    from domain.promo.commands import DefinePromoCode
    from schemas.http.fields import RequestModel

MONTHS, PROMO_CODES = "months_discounts", "promo_codes"
_PERCENT = re.compile(r"(?P<whole>[0-9]{1,3})(\.(?P<fraction>[0-9]{1,2}))? ?%")


def has_discounts(document: object) -> bool:
    """Whether a file's document says anything of discounts."""
    return isinstance(document, dict) and bool(document.keys() & {MONTHS, PROMO_CODES})


def read_discounts(path: Path) -> tuple[DefineMonthsDiscounts | DefinePromoCode, ...]:
    """The commands about discounts that a file stands for; UsageError where it makes no sense."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        return ()
    return (*_months(path, document), *_promo_codes(path, document))


def _months(path: Path, document: dict[str, Any]) -> Iterable[DefineMonthsDiscounts]:
    from schemas.http.discounts import DefineMonthsDiscountsRequest

    if MONTHS not in document:
        return
    steps = _listed(path, document, MONTHS)
    for step in steps:
        _read_takes(path, MONTHS, step, may_be_an_amount=False)
    yield _checked(DefineMonthsDiscountsRequest, {"steps": steps}, f"{path}: {MONTHS}").to_command()


def _promo_codes(path: Path, document: dict[str, Any]) -> Iterable[DefinePromoCode]:
    from domain.ids import spelled
    from schemas.http.discounts import DefinePromoCodeRequest

    if PROMO_CODES not in document:
        return
    seen: set[str] = set()
    for entry in _listed(path, document, PROMO_CODES):
        code = entry.pop("code", None)
        if not isinstance(code, str) or spelled(code) in seen:
            raise UsageError(f"{path}: every promo code needs a `code` of its own ({code!r} is none, or another's)")
        seen.add(spelled(code))
        _read_takes(path, f"promo code {code}", entry, may_be_an_amount=True)
        yield _checked(DefinePromoCodeRequest, entry, f"{path}: promo code {code}").to_command(spelled(code))


def _listed(path: Path, document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document[name]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UsageError(f"{path}: `{name}` must be a list, each entry with its fields")
    return entries


def _read_takes(path: Path, what: str, entry: dict[str, Any], *, may_be_an_amount: bool) -> None:
    """Put basis points, or minor units, in the place of a `takes` as a person writes it: `12.5 %`, `5.00 USD`."""

    if "takes" not in entry:
        return
    takes = entry.pop("takes")
    match = _PERCENT.fullmatch(takes) if isinstance(takes, str) else None
    if match:
        entry["basis_points"] = int(match["whole"]) * 100 + int((match["fraction"] or "").ljust(2, "0"))
        return
    try:
        if not may_be_an_amount or not isinstance(takes, str):
            raise ValueError(f"{takes!r} is no part: write 10 %")
        money = parse_amount(takes)
    except ValueError as error:
        raise UsageError(f"{path}: {what}: {error}") from error
    entry["amount"] = {"amount": money.amount, "currency": money.currency}


def _checked(model: type[Any], entry: dict[str, Any], where: str) -> Any:
    import orjson

    checked: type[RequestModel] = model
    try:
        return checked.model_validate_json(orjson.dumps(entry, default=str))
    except ValueError as error:
        raise UsageError(f"{where}: {problems_of(error)}") from error


def months_document(table: MonthsDiscounts) -> list[dict[str, Any]]:
    """The table of discounts by months, as a file has it."""
    return [{"months": step.months, "basis_points": step.basis_points} for step in table.steps]


def promo_document(promo: PromoCode) -> dict[str, Any]:
    """One promo code, as a file has it."""
    amount = promo.amount
    optional = {
        "basis_points": promo.basis_points,
        "amount": None if amount is None else {"amount": amount.amount, "currency": amount.currency},
        "products": list(promo.products) or None,
        "months_min": promo.months_min,
        "valid_from": None if promo.valid_from is None else promo.valid_from.isoformat(),
        "valid_until": None if promo.valid_until is None else promo.valid_until.isoformat(),
        "uses_max": promo.uses_max,
        "uses_per_account_max": promo.uses_per_account_max,
    }
    return {"code": promo.code} | {name: value for name, value in optional.items() if value is not None}
