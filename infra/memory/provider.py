"""A payment provider that lives in memory, for tests and simulations: the whole port, its bad days by switch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.disputes.commands import DisputeReport
from domain.disputes.state import OPEN_STATUSES, DisputeStatus
from domain.effects import (
    AnswerStatus,
    ChargeMethod,
    CloseCheckout,
    CreateCheckout,
    Effect,
    FetchPayment,
    ProviderAnswer,
    RefundAnswer,
    RefundAnswerStatus,
    RefundPayment,
)
from domain.ids import PaymentId, RefundId
from domain.payments.commands import ReportPayment
from domain.refunds.commands import AnswerRefund
from infra.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence
    from datetime import datetime

    from domain.money import Money

EVIDENCE_TIME = timedelta(days=7)
CALLS_KEPT = 10_000
_PAYABLE = frozenset({AnswerStatus.ACTION_REQUIRED, AnswerStatus.PROCESSING})


@dataclass(slots=True, kw_only=True)
class Collection:
    """Money to be collected, as the provider's books have it: on a page, or from a saved method."""

    reference: str
    payment_id: str
    account: str
    amount: Money
    save_method: bool = False
    status: AnswerStatus = AnswerStatus.ACTION_REQUIRED
    paid_at: datetime | None = None
    decline_reason: str | None = None
    hard: bool = False
    returned: int = 0
    """Minor units that were given back, or are on their way."""
    disputed: int = 0
    """Minor units that the customer's bank has taken."""

    def answer(self) -> ProviderAnswer:
        """What the provider says of it."""
        if self.status is AnswerStatus.SUCCEEDED:
            return ProviderAnswer(
                status=self.status,
                reference=self.reference,
                amount=self.amount,
                paid_at=self.paid_at,
                customer_reference=_customer_of(self.account) if self.save_method else None,
                method_reference=_method_of(self.account) if self.save_method else None,
                method_label="memory •••• 4242" if self.save_method else None,
            )
        is_open = self.status is AnswerStatus.ACTION_REQUIRED
        return ProviderAnswer(
            status=self.status,
            reference=self.reference,
            confirmation_url=f"https://provider.invalid/pay/{self.reference}" if is_open else None,
            decline_reason=self.decline_reason,
            hard=self.hard,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What the provider tells by itself: to whom it belongs, and the command that a verified webhook becomes."""

    report_id: str
    account: str
    command: ReportPayment | AnswerRefund


@dataclass(slots=True, kw_only=True)
class Method:
    """A saved means of payment, and what it does when it is charged; a test changes it."""

    customer_reference: str
    declines: str | None = None
    """The reason with which it declines, or None."""
    hard: bool = False
    authenticates: bool = False
    """Whether the customer has to confirm each charge."""


@dataclass(slots=True, kw_only=True)
class Refund:
    """Money given back, as the provider's books have it."""

    reference: str
    refund_id: str
    payment_reference: str
    amount: Money
    status: RefundAnswerStatus
    detail: str | None = None

    def answer(self) -> RefundAnswer:
        """What the provider says of it."""
        return RefundAnswer(status=self.status, reference=self.reference, detail=self.detail)


@dataclass(slots=True, kw_only=True)
class Dispute:
    """Money that the customer's bank took back, or only asks about, as the provider's books have it."""

    reference: str
    payment_reference: str
    payment_id: str
    amount: Money
    status: DisputeStatus
    is_inquiry: bool
    opened_at: datetime

    def report(self, at: datetime) -> DisputeReport:
        """What a webhook of this moment says of it."""
        return DisputeReport(
            reference=self.reference,
            status=self.status,
            is_inquiry=self.is_inquiry,
            amount=self.amount,
            reason="fraudulent",
            evidence_due_at=self.opened_at + EVIDENCE_TIME,
            opened_at=self.opened_at,
            told_at=at,
        )


@dataclass(slots=True, kw_only=True)
class MemoryProvider:
    """Implements `domain.ports.PaymentProvider`. `pages`, `charges` and `refunds` are its books, by reference."""

    name: str = "memory"
    now: Callable[[], datetime] = field(default_factory=lambda: SystemClock().now)
    """Tells whether the time of a charge is over."""
    refused_currencies: frozenset[str] = frozenset()
    """Requests in one of these are REFUSED."""
    drop_calls: int = 0
    """The next so many calls never arrive: nothing happens, the answer is UNKNOWN."""
    lose_answers: int = 0
    """The next so many calls do their work, and the answer is lost on its way: UNKNOWN."""
    refunds_become: RefundAnswerStatus = RefundAnswerStatus.SUCCEEDED
    """What new refunds are at first: SUCCEEDED, FAILED, or PENDING until `settle_refund`."""
    pages: dict[str, Collection] = field(default_factory=dict)
    charges: dict[str, Collection] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    _refused_refunds: set[str] = field(default_factory=set)
    methods: dict[str, Method] = field(default_factory=dict)
    """Saved by customers who paid on a page that saves."""
    calls: MutableSequence[Effect] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    """The newest calls that were made, in their order, whether they arrived or not."""
    tell: Callable[[Webhook], None] | None = None
    """Hears of whatever happens at the provider, as soon as it does; how long a webhook takes is not told here."""
    _told: int = 0
    _by_payment: dict[str, Collection] = field(default_factory=dict)

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """See the port. The same effect id gives the same page."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        if effect.amount.currency in self.refused_currencies:
            return self._deliver(_refused(f"{effect.amount.currency} is not supported"))
        reference = f"page-{effect.effect_id}"
        page = self.pages.get(reference)
        if page is None:
            page = Collection(
                reference=reference,
                payment_id=effect.payment_id,
                account=account,
                amount=effect.amount,
                save_method=effect.save_method,
            )
            self.pages[reference] = page
            self._by_payment.setdefault(page.payment_id, page)
        return self._deliver(
            ProviderAnswer(
                status=AnswerStatus.ACTION_REQUIRED,
                reference=reference,
                confirmation_url=f"https://provider.invalid/pay/{reference}",
            )
        )

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """See the port. The same effect id is charged once, and always has the answer that the books have now."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        charge = self.charges.get(f"charge-{effect.effect_id}")
        if charge is None and self.now() >= effect.expires_at:
            return self._deliver(ProviderAnswer(status=AnswerStatus.CLOSED, detail="the charge was not made"))
        charge = charge or self._charge(effect, account)
        return self._deliver(charge.answer() if charge else _refused("no such means of payment"))

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """See the port."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        found = self._find(effect.reference, effect.payment_id)
        return self._deliver(found.answer() if found else ProviderAnswer(status=AnswerStatus.CLOSED))

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """See the port."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        found = self._find(effect.reference, effect.payment_id)
        if found is None:
            return self._deliver(ProviderAnswer(status=AnswerStatus.CLOSED, reference=effect.reference))
        if found.status in {AnswerStatus.ACTION_REQUIRED, AnswerStatus.DECLINED}:
            found.status = AnswerStatus.CLOSED
            self._tell_of(found)
        return self._deliver(found.answer())

    async def refund(self, effect: RefundPayment, *, account: str) -> RefundAnswer:
        """See the port. The same effect id gives back once, and never more than is left of what was paid."""
        if self._drops(effect):
            return RefundAnswer(status=RefundAnswerStatus.UNKNOWN, detail="the call never arrived")
        answer = self._refund(effect)
        if self._loses():
            return RefundAnswer(status=RefundAnswerStatus.UNKNOWN, detail="the answer was lost")
        return answer

    async def close(self) -> None:
        """Nothing to release."""

    def pay(self, reference: str, at: datetime) -> ProviderAnswer:
        """Play the customer who pays at the page or confirms the charge; returns what a webhook would say."""
        found = self._of(reference)
        if found.status in _PAYABLE:
            found.status = AnswerStatus.SUCCEEDED
            found.paid_at = at
            if found.save_method:
                method = Method(customer_reference=_customer_of(found.account))
                self.methods.setdefault(_method_of(found.account), method)
            self._tell_of(found)
        return found.answer()

    def process(self, reference: str) -> ProviderAnswer:
        """Play the customer who pays by a means that takes its time."""
        found = self._of(reference)
        if found.status in _PAYABLE:
            found.status = AnswerStatus.PROCESSING
            self._tell_of(found)
        return found.answer()

    def decline(self, reference: str, reason: str, *, hard: bool = False) -> ProviderAnswer:
        """Play the customer whose card is declined. A page stays open for another card; a charge is over."""
        found = self._of(reference)
        if found.status not in _PAYABLE:
            return found.answer()
        if reference in self.charges:
            found.status, found.decline_reason, found.hard = AnswerStatus.DECLINED, reason, hard
        answer = ProviderAnswer(status=AnswerStatus.DECLINED, reference=reference, decline_reason=reason, hard=hard)
        self._tell_of(found, answer)
        return answer

    def settle_refund(self, reference: str, *, succeeds: bool) -> RefundAnswer:
        """Play the bank that carries a pending refund out, or cannot; returns what a webhook would say."""
        refund = self.refunds[reference]
        if refund.status is RefundAnswerStatus.PENDING:
            self._become(refund, RefundAnswerStatus.SUCCEEDED if succeeds else RefundAnswerStatus.FAILED)
            self._tell_of_refund(refund)
        return refund.answer()

    def bounce_refund(self, reference: str) -> RefundAnswer:
        """Play the bank that does not take a refund which had succeeded; returns what a webhook would say."""
        refund = self.refunds[reference]
        if refund.status is RefundAnswerStatus.SUCCEEDED:
            self._become(refund, RefundAnswerStatus.FAILED)
        return refund.answer()

    def dispute(self, payment_reference: str, at: datetime, *, is_inquiry: bool = False) -> DisputeReport | None:
        """Play the bank that takes the money back, or asks; returns what a webhook would say. None: nothing is left."""
        paid = self._of(payment_reference)
        left = paid.amount.amount - paid.returned
        if paid.status is not AnswerStatus.SUCCEEDED or paid.disputed or left <= 0:
            return None
        found = Dispute(
            reference=f"dispute-{len(self.disputes)}-{payment_reference}",
            payment_reference=payment_reference,
            payment_id=paid.payment_id,
            amount=replace(paid.amount, amount=left),
            status=DisputeStatus.NEEDS_RESPONSE,
            is_inquiry=is_inquiry,
            opened_at=at,
        )
        self.disputes[found.reference] = found
        paid.disputed = 0 if is_inquiry else left
        return found.report(at)

    def decide_dispute(self, reference: str, at: datetime, status: DisputeStatus) -> DisputeReport:
        """Play the bank that decides, once; returns what a webhook would say."""
        found = self.disputes[reference]
        if found.status in OPEN_STATUSES:
            found.status = DisputeStatus.CLOSED if found.is_inquiry and status not in OPEN_STATUSES else status
            if not found.is_inquiry and found.status not in {*OPEN_STATUSES, DisputeStatus.LOST}:
                self._of(found.payment_reference).disputed = 0
        return found.report(at)

    def _charge(self, effect: ChargeMethod, account: str) -> Collection | None:
        method = self.methods.get(effect.method_reference)
        if method is None or method.customer_reference != effect.customer_reference:
            return None
        charge = Collection(
            reference=f"charge-{effect.effect_id}", payment_id=effect.payment_id, account=account, amount=effect.amount
        )
        if method.declines is not None:
            charge.status, charge.decline_reason, charge.hard = AnswerStatus.DECLINED, method.declines, method.hard
        elif not method.authenticates:
            charge.status, charge.paid_at = AnswerStatus.SUCCEEDED, effect.created_at
        self.charges[charge.reference] = charge
        self._by_payment.setdefault(charge.payment_id, charge)
        self._tell_of(charge)
        return charge

    def _refund(self, effect: RefundPayment) -> RefundAnswer:
        known = self.refunds.get(effect.reference or f"refund-{effect.effect_id}")
        if known is not None:
            return known.answer()
        if effect.reference is not None:
            return RefundAnswer(status=RefundAnswerStatus.UNKNOWN, detail="no such refund")
        paid = self._find(effect.payment_reference, effect.payment_id)
        if paid is None or paid.status is not AnswerStatus.SUCCEEDED:
            return RefundAnswer(status=RefundAnswerStatus.FAILED, detail="the payment was not paid")
        left = paid.amount.amount - paid.returned - paid.disputed
        is_refused = effect.effect_id in self._refused_refunds  # a key keeps its answer, also when it was a refusal
        if is_refused or effect.amount.currency != paid.amount.currency or effect.amount.amount > left:
            self._refused_refunds.add(effect.effect_id)
            return RefundAnswer(status=RefundAnswerStatus.FAILED, detail="more than is left of the payment")
        refund = Refund(
            reference=f"refund-{effect.effect_id}",
            refund_id=effect.refund_id,
            payment_reference=paid.reference,
            amount=effect.amount,
            status=RefundAnswerStatus.PENDING,
        )
        paid.returned += effect.amount.amount
        self.refunds[refund.reference] = refund
        self._become(refund, self.refunds_become)
        self._tell_of_refund(refund)
        return refund.answer()

    def _become(self, refund: Refund, status: RefundAnswerStatus) -> None:
        refund.status = status
        if status is RefundAnswerStatus.FAILED:
            refund.detail = "the bank cannot credit the card"
            self._of(refund.payment_reference).returned -= refund.amount.amount

    def _drops(self, effect: Effect) -> bool:
        self.calls.append(effect)
        if self.drop_calls > 0:
            self.drop_calls -= 1
            return True
        return False

    def _loses(self) -> bool:
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return True
        return False

    def _deliver(self, answer: ProviderAnswer) -> ProviderAnswer:
        return _unknown("the answer was lost") if self._loses() else answer

    def _of(self, reference: str) -> Collection:
        found = self._find(reference, "")
        if found is None:
            raise KeyError(reference)
        return found

    def _find(self, reference: str | None, payment_id: str) -> Collection | None:
        if reference is not None:
            return self.pages.get(reference) or self.charges.get(reference)
        return self._by_payment.get(payment_id)

    def _tell_of(self, entry: Collection, answer: ProviderAnswer | None = None) -> None:
        """Tell how a payment stands. A webhook names no saved method: whoever wants to know it asks."""
        told = entry.answer() if answer is None else answer
        if self.tell is None or told.status is AnswerStatus.ACTION_REQUIRED:
            return
        bare = replace(told, customer_reference=None, method_reference=None, method_label=None)
        report = ReportPayment(
            payment_id=PaymentId(entry.payment_id), provider=self.name, report_id=self._next_report(), answer=bare
        )
        self.tell(Webhook(report_id=report.report_id, account=entry.account, command=report))

    def _tell_of_refund(self, refund: Refund) -> None:
        if self.tell is None:
            return
        told = AnswerRefund(refund_id=RefundId(refund.refund_id), effect_id=None, attempt=0, answer=refund.answer())
        account = self._of(refund.payment_reference).account
        self.tell(Webhook(report_id=self._next_report(), account=account, command=told))

    def _next_report(self) -> str:
        self._told += 1
        return f"event-{self._told}"


def _customer_of(account: str) -> str:
    return f"customer of {account}"


def _method_of(account: str) -> str:
    return f"method of {account}"


def _unknown(detail: str) -> ProviderAnswer:
    return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail=detail)


def _refused(detail: str) -> ProviderAnswer:
    return ProviderAnswer(status=AnswerStatus.REFUSED, detail=detail)
