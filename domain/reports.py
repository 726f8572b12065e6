"""What a provider tells by itself: by a webhook, or to the gateway that asks what it missed."""

from __future__ import annotations

from domain.disputes.commands import ReportDispute
from domain.ids import AccountId, CommandId, derive
from domain.payments.commands import ReportPayment
from domain.records import dataclass
from domain.refunds.commands import AnswerRefund


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """A report as a command for an account (by the metadata that we wrote and nobody else can)."""

    account: AccountId
    report_id: str
    """The provider's name of it: the same one may come several times, and by several ways."""
    command: ReportPayment | AnswerRefund | ReportDispute

    def command_id(self, provider: str) -> CommandId:
        """Return the id of its command, the same by whichever way it came."""
        return CommandId(derive(self.account, f"webhook {provider} {self.report_id}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """A part of what the provider told."""

    reports: tuple[ProviderReport, ...] = ()
    next_cursor: str | None = None
    """Where the next page begins; None where there is none."""
    trouble: str | None = None
    """Why something may be missing: it has to be asked for again."""
