"""The way to the provider in memory, with all that a network does to calls: late, lost, answered to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.reports import ReportPage
from infra.memory.weather import GOOD_WEATHER, Weather

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime
    from typing import Any

    from domain.effects import ChargeMethod, CloseCheckout, CreateCheckout, FetchPayment, RefundPayment
    from infra.memory.provider import MemoryProvider

Answer = TypeVar("Answer", ProviderAnswer, RefundAnswer, ReportPage)
_UNKNOWN = ProviderAnswer(status=AnswerStatus.UNKNOWN, detail="the network")
_NO_PAGE = ReportPage(trouble="the network")
_UNKNOWN_REFUND = RefundAnswer(status=RefundAnswerStatus.UNKNOWN, detail="the network")


class MemoryConnection:
    """Implements `domain.ports.PaymentProvider` for one process; the books are those of the provider behind it."""

    def __init__(self, provider: MemoryProvider, weather: Weather = GOOD_WEATHER) -> None:
        self._provider = provider
        self._weather = weather

    @property
    def name(self) -> str:
        """See the port."""
        return self._provider.name

    async def create_checkout(self, effect: CreateCheckout, *, account: str) -> ProviderAnswer:
        """See the port."""
        return await self._call("create_checkout", self._provider.create_checkout(effect, account=account), _UNKNOWN)

    async def charge(self, effect: ChargeMethod, *, account: str) -> ProviderAnswer:
        """See the port."""
        return await self._call("charge", self._provider.charge(effect, account=account), _UNKNOWN)

    async def fetch(self, effect: FetchPayment, *, account: str) -> ProviderAnswer:
        """See the port."""
        return await self._call("fetch", self._provider.fetch(effect, account=account), _UNKNOWN)

    async def close_checkout(self, effect: CloseCheckout, *, account: str) -> ProviderAnswer:
        """See the port."""
        return await self._call("close_checkout", self._provider.close_checkout(effect, account=account), _UNKNOWN)

    async def refund(self, effect: RefundPayment, *, account: str) -> RefundAnswer:
        """See the port."""
        return await self._call("refund", self._provider.refund(effect, account=account), _UNKNOWN_REFUND)

    async def reports(self, since: datetime | None, *, cursor: str | None = None) -> ReportPage:
        """See the port."""
        return await self._call("reports", self._provider.reports(since, cursor=cursor), _NO_PAGE)

    async def close(self) -> None:
        """Nothing to release."""

    async def _call(self, call: str, work: Coroutine[Any, Any, Answer], unknown: Answer) -> Answer:
        """Let the provider do its work, between a way there and a way back that may both fail, for all or this call."""
        weather = self._weather
        is_done = False
        try:
            await weather.pause("provider.call")
            if weather.strikes("provider.unreachable") or weather.strikes(f"provider.{call}.unreachable"):
                return unknown
            is_done = True
            answer = await work
        finally:
            if not is_done:
                work.close()
        await weather.pause("provider.answer")
        if weather.strikes("provider.fails_after_its_work") or weather.strikes(f"provider.{call}.unanswered"):
            return unknown
        return answer
