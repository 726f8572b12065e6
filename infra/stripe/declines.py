"""Stripe's decline codes in two kinds: those that another try may overcome, and those that it never will."""

from __future__ import annotations

from collections.abc import Mapping

HARD_DECLINES = frozenset(
    {
        "expired_card",
        "fraudulent",
        "incorrect_number",
        "invalid_account",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "no_action_taken",
        "not_permitted",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "stolen_card",
        "stop_payment_order",
        "transaction_not_allowed",
    }
)
"""After these the same card stays declined (https://docs.stripe.com/declines/codes): retrying costs trust and fees."""

NEVER_AGAIN = "do_not_try_again"
"""Stripe's own advice, which stands above any list."""

REASON_LENGTH_MAX = 100


def reason_of(error: object) -> tuple[str, bool]:
    """Reason and hardness of the JSON of a `last_payment_error`; anything unreadable is a plain soft decline."""
    if not isinstance(error, Mapping):
        return "declined", False
    for field in ("decline_code", "code", "type"):
        reason = error.get(field)
        if isinstance(reason, str) and reason:
            return reason[:REASON_LENGTH_MAX], reason in HARD_DECLINES or error.get("advice_code") == NEVER_AGAIN
    return "declined", False
