"""The tables of a chaos run."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from tests.chaos.verifier import FAULTS_SHOWN_MAX

if TYPE_CHECKING:
    from tests.chaos.customers import Market
    from tests.chaos.evidence import Evidence
    from tests.chaos.verifier import Finding
    from tests.chaos.victims import Done

_console = Console(soft_wrap=True, highlight=False)


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_faults(done: list[Done], deaths: Counter[str]) -> None:
    """What was done to whom, and who ended by itself and was started again."""
    names = ("victim", "SIGKILL", "SIGSTOP 15 s", "started again, s after a kill (mean / max)", "ended by itself")
    table = Table(*names, title="Faults")
    by_victim: dict[str, list[Done]] = defaultdict(list)
    for one in done:
        by_victim[one.fault.victim].append(one)
    for victim, some in sorted(by_victim.items()):
        kills = [one.back_s for one in some if one.fault.kind == "kill"]
        freezes = sum(one.fault.kind == "freeze" for one in some)
        back = f"{sum(kills) / len(kills):.1f} / {max(kills):.1f}" if kills else ""
        table.add_row(victim, str(len(kills)), str(freezes), back, str(max(0, deaths[victim] - len(kills))))
    _console.print(table)


def print_load(market: Market, evidence: Evidence, seconds: float) -> None:
    """What was sent, answered and recorded."""
    table = Table("", "count", title=f"Load, {seconds:.0f} s")
    kinds = Counter(record.headers["ce_type"] for record in evidence.log)
    rows = {
        "different commands promised": market.accepted(),
        "requests and records sent": len(market.sent),
        "  of them without a clear answer": sum(sent.answer == "unknown" for sent in market.sent),
        "events in the log": len(evidence.log),
        "commands with an outcome": kinds["billing.command.accepted"] + kinds["billing.command.rejected"],
        "  of them rejected": kinds["billing.command.rejected"],
        "accounts and products": len({record.key for record in evidence.log}),
        "orders placed": kinds["billing.order.placed"],
        "  fulfilled": kinds["billing.order.fulfilled"],
        "  cancelled": kinds["billing.order.cancelled"],
        "  failed": kinds["billing.order.failed"],
        "  expired": kinds["billing.order.expired"],
        "charges in the books": len(evidence.charges),
        "refunds in the books": len(evidence.refunds),
        "renewals tried": kinds["billing.subscription.renewal_attempted"],
        "  paid": kinds["billing.subscription.renewed"],
        "  declined": kinds["billing.subscription.renewal_failed"],
        "subscriptions blocked after the grace": kinds["billing.access.blocked"],
        "calls to the provider repeated": kinds["billing.payment.call_repeated"],
        "provider asked about silent payments": kinds["billing.payment.fetch_requested"],
        "poison records": len(evidence.poison),
        "customers who left before their page or access came": market.left,
    }
    for name, count in rows.items():
        table.add_row(name, str(count))
    answers = ", ".join(f"{name}: {count}" for name, count in sorted(market.answers.items()))
    table.add_row("answers", answers)
    _console.print(table)


def print_verdict(findings: list[Finding]) -> None:
    """Each check, and what it found."""
    table = Table("check", "looked at", "faults", "", title="Verdict")
    for finding in findings:
        verdict = "FAULT" if finding.faults else "ok" if finding.checked else "NOTHING SEEN"
        table.add_row(finding.name, str(finding.checked), str(len(finding.faults)), verdict)
    _console.print(table)
    for finding in findings:
        for fault in finding.faults[:FAULTS_SHOWN_MAX]:
            _console.print(f"FAULT {finding.name}: {fault}", markup=False)
