"""Stripe's rules about amounts, where they differ from ISO 4217.

Inside the product an amount is an integer of the currency's ISO 4217 minor unit. Stripe mostly means the same, with the
exceptions below (https://docs.stripe.com/currencies, "Zero-decimal currencies" and "Special cases"). Nothing is ever
rounded here: an amount that Stripe cannot carry exactly is refused, because a customer may not be charged another sum
than agreed.
"""

from __future__ import annotations

from domain.money import EXPONENTS, Money

STRIPE_ZERO_DECIMAL = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split()  # noqa: SIM905 - reads as Stripe's list
)
STRIPE_THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Their last digit has to be 0: Stripe's partners settle hundredths."""

STRIPE_WHOLE_UNITS = frozenset({"ISK", "UGX"})
"""Two decimals on the wire for old integrations' sake, but always `00`. (HUF and TWD are whole for payouts only, which
this product does not make, so they are plain two-decimal currencies here.)"""

_WITHOUT_RULE = frozenset(
    code
    for code, exponent in EXPONENTS.items()
    if exponent != 2  # noqa: PLR2004 - what Stripe means where it says nothing
    and code not in STRIPE_ZERO_DECIMAL | STRIPE_THREE_DECIMAL | STRIPE_WHOLE_UNITS
)
"""Currencies that Stripe does not charge in, and whose decimals it therefore does not tell: guessing them could charge
ten or a hundred times the sum."""

STRIPE_AMOUNT_MAX = 999_999_999_999
"""Twelve digits, the limit that Stripe documents for card payments."""


class AmountNotRepresentableError(ValueError):
    """Stripe cannot carry this amount of this currency exactly; `reason` says why, for people."""

    def __init__(self, currency: str, amount: int, reason: str) -> None:
        super().__init__(f"{amount} {currency} cannot be sent to Stripe: {reason}")
        self.currency = currency
        self.amount = amount
        self.reason = reason


def stripe_exponent(currency: str) -> int:
    """Decimals of the minor unit that Stripe's `amount` has."""
    code = currency.upper()
    if code in STRIPE_ZERO_DECIMAL:
        return 0
    return 3 if code in STRIPE_THREE_DECIMAL else 2


def to_stripe_amount(amount: int, currency: str) -> int:
    """ISO minor units to Stripe's `amount`; raises `AmountNotRepresentableError` where they cannot be the same sum."""
    code = currency.upper()
    if code not in EXPONENTS:
        raise AmountNotRepresentableError(code, amount, "nobody knows this currency's decimals")
    if code in _WITHOUT_RULE:
        raise AmountNotRepresentableError(code, amount, "Stripe does not charge in this currency")
    converted, rest = _scaled(amount, stripe_exponent(code) - EXPONENTS[code])
    if rest:
        raise AmountNotRepresentableError(code, amount, "Stripe has fewer decimals for this currency")
    problem = amount_problem(converted, code)
    if problem is not None:
        raise AmountNotRepresentableError(code, amount, problem)
    return converted


def from_stripe_amount(amount: int, currency: str) -> int:
    """Stripe's `amount` to ISO minor units; raises `AmountNotRepresentableError` on what ISO cannot express."""
    code = currency.upper()
    if code in _WITHOUT_RULE:
        raise AmountNotRepresentableError(code, amount, "Stripe does not charge in this currency")
    converted, rest = _scaled(amount, EXPONENTS[code] - stripe_exponent(code))
    if rest:
        raise AmountNotRepresentableError(code, amount, "it has decimals that the currency does not have")
    return converted


def money_of(amount: object, currency: object) -> Money | None:
    """What Stripe calls an amount, in our terms; None where it is none that we can read."""
    if type(amount) is not int or not isinstance(currency, str) or currency.upper() not in EXPONENTS:
        return None
    try:
        return Money(amount=from_stripe_amount(amount, currency), currency=currency.upper())
    except AmountNotRepresentableError:
        return None


def _scaled(amount: int, shift: int) -> tuple[int, int]:
    """The amount with its decimal point moved right by `shift` digits, and the rest that falls off at the end."""
    if shift >= 0:
        return amount * int("1" + "0" * shift), 0
    return divmod(amount, int("1" + "0" * -shift))


def amount_problem(stripe_amount: int, currency: str) -> str | None:
    """Why Stripe would refuse this `amount` for its digits, or None."""
    code = currency.upper()
    if code in STRIPE_THREE_DECIMAL and stripe_amount % 10:
        return "the last digit of a three-decimal amount must be 0"
    if code in STRIPE_WHOLE_UNITS and stripe_amount % 100:
        return "this currency has no fractions, its last two digits must be 00"
    if stripe_amount > STRIPE_AMOUNT_MAX:
        return f"the amount has more than {len(str(STRIPE_AMOUNT_MAX))} digits"
    return None
