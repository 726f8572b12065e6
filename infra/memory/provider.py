"""A payment provider that lives in memory, for tests and simulations: the whole port, its bad days by switch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from domain.effects import AnswerStatus, CloseCheckout, CreateCheckout, FetchPayment, ProviderAnswer

if TYPE_CHECKING:
    from datetime import datetime

    from domain.money import Money


@dataclass(slots=True, kw_only=True)
class Page:
    """A page where a customer pays, as the provider's books have it."""

    reference: str
    payment_id: str
    account: str
    amount: Money
    save_method: bool
    status: AnswerStatus = AnswerStatus.ACTION_REQUIRED
    paid_at: datetime | None = None

    def answer(self) -> ProviderAnswer:
        """What the provider says of it."""
        if self.status is AnswerStatus.SUCCEEDED:
            return ProviderAnswer(
                status=self.status,
                reference=self.reference,
                amount=self.amount,
                paid_at=self.paid_at,
                customer_reference=f"customer of {self.account}" if self.save_method else None,
                method_reference=f"method of {self.account}" if self.save_method else None,
                method_label="memory •••• 4242" if self.save_method else None,
            )
        is_open = self.status is AnswerStatus.ACTION_REQUIRED
        return ProviderAnswer(
            status=self.status,
            reference=self.reference,
            confirmation_url=f"https://provider.invalid/pay/{self.reference}" if is_open else None,
        )


@dataclass(slots=True, kw_only=True)
class MemoryProvider:
    """Implements `domain.ports.PaymentProvider`. `pages` are its books, by reference."""

    name: str = "memory"
    refused_currencies: frozenset[str] = frozenset()
    """Requests in one of these are REFUSED."""
    drop_calls: int = 0
    """The next so many calls never arrive: nothing happens, the answer is UNKNOWN."""
    lose_answers: int = 0
    """The next so many calls do their work, and the answer is lost on its way: UNKNOWN."""
    pages: dict[str, Page] = field(default_factory=dict)
    calls: list[CreateCheckout | FetchPayment | CloseCheckout] = field(default_factory=list)
    """Every call that was made, in its order, whether it arrived or not."""

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """See the port. The same effect id gives the same page."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        if effect.amount.currency in self.refused_currencies:
            refusal = f"{effect.amount.currency} is not supported"
            return self._deliver(ProviderAnswer(status=AnswerStatus.REFUSED, detail=refusal))
        reference = f"page-{effect.effect_id}"
        page = self.pages.get(reference)
        if page is None:
            page = Page(
                reference=reference,
                payment_id=effect.payment_id,
                account=account,
                amount=effect.amount,
                save_method=effect.save_method,
            )
            self.pages[reference] = page
        return self._deliver(
            ProviderAnswer(
                status=AnswerStatus.ACTION_REQUIRED,
                reference=reference,
                confirmation_url=f"https://provider.invalid/pay/{reference}",
            )
        )

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """See the port."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        page = self._find(effect.reference, effect.payment_id)
        return self._deliver(page.answer() if page else ProviderAnswer(status=AnswerStatus.CLOSED))

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """See the port."""
        if self._drops(effect):
            return _unknown("the call never arrived")
        page = self._find(effect.reference, effect.payment_id)
        if page is None:
            return self._deliver(ProviderAnswer(status=AnswerStatus.CLOSED, reference=effect.reference))
        if page.status not in {AnswerStatus.SUCCEEDED, AnswerStatus.PROCESSING}:
            page.status = AnswerStatus.CLOSED
        return self._deliver(page.answer())

    async def close(self) -> None:
        """Nothing to release."""

    def pay(self, reference: str, at: datetime) -> ProviderAnswer:
        """Play the customer who pays at the page; returns what a webhook would say. A closed page cannot be paid."""
        page = self.pages[reference]
        if page.status is not AnswerStatus.CLOSED:
            page.status = AnswerStatus.SUCCEEDED
            page.paid_at = page.paid_at or at
        return page.answer()

    def process(self, reference: str) -> ProviderAnswer:
        """Play the customer who pays by a means that takes its time."""
        page = self.pages[reference]
        if page.status not in {AnswerStatus.CLOSED, AnswerStatus.SUCCEEDED}:
            page.status = AnswerStatus.PROCESSING
        return page.answer()

    def decline(self, reference: str, reason: str, *, hard: bool = False) -> ProviderAnswer:
        """Play the customer whose card is declined. The page stays open for another card."""
        page = self.pages[reference]
        if page.status in {AnswerStatus.CLOSED, AnswerStatus.SUCCEEDED}:
            return page.answer()
        return ProviderAnswer(status=AnswerStatus.DECLINED, reference=page.reference, decline_reason=reason, hard=hard)

    def _drops(self, effect: CreateCheckout | FetchPayment | CloseCheckout) -> bool:
        self.calls.append(effect)
        if self.drop_calls > 0:
            self.drop_calls -= 1
            return True
        return False

    def _deliver(self, answer: ProviderAnswer) -> ProviderAnswer:
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return _unknown("the answer was lost")
        return answer

    def _find(self, reference: str | None, payment_id: str) -> Page | None:
        if reference is not None:
            return self.pages.get(reference)
        return next((page for page in self.pages.values() if page.payment_id == payment_id), None)


def _unknown(detail: str) -> ProviderAnswer:
    return ProviderAnswer(status=AnswerStatus.UNKNOWN, detail=detail)
