"""Money as integer minor units of an ISO 4217 currency; no float comes near it."""

from __future__ import annotations

from domain.errors import AmountOutOfRange, CurrencyMismatch, CurrencyUnknown
from domain.records import dataclass

_TWO_DIGITS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP
COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR
JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN
NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL
THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""
_NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DIGITS = "CLF UYW"

EXPONENTS: dict[str, int] = {
    **dict.fromkeys(_TWO_DIGITS.split(), 2),
    **dict.fromkeys(_NO_DIGITS.split(), 0),
    **dict.fromkeys(_THREE_DIGITS.split(), 3),
    **dict.fromkeys(_FOUR_DIGITS.split(), 4),
}
"""Digits after the point of every currency of ISO 4217 that money is paid in."""

AMOUNT_MAX = 10**12
"""Minor units. Far above any sale, far below a 64-bit integer, so that sums of amounts always fit a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount in minor units (cents, yen, fils) and its currency. Construction does not check: see `checked`."""

    amount: int
    currency: str

    def __add__(self, other: Money) -> Money:
        """Add two amounts of one currency. Raises CurrencyMismatch."""
        self._require_same(other)
        return Money(amount=self.amount + other.amount, currency=self.currency)

    def __sub__(self, other: Money) -> Money:
        """Subtract an amount of the same currency. Raises CurrencyMismatch."""
        self._require_same(other)
        return Money(amount=self.amount - other.amount, currency=self.currency)

    def __mul__(self, times: int) -> Money:
        """Multiply by a whole number, as in three months of one price."""
        return Money(amount=self.amount * times, currency=self.currency)

    def _require_same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(left=self.currency, right=other.currency)


def checked(money: Money, *, amount_min: int = 1) -> Money:
    """Return money that may enter the system: a known currency and `amount_min` ≤ amount ≤ AMOUNT_MAX minor units.

    Raises CurrencyUnknown, AmountOutOfRange.
    """
    if money.currency not in EXPONENTS:
        raise CurrencyUnknown(currency=money.currency)
    if not amount_min <= money.amount <= AMOUNT_MAX:
        raise AmountOutOfRange(amount=money.amount, amount_min=amount_min, amount_max=AMOUNT_MAX)
    return money


def in_proportion(amount: int, parts: list[int]) -> list[int]:
    """Split minor units, at most the sum of some parts, among them by their size; the rounded shares make all of it."""
    whole = sum(parts)
    amount, before = min(amount, whole), 0
    found: list[int] = []
    for part in parts:
        found.append(0 if part == 0 else amount * (before + part) // whole - amount * before // whole)
        before += part
    return found


def in_words(money: Money) -> str:
    """Return an amount for people who read sentences of the log, such as `26.97 USD`; pages format it by locale."""
    exponent = EXPONENTS.get(money.currency, 0)
    sign, digits = "-" if money.amount < 0 else "", str(abs(money.amount)).rjust(exponent + 1, "0")
    if exponent == 0:
        return f"{sign}{digits} {money.currency}"
    return f"{sign}{digits[:-exponent]}.{digits[-exponent:]} {money.currency}"
