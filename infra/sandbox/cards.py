"""Stripe's test cards, and what each of them does (https://docs.stripe.com/testing). No card number is ever stored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class Authentication(StrEnum):
    """When a card wants 3-D Secure."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless_set_up"
    """On session always; off session only if the card was not set up for that before."""
    ON_SESSION = "on_session"
    """As if it had been set up elsewhere: off session it never asks."""
    BROKEN = "broken"
    """It wants 3-D Secure, and the lookup fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A test card. Its declines are Stripe's decline codes, or empty."""

    behaviour: str
    brand: str = "visa"
    last4: str
    label: str
    funding: str = "credit"
    authentication: Authentication = Authentication.NEVER
    charge_decline: str = ""
    attach_decline: str = ""
    absent_decline: str = ""
    """The code with which it declines charges that are made while the customer is away. No card of Stripe's does so."""
    dispute: str = ""
    """The reason of the dispute that follows a charge, or empty; `inquiry` opens a mere inquiry."""
    refund: str = "succeeds"
    """`pending` (succeeds later) or `fails` (later)."""


def _declined(behaviour: str, last4: str, label: str) -> Card:
    return Card(behaviour=behaviour, last4=last4, label=label, charge_decline=behaviour, attach_decline=behaviour)


CARDS: dict[str, Card] = {
    "4242424242424242": Card(behaviour="visa", last4="4242", label="Visa, succeeds"),
    "4000056655665556": Card(behaviour="visa_debit", last4="5556", label="Visa debit, succeeds", funding="debit"),
    "5555555555554444": Card(behaviour="mastercard", last4="4444", label="Mastercard, succeeds", brand="mastercard"),
    "2223003122003222": Card(
        behaviour="mastercard_2", last4="3222", label="Mastercard 2-series, succeeds", brand="mastercard"
    ),
    "5105105105105100": Card(
        behaviour="mastercard_prepaid",
        last4="5100",
        label="Mastercard prepaid, succeeds",
        brand="mastercard",
        funding="prepaid",
    ),
    "378282246310005": Card(behaviour="amex", last4="0005", label="American Express, succeeds", brand="amex"),
    "6011111111111117": Card(behaviour="discover", last4="1117", label="Discover, succeeds", brand="discover"),
    "3056930009020004": Card(behaviour="diners", last4="0004", label="Diners Club, succeeds", brand="diners"),
    "3566002020360505": Card(behaviour="jcb", last4="0505", label="JCB, succeeds", brand="jcb"),
    "6200000000000005": Card(behaviour="unionpay", last4="0005", label="UnionPay, succeeds", brand="unionpay"),
    "4000000000000002": _declined("generic_decline", "0002", "Declined"),
    "4000000000009995": _declined("insufficient_funds", "9995", "Declined: insufficient funds"),
    "4000000000009987": _declined("lost_card", "9987", "Declined: lost card"),
    "4000000000009979": _declined("stolen_card", "9979", "Declined: stolen card"),
    "4000000000000069": _declined("expired_card", "0069", "Declined: expired card"),
    "4000000000000127": _declined("incorrect_cvc", "0127", "Declined: incorrect CVC"),
    "4000000000000119": _declined("processing_error", "0119", "Declined: processing error"),
    "4000000000006975": _declined("card_velocity_exceeded", "6975", "Declined: velocity limit exceeded"),
    "4000000000000341": Card(
        behaviour="charge_fails",
        last4="0341",
        label="Can be saved, charges are declined",
        charge_decline="generic_decline",
    ),
    "4999990000000015": Card(
        behaviour="absent_insufficient_funds",
        last4="0015",
        label="Sandbox only: succeeds, renewals are declined (insufficient funds)",
        absent_decline="insufficient_funds",
    ),
    "4999990000000023": Card(
        behaviour="absent_expired_card",
        last4="0023",
        label="Sandbox only: succeeds, renewals are declined (expired card)",
        absent_decline="expired_card",
    ),
    "4000002500003155": Card(
        behaviour="authenticate_unless_set_up",
        last4="3155",
        label="3-D Secure, unless set up for later use",
        authentication=Authentication.UNLESS_SET_UP,
    ),
    "4000002760003184": Card(
        behaviour="authenticate_always",
        last4="3184",
        label="3-D Secure on every payment",
        authentication=Authentication.ALWAYS,
    ),
    "4000003800000446": Card(
        behaviour="already_set_up",
        last4="0446",
        label="3-D Secure, already set up for later use",
        authentication=Authentication.ON_SESSION,
    ),
    "4000000000003220": Card(
        behaviour="three_d_secure_required",
        last4="3220",
        label="3-D Secure required",
        authentication=Authentication.UNLESS_SET_UP,
    ),
    "4000008260003178": Card(
        behaviour="authenticate_then_insufficient_funds",
        last4="3178",
        label="3-D Secure, then insufficient funds",
        authentication=Authentication.ALWAYS,
        charge_decline="insufficient_funds",
    ),
    "4000008400001629": Card(
        behaviour="authenticate_then_decline",
        last4="1629",
        label="3-D Secure, then declined",
        authentication=Authentication.ALWAYS,
        charge_decline="generic_decline",
    ),
    "4000008400001280": Card(
        behaviour="authentication_broken",
        last4="1280",
        label="3-D Secure lookup fails",
        authentication=Authentication.BROKEN,
    ),
    "4000000000000259": Card(
        behaviour="dispute_fraudulent", last4="0259", label="Succeeds, then disputed as fraud", dispute="fraudulent"
    ),
    "4000000000002685": Card(
        behaviour="dispute_not_received",
        last4="2685",
        label="Succeeds, then disputed: product not received",
        dispute="product_not_received",
    ),
    "4000000000001976": Card(
        behaviour="dispute_inquiry", last4="1976", label="Succeeds, then an inquiry", dispute="inquiry"
    ),
    "4000000000007726": Card(
        behaviour="refund_pending", last4="7726", label="Succeeds; a refund takes its time", refund="pending"
    ),
    "4000000000005126": Card(
        behaviour="refund_fails", last4="5126", label="Succeeds; a refund fails later", refund="fails"
    ),
}

BEHAVIOURS: dict[str, Card] = {card.behaviour: card for card in CARDS.values()}

PAYMENT_METHOD_TOKENS: dict[str, str] = {
    "pm_card_visa": "visa",
    "pm_card_visa_debit": "visa_debit",
    "pm_card_mastercard": "mastercard",
    "pm_card_mastercard_prepaid": "mastercard_prepaid",
    "pm_card_amex": "amex",
    "pm_card_discover": "discover",
    "pm_card_diners": "diners",
    "pm_card_jcb": "jcb",
    "pm_card_unionpay": "unionpay",
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedLostCard": "lost_card",
    "pm_card_visa_chargeDeclinedStolenCard": "stolen_card",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "card_velocity_exceeded",
    "pm_card_chargeCustomerFail": "charge_fails",
    "pm_card_authenticationRequiredOnSetup": "authenticate_unless_set_up",
    "pm_card_authenticationRequired": "authenticate_always",
    "pm_card_authenticationRequiredSetupForOffSession": "already_set_up",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "authenticate_then_insufficient_funds",
    "pm_card_threeDSecure2Required": "three_d_secure_required",
    "pm_card_threeDSecureRequiredChargeDeclined": "authenticate_then_decline",
    "pm_card_threeDSecureRequiredProcessingError": "authentication_broken",
    "pm_card_createDispute": "dispute_fraudulent",
    "pm_card_createDisputeProductNotReceived": "dispute_not_received",
    "pm_card_createDisputeInquiry": "dispute_inquiry",
    "pm_card_pendingRefund": "refund_pending",
    "pm_card_refundFail": "refund_fails",
}

DECLINE_MESSAGES: dict[str, tuple[str, str]] = {
    "generic_decline": ("card_declined", "Your card was declined."),
    "insufficient_funds": ("card_declined", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "Your card was declined."),
    "stolen_card": ("card_declined", "Your card was declined."),
    "card_velocity_exceeded": (
        "card_declined",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": ("expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": (
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
    "fraudulent": ("card_declined", "Your card was declined."),
    "do_not_honor": ("card_declined", "Your card was declined."),
    "revocation_of_authorization": ("card_declined", "Your card was declined."),
}
"""Decline code → Stripe's error `code` and message."""

ADVICE = {
    "generic_decline": "try_again_later",
    "insufficient_funds": "try_again_later",
    "card_velocity_exceeded": "try_again_later",
    "processing_error": "try_again_later",
    "do_not_honor": "try_again_later",
    "incorrect_cvc": "confirm_card_data",
    "expired_card": "confirm_card_data",
    "lost_card": "do_not_try_again",
    "stolen_card": "do_not_try_again",
    "fraudulent": "do_not_try_again",
    "revocation_of_authorization": "do_not_try_again",
}
"""Decline code → Stripe's `advice_code`."""


def valid_number(number: str) -> bool:
    """Luhn's check, which Stripe makes before anything else."""
    if not number.isascii() or not number.isdecimal() or not 12 <= len(number) <= 19:  # noqa: PLR2004 - ISO/IEC 7812
        return False
    total = 0
    for position, character in enumerate(reversed(number)):
        digit = int(character) * (2 if position % 2 else 1)
        total += digit - 9 if digit > 9 else digit  # noqa: PLR2004 - the sum of two digits
    return total % 10 == 0


def behaving(card: Card, decline_code: str) -> Card:
    """The same card from the day on which its bank declines (or, with an empty code, pays) everything."""
    return replace(card, charge_decline=decline_code, absent_decline="")
