"""A small log made by the real deciders, without a broker: for judging the judges (audit and verifier).

It is written by hand from the contract of the wire, not by the engine, so that what reads logs is tested against the
contract and not against the engine's own idea of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.account.decider import decide
from domain.account.evolve import evolve
from domain.account.state import INITIAL, Account
from domain.calendar import Period, PeriodUnit
from domain.catalog import entries
from domain.catalog.state import Offer, Price, Product, ProductKind
from domain.decider import Command
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.errors import DomainError
from domain.ids import CommandId, PriceId, ProductId, RefundId, derive
from domain.money import Money
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from domain.pricing.state import PromoCode
from domain.refunds.commands import AnswerRefund, RequestRefund
from infra.kafka.log_reader import LogRecord, partition_of
from schemas.codec import encode, type_of
from schemas.envelope import CHAIN_START, chain, headers_of_type, timestamp
from schemas.messages import CommandAccepted, CommandRejected

PARTITIONS = 4
BEGIN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

FILM = Product(
    id=ProductId("solaris"),
    kind=ProductKind.FILM,
    title="Solaris",
    prices={PriceId("solaris:eur"): Price(id=PriceId("solaris:eur"), amount=Money(amount=499, currency="EUR"))},
)
PLAN = Product(
    id=ProductId("premium"),
    kind=ProductKind.SUBSCRIPTION,
    title="Premium",
    role="premium",
    prices={
        PriceId("premium:month"): Price(
            id=PriceId("premium:month"),
            amount=Money(amount=999, currency="USD"),
            period=Period(count=1, unit=PeriodUnit.MONTH),
        )
    },
)
OFFERS = {
    price.id: Offer(product=product, price=price) for product in (FILM, PLAN) for price in product.prices.values()
}
OTHER_PLANS = {
    price.id: Offer(product=product, price=price)
    for product, price in (
        (
            Product(id=ProductId(name), kind=ProductKind.SUBSCRIPTION, title=name.title(), role=name),
            Price(
                id=PriceId(price_id),
                amount=Money(amount=amount, currency="USD"),
                period=Period(count=1, unit=PeriodUnit.MONTH),
                trial_days=trial_days,
            ),
        )
        for name, price_id, amount, trial_days in (
            ("basic", "basic:month", 499, None),
            ("arthouse", "arthouse:month", 700, 14),
            ("premium", "premium:new", 1299, None),
            ("premium", "premium:newer", 1499, None),
        )
    )
}
"""Plans to change to, to try and to be migrated to; nobody orders them."""

PROMOS = {
    "TEN": PromoCode(code="TEN", basis_points=1000),
    "FIRST": PromoCode(code="FIRST", basis_points=5000, uses_max=10),
}
"""Of the second one, its own key counts the uses."""


@dataclass(slots=True)
class SampleLog:
    """Records as a broker would hand them out, and the provider's books that belong to them."""

    records: list[LogRecord] = field(default_factory=list)
    charges: list[dict[str, Any]] = field(default_factory=list)
    refunds: list[dict[str, Any]] = field(default_factory=list)
    accounts: dict[str, Account] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    now: datetime = BEGIN
    commands: int = 0

    def do(self, account: str, data: Any, name: str | None = None) -> CommandId:
        """Decide a command of the account and append what follows from it; the command's id."""
        self.commands += 1
        self.now += timedelta(seconds=1)
        command_id = CommandId(derive(account, name or f"command {self.commands}"))
        before = self.accounts.get(account, INITIAL)
        named = data.promo_code if isinstance(data, PlaceOrder) else None
        command = Command(
            id=command_id,
            key=account,
            at=self.now,
            actor=f"user:{account}",
            data=data,
            prices=OFFERS | OTHER_PLANS,
            promo_code=None if named is None else PROMOS.get(named),
        )
        events: tuple[Any, ...]
        outcome: CommandAccepted | CommandRejected
        try:
            events = decide(before, command)
        except DomainError as error:
            events, outcome = (), self._rejected(data, error)
        else:
            outcome = CommandAccepted(command_type=type_of(data), body_hash=None, resources={})
        after = before
        for event in events:
            after = evolve(after, event)
        self.accounts[account] = after
        for index, told in enumerate((*events, outcome)):
            self._append(account, command_id, index, told)
        return command_id

    def define(self, data: entries.EntryCommand) -> None:
        """Decide a command of the catalogue, which must be accepted, and append what follows from it."""
        key = entries.key_of(data)
        assert key is not None
        self.commands += 1
        self.now += timedelta(seconds=1)
        command = Command(
            id=CommandId(derive(key, f"command {self.commands}")), key=key, at=self.now, actor="manager:bob", data=data
        )
        events = entries.decide(entries.initial(key), command)
        for index, told in enumerate(
            (*events, CommandAccepted(command_type=type_of(data), body_hash=None, resources={}))
        ):
            self._append(key, command.id, index, told)

    def buy(self, account: str, price_id: str = "solaris:eur") -> str:
        """Place an order, open its page, pay it at the provider and hear of it; the order's id."""
        placed = self.do(account, PlaceOrder(items=(OrderItem(price_id=PriceId(price_id)),), provider="stripe"))
        order_id = derive(placed, "order")
        self.open_page(account, order_id)
        self.pay(account, order_id)
        return order_id

    def open_page(self, account: str, order_id: str) -> None:
        """The gateway answers the call that creates the checkout."""
        payment = self._payment(account, order_id)
        assert payment.call is not None
        answer = ProviderAnswer(
            status=AnswerStatus.ACTION_REQUIRED,
            reference=f"cs_{payment.id}",
            confirmation_url=f"http://pay.example/{payment.id}",
        )
        effect_id = payment.call.effect_id
        self.do(account, AnswerCall(payment_id=payment.id, effect_id=effect_id, attempt=1, answer=answer))

    def pay(self, account: str, order_id: str) -> None:
        """The customer pays at the provider, and the webhook tells."""
        payment = self._payment(account, order_id)
        self.charges.append(
            {
                "reference": f"cs_{payment.id}",
                "payment_id": payment.id,
                "amount": payment.amount.amount,
                "currency": payment.amount.currency,
            }
        )
        answer = ProviderAnswer(
            status=AnswerStatus.SUCCEEDED,
            reference=f"cs_{payment.id}",
            amount=payment.amount,
            paid_at=self.now,
            customer_reference="cus_1",
            method_reference="pm_1",
            method_label="visa •••• 4242",
        )
        report_id = f"evt_{payment.id}"
        self.do(account, ReportPayment(payment_id=payment.id, provider="stripe", report_id=report_id, answer=answer))

    def refund(self, account: str, order_id: str) -> None:
        """The customer asks for all of the money back, and the provider gives it."""
        payment = self._payment(account, order_id)
        asked = self.do(account, RequestRefund(payment_id=payment.id))
        refund = self.accounts[account].refunds[RefundId(derive(asked, f"refund {payment.id}"))]
        assert refund.call is not None
        answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference=f"re_{refund.id}")
        self.refunds.append(
            {"reference": f"re_{refund.id}", "amount": refund.amount.amount, "currency": refund.amount.currency}
        )
        effect_id, attempt = refund.call.effect_id, refund.call.attempt
        self.do(account, AnswerRefund(refund_id=refund.id, effect_id=effect_id, attempt=attempt, answer=answer))

    def cancel(self, account: str, order_id: str) -> None:
        """The customer gives the order up."""
        self.do(account, CancelOrder(order_id=self._order_id(account, order_id)))

    def _order_id(self, account: str, order_id: str) -> Any:
        return next((found for found in self.accounts[account].orders if found == order_id), order_id)

    def _payment(self, account: str, order_id: str) -> Any:
        state = self.accounts[account]
        return state.payments[state.orders[self._order_id(account, order_id)].payment_id]

    def _rejected(self, data: Any, error: DomainError) -> CommandRejected:
        return CommandRejected(
            command_type=type_of(data), body_hash=None, code=error.code, detail=error.detail, facts=error.facts
        )

    def _append(self, account: str, command_id: CommandId, index: int, event: Any) -> None:
        body, wire_type, moment = encode(event), type_of(event), timestamp(self.now)
        event_id = derive(command_id, f"event {index}").encode()
        sequence = self.sequences[account] = self.sequences.get(account, 0) + 1
        chain_hash = chain(self.chains.get(account, CHAIN_START), event_id, wire_type.encode(), moment, body)
        self.chains[account] = chain_hash
        partition = partition_of(account.encode(), PARTITIONS)
        self.records.append(
            LogRecord(
                partition=partition,
                offset=len(self.records) + self.commands,
                timestamp_ms=int(self.now.timestamp() * 1000),
                key=account.encode(),
                value=body,
                headers=(
                    *headers_of_type(wire_type),
                    ("ce_id", event_id),
                    ("ce_source", b"billing/engine"),
                    ("ce_subject", account.encode()),
                    ("ce_time", moment),
                    ("command_id", command_id.encode()),
                    ("correlation_id", command_id.encode()),
                    ("causation_id", command_id.encode()),
                    ("actor", f"user:{account}".encode()),
                    ("sequence", str(sequence).encode()),
                    ("chain_hash", chain_hash.encode()),
                    ("command_offset", str(self.commands).encode()),
                ),
            )
        )
