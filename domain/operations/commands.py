"""What people who look after the system ask of an account."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOverdue:
    """Go on with one thing that waits too long: a payment, refund, subscription, order, or a resource of the account.

    What had no answer is asked again under the idempotency key that it had, and what is due is done. Where nothing
    waits any more, nothing happens.
    """

    subject: str
    """The id of the payment, refund, subscription or order, or the resource."""


OperationsCommand = ResumeOverdue
