"""Every address of the API and who may use it. A route that is not here fails a test."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from api.app import create_app
from infra.settings import Settings

SAMPLES = {"provider": "stripe", "account": "ada", "resource": "film:dune", "product_id": "dune", "code": "HALF"}
"""What stands for a name in an address where any will do; for all others, `1`."""

PUBLIC = [
    ("GET", "/v1/products"),
    ("GET", "/v1/products/{product_id}"),
    ("GET", "/v1/payment-providers"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
]
SIGNED = [("POST", "/v1/webhooks/{provider}")]
"""By the provider, on the bytes of the body."""
OWN = [
    ("POST", "/v1/quotes"),
    ("POST", "/v1/orders"),
    ("GET", "/v1/orders"),
    ("GET", "/v1/orders/{order_id}"),
    ("POST", "/v1/orders/{order_id}/cancel"),
    ("GET", "/v1/payments"),
    ("GET", "/v1/payments/{payment_id}"),
    ("POST", "/v1/payments/{payment_id}/refunds"),
    ("GET", "/v1/refunds"),
    ("GET", "/v1/refunds/{refund_id}"),
    ("GET", "/v1/payment-methods"),
    ("DELETE", "/v1/payment-methods/{method_id}"),
    ("GET", "/v1/subscriptions"),
    ("GET", "/v1/subscriptions/current"),
    ("GET", "/v1/subscriptions/{subscription_id}"),
    ("GET", "/v1/subscriptions/{subscription_id}/preview"),
    ("POST", "/v1/subscriptions/{subscription_id}/cancel"),
    ("POST", "/v1/subscriptions/{subscription_id}/pause"),
    ("POST", "/v1/subscriptions/{subscription_id}/resume"),
    ("POST", "/v1/subscriptions/{subscription_id}/change-plan"),
    ("POST", "/v1/trials"),
    ("GET", "/v1/entitlements"),
    ("GET", "/v1/entitlements/{resource}"),
    ("GET", "/v1/credits"),
    ("GET", "/v1/commands/{command_id}"),
]
EXPLAINED = [
    ("GET", "/v1/commands/{command_id}/explanation"),
    ("GET", "/v1/orders/{order_id}/explanation"),
    ("GET", "/v1/payments/{payment_id}/explanation"),
    ("GET", "/v1/refunds/{refund_id}/explanation"),
]
"""One's own, and for managers everybody's."""
MANAGED = [
    ("GET", "/v1/admin/products"),
    ("GET", "/v1/admin/products/{product_id}"),
    ("GET", "/v1/admin/products/{product_id}/history"),
    ("PUT", "/v1/admin/products/{product_id}"),
    ("POST", "/v1/admin/products/{product_id}/archive"),
    ("GET", "/v1/admin/months-discounts"),
    ("PUT", "/v1/admin/months-discounts"),
    ("GET", "/v1/admin/months-discounts/history"),
    ("GET", "/v1/admin/personal-discounts"),
    ("POST", "/v1/admin/accounts/{account}/personal-discounts"),
    ("POST", "/v1/admin/accounts/{account}/personal-discounts/{discount_id}/revoke"),
    ("GET", "/v1/admin/accounts/{account}/personal-discounts/{discount_id}/history"),
    ("GET", "/v1/admin/promo-codes"),
    ("PUT", "/v1/admin/promo-codes/{code}"),
    ("GET", "/v1/admin/promo-codes/{code}"),
    ("POST", "/v1/admin/promo-codes/{code}/archive"),
    ("GET", "/v1/admin/promo-codes/{code}/uses"),
    ("GET", "/v1/admin/promo-codes/{code}/history"),
    ("GET", "/v1/admin/orders"),
    ("GET", "/v1/admin/orders/{order_id}"),
    ("GET", "/v1/admin/orders/{order_id}/history"),
    ("GET", "/v1/admin/payments"),
    ("GET", "/v1/admin/payments/{payment_id}"),
    ("GET", "/v1/admin/payments/{payment_id}/history"),
    ("POST", "/v1/admin/payments/{payment_id}/refunds"),
    ("GET", "/v1/admin/refunds"),
    ("GET", "/v1/admin/refunds/{refund_id}"),
    ("GET", "/v1/admin/refunds/{refund_id}/history"),
    ("GET", "/v1/admin/subscriptions"),
    ("GET", "/v1/admin/subscriptions/{subscription_id}"),
    ("GET", "/v1/admin/subscriptions/{subscription_id}/history"),
    ("POST", "/v1/admin/subscriptions/{subscription_id}/extend"),
    ("POST", "/v1/admin/subscriptions/{subscription_id}/cancel"),
    ("POST", "/v1/admin/subscriptions/{subscription_id}/migrate"),
    ("GET", "/v1/admin/accounts/{account}/credits"),
    ("POST", "/v1/admin/accounts/{account}/credits"),
    ("POST", "/v1/admin/accounts/{account}/credits/take-back"),
    ("GET", "/v1/admin/grants"),
    ("POST", "/v1/admin/accounts/{account}/grants"),
    ("POST", "/v1/admin/accounts/{account}/grants/{resource}/revoke"),
    ("GET", "/v1/admin/accounts/{account}/grants/{resource}/history"),
    ("GET", "/v1/admin/disputes"),
    ("GET", "/v1/admin/disputes/{dispute_id}"),
    ("GET", "/v1/admin/ledger/balances"),
    ("GET", "/v1/admin/ledger/entries"),
    ("GET", "/v1/admin/reports/revenue"),
    ("GET", "/v1/admin/reports/subscriptions"),
    ("GET", "/v1/admin/reports/dunning"),
    ("GET", "/v1/admin/overdue"),
    ("POST", "/v1/admin/overdue/{overdue_id}/resume"),
    ("GET", "/v1/admin/dead-letters"),
    ("GET", "/v1/admin/provider-health"),
]


@cache
def document() -> dict[str, Any]:
    """What OpenAPI says."""
    return create_app(Settings(_env_file=None)).openapi()


def address(path: str, **names: str) -> str:
    """The path with names in it."""
    return re.sub(r"{(\w+)(?::path)?}", lambda found: (SAMPLES | names).get(found[1], "1"), path)


KNOWN = PUBLIC + SIGNED + OWN + EXPLAINED + MANAGED
GUARDED = [(method, address(path)) for method, path in OWN + EXPLAINED + MANAGED]
STAFF = [(method, address(path)) for method, path in MANAGED]
COMMANDS = [
    (method, address(path))
    for method, path in OWN + MANAGED
    if method != "GET" and (method, path) != ("POST", "/v1/quotes")
]
"""What changes something, and so happens once for a key."""
