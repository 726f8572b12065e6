"""Which handler answers which call of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.sandbox import (
    charges,
    checkout,
    customers,
    disputes,
    events,
    payment_intents,
    refunds,
    setup_intents,
)

if TYPE_CHECKING:
    from infra.sandbox.requests import Handler

ROUTES: list[tuple[str, str, Handler]] = [
    ("POST", "/v1/customers", customers.create_customer),
    ("GET", "/v1/customers", customers.list_customers),
    ("GET", "/v1/customers/{customer}", customers.retrieve_customer),
    ("POST", "/v1/customers/{customer}", customers.update_customer),
    ("DELETE", "/v1/customers/{customer}", customers.delete_customer),
    ("GET", "/v1/customers/{customer}/payment_methods", customers.list_payment_methods),
    ("GET", "/v1/customers/{customer}/payment_methods/{payment_method}", customers.retrieve_payment_method),
    ("POST", "/v1/payment_methods", customers.create_payment_method),
    ("GET", "/v1/payment_methods", customers.list_payment_methods),
    ("GET", "/v1/payment_methods/{payment_method}", customers.retrieve_payment_method),
    ("POST", "/v1/payment_methods/{payment_method}", customers.update_payment_method),
    ("POST", "/v1/payment_methods/{payment_method}/attach", customers.attach_payment_method),
    ("POST", "/v1/payment_methods/{payment_method}/detach", customers.detach_payment_method),
    ("POST", "/v1/setup_intents", setup_intents.create),
    ("GET", "/v1/setup_intents", setup_intents.list_intents),
    ("GET", "/v1/setup_intents/{intent}", charges.retriever("setup_intent", "intent")),
    ("POST", "/v1/setup_intents/{intent}/confirm", setup_intents.confirm),
    ("POST", "/v1/setup_intents/{intent}/cancel", setup_intents.cancel),
    ("POST", "/v1/payment_intents", payment_intents.create),
    ("GET", "/v1/payment_intents", payment_intents.list_intents),
    ("GET", "/v1/payment_intents/search", payment_intents.search),
    ("GET", "/v1/payment_intents/{intent}", payment_intents.retrieve),
    ("POST", "/v1/payment_intents/{intent}", payment_intents.update),
    ("POST", "/v1/payment_intents/{intent}/confirm", payment_intents.confirm),
    ("POST", "/v1/payment_intents/{intent}/capture", payment_intents.capture),
    ("POST", "/v1/payment_intents/{intent}/cancel", payment_intents.cancel),
    ("POST", "/v1/checkout/sessions", checkout.create),
    ("GET", "/v1/checkout/sessions", checkout.list_sessions),
    ("GET", "/v1/checkout/sessions/{session}", checkout.retrieve),
    ("POST", "/v1/checkout/sessions/{session}", checkout.update),
    ("GET", "/v1/checkout/sessions/{session}/line_items", checkout.line_items),
    ("POST", "/v1/checkout/sessions/{session}/expire", checkout.expire),
    ("GET", "/v1/charges", charges.list_charges),
    ("GET", "/v1/charges/{charge}", charges.retriever("charge", "charge")),
    ("POST", "/v1/charges/{charge}", charges.update_charge),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.list_refunds),
    ("GET", "/v1/refunds/{refund}", charges.retriever("refund", "refund")),
    ("POST", "/v1/refunds/{refund}", refunds.update),
    ("POST", "/v1/refunds/{refund}/cancel", refunds.cancel),
    ("GET", "/v1/disputes", disputes.list_disputes),
    ("GET", "/v1/disputes/{dispute}", charges.retriever("dispute", "dispute")),
    ("POST", "/v1/disputes/{dispute}", disputes.update_dispute),
    ("POST", "/v1/disputes/{dispute}/close", disputes.close),
    ("GET", "/v1/balance_transactions", charges.list_balance_transactions),
    ("GET", "/v1/balance_transactions/{transaction}", charges.retriever("balance_transaction", "transaction")),
    ("GET", "/v1/events", events.list_events),
    ("GET", "/v1/events/{event}", events.retrieve),
    ("POST", "/v1/webhook_endpoints", events.create_endpoint),
    ("GET", "/v1/webhook_endpoints", events.list_endpoints),
    ("GET", "/v1/webhook_endpoints/{endpoint}", charges.retriever("webhook_endpoint", "endpoint")),
    ("POST", "/v1/webhook_endpoints/{endpoint}", events.update_endpoint),
    ("DELETE", "/v1/webhook_endpoints/{endpoint}", events.delete_endpoint),
]


class Router:
    """Finds the handler of a call by the number and the text of its path's parts; literal parts win over names."""

    def __init__(self, routes: list[tuple[str, str, Handler]]) -> None:
        self._routes: dict[tuple[str, int], list[tuple[list[str], str, Handler]]] = {}
        for method, pattern, handler in routes:
            parts = pattern.strip("/").split("/")
            self._routes.setdefault((method, len(parts)), []).append((parts, pattern, handler))

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str], str] | None:
        """The handler, the names in the path, and the pattern; None where there is no such call."""
        parts = path.strip("/").split("/")
        for wanted, pattern, handler in self._routes.get((method, len(parts)), []):
            names: dict[str, str] = {}
            for part, given in zip(wanted, parts, strict=True):
                if part.startswith("{"):
                    names[part[1:-1]] = given
                elif part != given:
                    break
            else:
                return handler, names, pattern
        return None
