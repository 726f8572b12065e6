"""What the port `PaymentProvider` promises of what it told by itself. Adapters inherit these tests too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from domain.disputes.commands import ReportDispute
from domain.disputes.state import DisputeStatus
from domain.effects import RefundAnswerStatus
from domain.money import Money
from domain.refunds.commands import AnswerRefund
from tests.contracts.effects_kit import ACCOUNT, refund
from tests.contracts.money_suite import PRICE, MoneyWorld, page, paid_page, refunded

if TYPE_CHECKING:
    from datetime import datetime

    from domain.effects import ProviderAnswer
    from domain.reports import ProviderReport


class ReportWorld(MoneyWorld, Protocol):
    """Also the customer's bank. The adapter under test tells two reports a page."""

    def bank_disputes(self, payment_reference: str) -> str:
        """Let the bank take the money of a payment back; return the provider's name of the dispute."""

    def bank_decides(self, dispute_reference: str, *, won: bool) -> None:
        """Let the bank decide."""

    def pay_with_a_card_that_takes_nothing_back(self, asked: ProviderAnswer) -> None:
        """Pay at the page; a refund succeeds, and fails after it when `bounce` is called."""

    def bounce(self, refund_reference: str) -> None:
        """Let the bank not take a refund that had succeeded."""

    def fail_next_question(self) -> None:
        """Let the next call not arrive, whatever it is."""


async def told(world: ReportWorld, since: datetime | None = None) -> list[ProviderReport]:
    """All that is told, the newest first."""
    reports: list[ProviderReport] = []
    cursor = None
    for _ in range(20):
        found = await world.provider.reports(since, cursor=cursor)
        assert found.trouble is None
        assert len(found.reports) <= 2
        reports += found.reports
        cursor = found.next_cursor
        if cursor is None:
            return reports
    raise AssertionError("the pages have no end")


async def bounced(world: ReportWorld) -> tuple[str, str]:
    """A refund that bounced: our name of it, and the provider's."""
    payment_id, asked = await page(world)
    world.pay_with_a_card_that_takes_nothing_back(asked)
    effect = refund(world.now(), payment_id, str(asked.reference))
    answer = await refunded(world, effect)
    assert answer.status is RefundAnswerStatus.SUCCEEDED
    world.bounce(str(answer.reference))
    return effect.refund_id, str(answer.reference)


class ReportContract:
    """Inherit it, and give it a fixture `world`."""

    async def test_where_nothing_happened_nothing_is_told(self, world: ReportWorld) -> None:
        await paid_page(world)
        assert await told(world) == []

    async def test_a_dispute_is_told_from_its_end_to_its_beginning(self, world: ReportWorld) -> None:
        payment_id, paid = await paid_page(world)
        dispute = world.bank_disputes(str(paid.reference))
        world.bank_decides(dispute, won=False)
        commands = [report.command for report in await told(world)]
        assert all(isinstance(command, ReportDispute) for command in commands)
        disputes = [command for command in commands if isinstance(command, ReportDispute)]
        assert {(each.payment_id, each.dispute.reference) for each in disputes} == {(payment_id, dispute)}
        statuses = [each.dispute.status for each in disputes]
        assert (statuses[0], statuses[-1]) == (DisputeStatus.LOST, DisputeStatus.NEEDS_RESPONSE)
        assert {each.dispute.amount for each in disputes} == {PRICE}

    async def test_a_refund_that_bounced_is_told(self, world: ReportWorld) -> None:
        refund_id, reference = await bounced(world)
        (report,) = await told(world)
        assert isinstance(report.command, AnswerRefund)
        assert report.account == ACCOUNT
        answer = report.command.answer
        assert (report.command.refund_id, answer.reference) == (refund_id, reference)
        assert answer.status is RefundAnswerStatus.FAILED
        assert answer.detail

    async def test_a_refund_that_succeeds_is_not_told(self, world: ReportWorld) -> None:
        payment_id, paid = await paid_page(world)
        part = Money(amount=1, currency="USD")
        await refunded(world, refund(world.now(), payment_id, str(paid.reference), amount=part))
        assert await told(world) == []

    async def test_a_report_has_the_same_name_whenever_it_is_asked_for(self, world: ReportWorld) -> None:
        _, paid = await paid_page(world)
        world.bank_decides(world.bank_disputes(str(paid.reference)), won=True)
        await bounced(world)
        first = await told(world)
        assert first == await told(world)
        assert len({report.command_id(world.provider.name) for report in first}) == len(first) > 2

    async def test_only_what_was_told_since(self, world: ReportWorld) -> None:
        _, paid = await paid_page(world)
        dispute = world.bank_disputes(str(paid.reference))
        before = len(await told(world))
        world.advance(days=1)
        since = world.now()
        world.advance(seconds=5)
        world.bank_decides(dispute, won=True)
        later = await told(world, since)
        assert later
        assert {report.command.dispute.status for report in later if isinstance(report.command, ReportDispute)} == {
            DisputeStatus.WON
        }
        assert len(await told(world)) == before + len(later)

    async def test_a_question_that_failed_says_so_and_can_be_asked_again(self, world: ReportWorld) -> None:
        _, paid = await paid_page(world)
        world.bank_disputes(str(paid.reference))
        world.fail_next_question()
        failed = await world.provider.reports(None)
        assert (failed.reports, failed.next_cursor) == ((), None)
        assert failed.trouble
        assert await told(world)
