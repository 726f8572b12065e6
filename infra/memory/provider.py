"""A payment provider that lives in memory, for tests and simulations: the whole port, its bad days by switch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from domain.disputes.commands import ReportDispute
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
from domain.ids import AccountId, PaymentId, RefundId
from domain.payments.commands import ReportPayment
from domain.refunds.commands import AnswerRefund
from domain.reports import ProviderReport, ReportPage
from infra.clock import SystemClock
from infra.memory.books import Collection, Dispute, Method, Refund, customer_of, method_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSequence
    from datetime import datetime, timedelta

    from domain.disputes.commands import DisputeReport

CALLS_KEPT = 10_000
_PAYABLE = frozenset({AnswerStatus.ACTION_REQUIRED, AnswerStatus.PROCESSING})


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
    deny_refunds: int = 0
    """The next so many refunds are carried out, and their calls refused all the same."""
    pages: dict[str, Collection] = field(default_factory=dict)
    charges: dict[str, Collection] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    disputes: dict[str, Dispute] = field(default_factory=dict)
    _refused_refunds: set[str] = field(default_factory=set)
    methods: dict[str, Method] = field(default_factory=dict)
    """Saved by customers who paid on a page that saves."""
    calls: MutableSequence[Effect] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    """The newest calls that were made, in their order, whether they arrived or not."""
    tell: Callable[[ProviderReport], None] | None = None
    """Hears of whatever happens at the provider, as soon as it does; how long a webhook takes is not told here."""
    reports_kept: timedelta | None = None
    """How long `reports` knows what was told; None: for ever."""
    reports_a_page: int = 100
    _reports: deque[tuple[datetime, ProviderReport]] = field(default_factory=deque)
    """The newest last."""
    _told: int = 0
    _by_payment: dict[str, Collection] = field(default_factory=dict)

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """See the port. The same effect id gives the same page, and after its time tells how that stands."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        if effect.amount.currency in self.refused_currencies:
            return self._deliver(_refused(f"{effect.amount.currency} is not supported"))
        reference = f"page-{effect.effect_id}"
        page = self.pages.get(reference)
        if self.now() >= effect.expires_at:
            return self._deliver(page.answer() if page else _refused("too late to open a page"))
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

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        """See the port."""
        if self.drop_calls > 0:
            self.drop_calls -= 1
            return ReportPage(trouble="the call never arrived")
        self._forget()
        newest_first = (report for at, report in reversed(self._reports) if since is None or at >= since)
        first = int(cursor or 0)
        behind = first + self.reports_a_page
        found = tuple(islice(newest_first, first, behind + 1))
        if self._loses():
            return ReportPage(trouble="the answer was lost")
        has_more = len(found) > self.reports_a_page
        return ReportPage(reports=found[: self.reports_a_page], next_cursor=str(behind) if has_more else None)

    async def close(self) -> None:
        """Nothing to release."""

    def pay(self, reference: str, at: datetime) -> ProviderAnswer:
        """Play the customer who pays at the page or confirms the charge; returns what a webhook would say."""
        found = self._of(reference)
        if found.status in _PAYABLE:
            found.status = AnswerStatus.SUCCEEDED
            found.paid_at = at
            if found.save_method:
                method = Method(customer_reference=customer_of(found.account))
                self.methods.setdefault(method_of(found.account), method)
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

    def bounce_refund(self, reference: str, at: datetime) -> RefundAnswer:
        """Play the bank that does not take a refund which had succeeded; returns what a webhook would say."""
        refund = self.refunds[reference]
        if refund.status is RefundAnswerStatus.SUCCEEDED:
            self._become(refund, RefundAnswerStatus.FAILED)
            self._keep(at, self._tell_of_refund(refund))
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
        return self._tell_of_dispute(found, at)

    def decide_dispute(self, reference: str, at: datetime, status: DisputeStatus) -> DisputeReport:
        """Play the bank that decides, once; returns what a webhook would say."""
        found = self.disputes[reference]
        if found.status in OPEN_STATUSES and found.status is not status:
            found.status = DisputeStatus.CLOSED if found.is_inquiry and status not in OPEN_STATUSES else status
            if not found.is_inquiry and found.status not in {*OPEN_STATUSES, DisputeStatus.LOST}:
                self._of(found.payment_reference).disputed = 0
            return self._tell_of_dispute(found, at)
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
        if self.deny_refunds > 0:
            self.deny_refunds -= 1
            return RefundAnswer(status=RefundAnswerStatus.FAILED, detail="the call was refused")
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
        if told.status is AnswerStatus.ACTION_REQUIRED:
            return
        bare = replace(told, customer_reference=None, method_reference=None, method_label=None)
        payment_id, report_id = PaymentId(entry.payment_id), self._next_report()
        command = ReportPayment(payment_id=payment_id, provider=self.name, report_id=report_id, answer=bare)
        self._tell(entry.account, report_id, command)

    def _tell_of_refund(self, refund: Refund) -> ProviderReport:
        told = AnswerRefund(refund_id=RefundId(refund.refund_id), effect_id=None, attempt=0, answer=refund.answer())
        return self._tell(self._of(refund.payment_reference).account, self._next_report(), told)

    def _tell_of_dispute(self, dispute: Dispute, at: datetime) -> DisputeReport:
        said, report_id = dispute.report(at), self._next_report()
        payment_id = PaymentId(dispute.payment_id)
        command = ReportDispute(payment_id=payment_id, provider=self.name, report_id=report_id, dispute=said)
        self._keep(at, self._tell(self._of(dispute.payment_reference).account, report_id, command))
        return said

    def _tell(
        self, account: str, report_id: str, command: ReportPayment | AnswerRefund | ReportDispute
    ) -> ProviderReport:
        report = ProviderReport(account=AccountId(account), report_id=report_id, command=command)
        if self.tell is not None:
            self.tell(report)
        return report

    def _keep(self, at: datetime, report: ProviderReport) -> None:
        self._reports.append((at, report))
        self._forget()

    def _forget(self) -> None:
        """Forget what was told too long ago."""
        if self.reports_kept is not None:
            oldest = self.now() - self.reports_kept
            while self._reports and self._reports[0][0] < oldest:
                self._reports.popleft()

    def _next_report(self) -> str:
        self._told += 1
        return f"event-{self._told}"


def _unknown(detail: str) -> ProviderAnswer:
    return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail=detail)


def _refused(detail: str) -> ProviderAnswer:
    return ProviderAnswer(status=AnswerStatus.REFUSED, detail=detail)
