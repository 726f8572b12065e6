"""The log against the sandbox provider's books: every payment has its charge, and every charge its payment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from domain.money import EXPONENTS
from infra.stripe.currencies import AmountNotRepresentableError, from_stripe_amount
from projections.audit.report import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from domain.payments.events import PaymentSucceeded
    from projections.audit.report import Report

PROVIDER = "stripe"
"""What the sandbox's payments are called in the log: it speaks Stripe's API."""
_PAGE_LENGTH = 1_000
_TAKEN_BACK = frozenset({"needs_response", "under_review", "lost"})
_TIMEOUT_S = 30.0


class BooksUnreadableError(Exception):
    """The sandbox's books could not be read; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that the provider collected, by its own account. Amounts are in ISO 4217 minor units."""

    id: str
    reference: str
    """The Checkout Session on which it was paid, or the Payment Intent where a saved card was charged."""
    account: str
    payment_id: str
    """Our name of the payment that it was made for, as the provider was told."""
    amount: int
    currency: str
    created: int
    """Seconds since 1970, by the provider's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Money that the provider gave back, by its own account."""

    id: str
    account: str
    amount: int
    currency: str
    created: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderBooks:
    """All money that the provider collected, and all that it gave back."""

    charges: list[Charge]
    returned: list[Returned]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment that succeeded, with its place in the log."""

    account: str
    position: str
    event: PaymentSucceeded


async def read_books(sandbox_url: str, *, secret_key: str) -> ProviderBooks:
    """Every successful charge and refund in the sandbox's books. Raises BooksUnreadableError."""
    headers = {"Authorization": f"Bearer {secret_key}"} if secret_key else {}
    charges: list[Charge] = []
    entries: list[dict[str, Any]] = []
    after: int | None = 0
    try:
        async with httpx.AsyncClient(base_url=sandbox_url, timeout=_TIMEOUT_S, headers=headers) as client:
            while after is not None:
                response = await client.get("/_sandbox/books", params={"after": after, "limit": _PAGE_LENGTH})
                response.raise_for_status()
                page: dict[str, Any] = response.json()
                charges += [_charge(entry) for entry in page["entries"] if _is_money(entry)]
                entries += page["entries"]
                after = page["next_after"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AmountNotRepresentableError) as error:
        raise BooksUnreadableError(f"the books of the sandbox at {sandbox_url}: {error!r}") from error
    owners = {charge.id: charge.account for charge in charges}
    returned = [_returned(entry, owners) for entry in entries if _is_returned(entry)]
    return ProviderBooks(charges=charges, returned=returned)


def compare_payments(report: Report, paid: Iterable[Paid], charges: Iterable[Charge]) -> None:
    """Every payment that succeeded in the log has exactly one charge, of the same amount and account."""
    by_reference: dict[str, list[Charge]] = {}
    for charge in charges:
        by_reference.setdefault(charge.reference, []).append(charge)
    for payment in paid:
        event = payment.event
        if event.provider != PROVIDER:
            continue
        report.count(Check.CHARGED)
        found = by_reference.get(event.reference, [])
        expected = (event.amount.amount, event.amount.currency, payment.account)
        if [(charge.amount, charge.currency, charge.account) for charge in found] != [expected]:
            named = ", ".join(f"{charge.id} of {charge.amount} {charge.currency}" for charge in found) or "none"
            detail = (
                f"payment {event.payment_id} of {event.amount.amount} {event.amount.currency} "
                f"({event.reference}) has the charges: {named}"
            )
            report.fault(Check.CHARGED, key=payment.account, position=payment.position, detail=detail)


def compare_charges(
    report: Report, paid: Iterable[Paid], charges: Iterable[Charge], asked: frozenset[str], *, settled_before: int
) -> frozenset[str]:
    """Every charge has exactly one payment that succeeded; returns the ids of those of which it cannot be said yet.

    `settled_before` is a moment in seconds since 1970: word of a later charge may still be on its way. `asked` are the
    ids of the payments of which the log waits to hear the end: each may have one charge that the log has not heard of.
    """
    counts = Counter(payment.event.reference for payment in paid)
    on_their_way: set[str] = set()
    unanswered = set(asked)
    for charge in charges:
        count = counts[charge.reference]
        if count == 0 and (charge.created >= settled_before or charge.payment_id in unanswered):
            unanswered.discard(charge.payment_id)
            on_their_way.add(charge.id)
            continue
        report.count(Check.CHARGES)
        if count != 1:
            what = "no payment" if count == 0 else f"{count} payments"
            detail = (
                f"charge {charge.id} of {charge.amount} {charge.currency} ({charge.reference}) has {what} in the log"
            )
            report.fault(Check.CHARGES, key=charge.account, detail=detail)
    return frozenset(on_their_way)


def compare_cash(
    report: Report,
    held: Mapping[str, int],
    books: ProviderBooks,
    known: frozenset[str],
    awaited: frozenset[str],
    *,
    settled_before: int,
) -> None:
    """By currency, what our books say that the provider holds is what it collected less what it gave back.

    `held` is by currency, `known` are the references that the log names, `awaited` the ids of charges and refunds of
    which it waits to hear the end. Other money that the log does not know counts as soon as it is too old to be on its
    way.
    """
    cash: Counter[str] = Counter()
    for charge in books.charges:
        if charge.reference in known or (charge.id not in awaited and charge.created < settled_before):
            cash[charge.currency] += charge.amount
    for returned in books.returned:
        if returned.id in known or (returned.id not in awaited and returned.created < settled_before):
            cash[returned.currency] -= returned.amount
    for currency in sorted(cash.keys() | held.keys()):
        report.count(Check.CASH)
        if cash[currency] != held.get(currency, 0):
            detail = (
                f"the provider holds {cash[currency]} minor units of {currency}, our books say {held.get(currency, 0)}"
            )
            report.fault(Check.CASH, key="", detail=detail)


def _is_money(entry: Mapping[str, Any]) -> bool:
    return bool(entry["object"] == "charge" and entry["paid"] and entry["captured"])


def _is_returned(entry: Mapping[str, Any]) -> bool:
    """Refunds, and what banks took back for a dispute: at once, and until it is won. An inquiry takes nothing."""
    if entry["object"] == "dispute":
        return entry["status"] in _TAKEN_BACK
    return bool(entry["object"] == "refund" and entry["status"] == "succeeded")


def _returned(entry: Mapping[str, Any], owners: Mapping[str, str]) -> Returned:
    currency = str(entry["currency"]).upper()
    amount = int(entry["amount"])
    return Returned(
        id=str(entry["id"]),
        account=owners.get(str(entry["charge"]), ""),
        amount=from_stripe_amount(amount, currency) if currency in EXPONENTS else amount,
        currency=currency,
        created=int(entry["created"]),
    )


def _charge(entry: Mapping[str, Any]) -> Charge:
    currency = str(entry["currency"]).upper()
    amount = int(entry["amount_captured"])
    return Charge(
        id=str(entry["id"]),
        reference=str(entry["checkout_session"] or entry["payment_intent"] or ""),
        account=str((entry["metadata"] or {}).get("account", "")),
        payment_id=str((entry["metadata"] or {}).get("payment_id", "")),
        amount=from_stripe_amount(amount, currency) if currency in EXPONENTS else amount,
        currency=currency,
        created=int(entry["created"]),
    )
