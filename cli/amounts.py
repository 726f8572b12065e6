"""Money as a person writes it in a file: `9.99 USD`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.money import Money

_DECIMAL = re.compile(r"[0-9]{1,13}(\.[0-9]{1,4})?")


def parse_amount(text: str) -> Money:
    """Return the money of `9.99 USD`, exactly, by the currency's own exponent; ValueError for whatever is not exact."""
    from domain.money import EXPONENTS, Money

    number, _, currency = text.partition(" ")
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise ValueError(f"{text!r} is no amount: write 9.99 USD, with a currency of ISO 4217")
    if not _DECIMAL.fullmatch(number):
        raise ValueError(f"{text!r} is no amount: write 9.99 USD")
    whole, _, fraction = number.partition(".")
    if len(fraction) > exponent:
        raise ValueError(f"{text!r} is not exact: {currency} has {exponent} digits after the point")
    return Money(amount=int(whole + fraction.ljust(exponent, "0")), currency=currency)
