"""Names that the adapter, the webhooks and the sandbox agree on. Importing them does not load the SDK."""

from __future__ import annotations

PROVIDER = "stripe"
"""The provider's name in our API and in our log."""

API_VERSION = "2026-08-26.dahlia"
"""The version of Stripe's API that its published OpenAPI document describes, by which we are judged: requests are
pinned to it, and the sandbox answers in its shapes."""

SESSION_PREFIX = "cs_"
INTENT_PREFIX = "pi_"
"""How the names begin that we know payments by: checkout sessions, and charges of saved methods."""

KIND = "kind"
CHARGE = "charge"
"""Metadata that tells our charges of saved methods from the payment intents that Checkout makes for its pages."""

DISPUTE_PREFIX = "charge.dispute."

HANDLED_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
"""The types of webhooks that an endpoint at Stripe has to be subscribed to."""

SWEPT_EVENTS = ("refund.failed", *(name for name in HANDLED_EVENTS if name.startswith(DISPUTE_PREFIX)))
"""Those that tell what nobody asks for otherwise; Stripe lists its events of the last 30 days."""
