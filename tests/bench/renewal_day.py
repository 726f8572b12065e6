"""The work of a renewal day: a plan on sale, customers who bought it and saved a card, and the provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from domain.calendar import Period, PeriodUnit
from domain.catalog.commands import DefineProduct
from domain.catalog.state import Price, ProductKind
from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import CommandId, EffectId, PaymentId, PriceId, ProductId, derive, product_key
from domain.money import Money
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from schemas.envelope import new_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.envelope import CommandRecord

PLAN = ProductId("monthly")
PRICE = Price(
    id=PriceId("monthly:usd"), amount=Money(amount=999, currency="USD"), period=Period(count=1, unit=PeriodUnit.MONTH)
)
COMMANDS_PER_ACCOUNT = 3
PROVIDER = "stripe"
TIMEOUT_S = 30.0


def account_of(number: int) -> str:
    """The account of the n-th customer."""
    return f"renewal-{number}"


def catalogue_command() -> CommandRecord:
    """The command that puts the plan on sale."""
    return new_command(
        command_id=CommandId(derive(PLAN, "define")),
        key=product_key(PLAN),
        time=datetime.now(UTC),
        source="bench",
        actor="bench",
        data=DefineProduct(
            product_id=PLAN, kind=ProductKind.SUBSCRIPTION, title="Monthly", role="all", prices=(PRICE,)
        ),
    )


def purchases(count: int, customer: str, method: str, now: datetime) -> Iterator[CommandRecord]:
    """Every customer orders the plan, gets a page and pays on it, saving the card; no provider is asked for that."""
    for number in range(count):
        account = account_of(number)
        order = CommandId(derive(account, "order"))
        payment = PaymentId(derive(order, "payment"))
        page = f"cs_bench_{number}"
        said: tuple[Any, ...] = (
            PlaceOrder(items=(OrderItem(price_id=PRICE.id),), provider=PROVIDER),
            AnswerCall(
                payment_id=payment,
                effect_id=EffectId(derive(payment, "checkout")),
                attempt=1,
                answer=ProviderAnswer(
                    status=AnswerStatus.ACTION_REQUIRED, reference=page, confirmation_url="https://pay.example/page"
                ),
            ),
            ReportPayment(
                payment_id=payment,
                provider=PROVIDER,
                report_id=f"evt_bench_{number}",
                answer=ProviderAnswer(
                    status=AnswerStatus.SUCCEEDED,
                    reference=page,
                    amount=PRICE.amount,
                    paid_at=now,
                    customer_reference=customer,
                    method_reference=method,
                    method_label="visa •••• 4242",
                ),
            ),
        )
        for step, data in enumerate(said):
            yield new_command(
                command_id=order if step == 0 else CommandId(derive(account, f"step {step}")),
                key=account,
                time=now,
                source="bench",
                actor=f"user:{account}",
                data=data,
            )


class Sandbox:
    """The sandbox as its users see it: Stripe's API, and its books."""

    def __init__(self, base_url: str, secret_key: str) -> None:
        self._http = httpx.Client(
            base_url=base_url, headers={"authorization": f"Bearer {secret_key}"}, timeout=TIMEOUT_S
        )

    def close(self) -> None:
        """Release connections."""
        self._http.close()

    def _post(self, path: str, **fields: str) -> Any:
        answer = self._http.post(path, data=fields)
        assert answer.is_success, answer.text
        return answer.json()

    def save_card(self) -> tuple[str, str]:
        """Make a customer with a saved card, by Stripe's API; return both references."""
        customer = self._post("/v1/customers", email="renewals@example.com")["id"]
        method = self._post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"]
        return customer, method

    def send_no_webhooks(self) -> None:
        """Switch the endpoints off: there is no API here that would take what they tell."""
        for endpoint in self._http.get("/v1/webhook_endpoints").json()["data"]:
            self._post(f"/v1/webhook_endpoints/{endpoint['id']}", disabled="true")

    def charged(self) -> list[tuple[str, int]]:
        """Account and amount of every charge in the books that was paid."""
        found: list[tuple[str, int]] = []
        after: int | None = 0
        while after is not None:
            page = self._http.get("/_sandbox/books", params={"after": after, "limit": 1_000}).json()
            found += [
                (entry["metadata"]["account"], entry["amount"])
                for entry in page["entries"]
                if entry["object"] == "charge" and entry["paid"]
            ]
            after = page["next_after"]
        return found
