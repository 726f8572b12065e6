"""What a provider's webhook says and we do not believe: in the log as refused, and seen as the command's outcome."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from domain.ids import derive
from tests.api.product import serving
from tests.api.test_webhooks import PATH, paid, signed
from tests.contracts.sandbox_kit import served

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.api.product import Product


async def _outcome(product: Product, http: httpx.AsyncClient, account: str, event: dict[str, Any]) -> dict[str, Any]:
    """Deliver the webhook; the problem by which its command was rejected."""
    body = json.dumps(event).encode()
    answer = await http.post(PATH, content=body, headers=signed(body))
    assert answer.status_code == 200, "whatever it says, it has arrived"
    webhook = f"webhook stripe {event['id']}"
    path = f"/v1/commands/{derive(account, webhook)}"
    found = await product.until(
        lambda: product.http.get(path, headers=product.headers(account)),
        lambda answer: answer.json().get("status") == "rejected",
    )
    problem: dict[str, Any] = found["problem"]
    return problem


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_total": 1}, "paid_amount_mismatch"),
        ({"amount_total": 10**12}, "paid_amount_mismatch"),
        ({"currency": "eur"}, "paid_amount_mismatch"),
        ({"id": "cs_of_another_page"}, "reference_mismatch"),
        ({"metadata": {"payment_id": "nobodys"}}, "payment_unknown"),
    ],
)
async def test_money_that_is_not_what_we_asked_for(product: Product, changes: dict[str, Any], code: str) -> None:
    account = product.account()
    order = (await product.order(await product.film(), account)).json()
    event = paid(order, account, order["payment"]["confirmation_url"].rpartition("/")[2])
    said = event["data"]["object"]
    said |= changes | {"metadata": {**said["metadata"], **changes.get("metadata", {})}}
    assert (await _outcome(product, product.http, account, event))["code"] == code
    kept = await product.http.get(f"/v1/orders/{order['id']}", headers=product.headers(account))
    assert kept.json()["status"] == "awaiting_payment"


async def test_a_dispute_about_other_money_than_was_paid(product: Product, data_dir: Path) -> None:
    account = product.account()
    order = (await product.order(await product.film(), account)).json()
    with served(data_dir) as sandbox:
        intent = sandbox.client.v1.payment_intents.create(
            {
                "amount": 999,
                "currency": "usd",
                "metadata": {"payment_id": order["payment"]["id"], "account": account},
            }
        )
        dispute = {
            "id": f"du_{uuid.uuid4().hex}",
            "object": "dispute",
            "status": "needs_response",
            "amount": 999,
            "currency": "jpy",
            "created": 1_800_000_000,
            "payment_intent": intent.id,
        }
        event = {
            "id": f"evt_{uuid.uuid4().hex}",
            "object": "event",
            "type": "charge.dispute.created",
            "created": 1_800_000_000,
            "data": {"object": dispute},
        }
        key = SecretStr(sandbox.settings.secret_key)
        asking = {"stripe_api_base": sandbox.settings.base_url, "stripe_secret_key": key}
        async with serving(product.settings.model_copy(update=asking)) as http:
            problem = await _outcome(product, http, account, event)
    assert problem["code"] == "dispute_invalid"
    assert problem["detail"].endswith("999 JPY of a payment of 9.99 USD.")
    disputes = await product.http.get(
        "/v1/admin/disputes", params={"account": account}, headers=product.headers("boss", "manager")
    )
    assert disputes.json()["items"] == []
