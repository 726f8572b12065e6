"""How an audit writes amounts, times and ids for people. Machines get the values themselves, by `--json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from babel.numbers import format_currency, get_currency_symbol

from domain.money import EXPONENTS, Money
from domain.policies.settings import in_words

if TYPE_CHECKING:
    from datetime import datetime

    from domain.calendar import Period
    from domain.policies.terms import Terms

LOCALE = "en"
_SHORT_ID_LENGTH = 8
_REFERENCE_LENGTH = 16


def amount(money: Money) -> str:
    """`€4.99`: always with the digits of ISO 4217, since what was charged is exact."""
    exponent = EXPONENTS.get(money.currency, 0)
    space = "\u00a0" if get_currency_symbol(money.currency, LOCALE).isalpha() else ""
    pattern = f"¤{space}#,##0" + ("." + "0" * exponent if exponent else "")
    value = Decimal(money.amount).scaleb(-exponent)
    return format_currency(value, money.currency, format=pattern, locale=LOCALE, currency_digits=False)


def percent(basis_points: int) -> str:
    """`12.5 %`: exactly, of ten thousandths."""
    return f"{(Decimal(basis_points) / 100).normalize():f} %"


def moment(when: datetime) -> str:
    """`2026-01-31 12:00:01 UTC`."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def until(when: datetime | None) -> str:
    """`until 2026-02-28 12:00:01 UTC`, or `for ever`."""
    return "for ever" if when is None else f"until {moment(when)}"


def period(length: Period) -> str:
    """`1 month`, `30 days`."""
    return f"{length.count} {length.unit}{'' if length.count == 1 else 's'}"


def terms(said: Terms) -> str:
    """`grace 5 days, refund_unused no, renewal_offsets -2 days and 0 days`."""
    return ", ".join(f"{name} {_term(value)}" for name, value in said.named.items())


def _term(value: object) -> str:
    if isinstance(value, timedelta):
        return in_words(value)
    if isinstance(value, tuple):
        return " and ".join(map(in_words, value))
    return "yes" if value else "no"


@dataclass(slots=True)
class Names:
    """Short names of ids, each unique in one story, with the table that resolves them."""

    full: dict[str, str] = field(default_factory=dict)
    """Id by its short name, in the order of appearance."""
    kinds: dict[str, str] = field(default_factory=dict)
    """What the id names, by its short name."""
    _short: dict[str, str] = field(default_factory=dict)

    def __call__(self, kind: str, identifier: str) -> str:
        """`order 09b4feb2`: the beginning of the id, as long as it takes to tell it from the others."""
        return f"{kind} {self.short(kind, identifier)}"

    def short(self, kind: str, identifier: str) -> str:
        """The short name alone."""
        known = self._short.get(identifier)
        if known is not None:
            return known
        length = _SHORT_ID_LENGTH if _looks_like_uuid(identifier) else _REFERENCE_LENGTH
        while self.full.get(identifier[:length], identifier) != identifier:
            length += 1
        name = identifier[:length]
        self._short[identifier], self.full[name], self.kinds[name] = name, identifier, kind
        return name


def _looks_like_uuid(identifier: str) -> bool:
    return len(identifier) == 36 and identifier.count("-") == 4  # noqa: PLR2004  the shape of every UUID
