"""What an audit found: one row for each check, and the faults themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

FAULTS_KEPT_MAX = 1_000
"""Faults that are kept with their details; beyond them they are only counted, so that a ruined log fits in memory."""


class Check(StrEnum):
    """What is checked, in the words of the report."""

    READABLE = "every record is one of our events, in the partition of its key"
    SEQUENCE = "sequences are 1, 2, 3, … per account"
    CHAIN = "hashes continue the chain of their account"
    OUTCOME = "every command has exactly one outcome"
    COMMANDS = "every command that was passed has its outcome, or lies in the dead letters"
    FOLD = "the events of every account can be folded"
    READ_MODELS = "read models are the fold of the log"
    LEDGER = "the books are what the rules make of the log, and every posting has both legs"
    CHARGED = "every payment that succeeded has exactly one charge in the provider's books"
    CHARGES = "every charge in the provider's books has exactly one payment that succeeded"
    CASH = "the money that the books say the provider holds is the money in the provider's books, in every currency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that must not be."""

    check: Check
    key: str
    """The account or catalogue key; empty where none can be told."""
    position: str
    """`<partition>:<offset>` in the log of events, or empty."""
    detail: str


@dataclass(slots=True)
class Report:
    """How much was checked, and what failed. A check that was not made has a reason in `skipped` instead."""

    checked: dict[Check, int] = field(default_factory=dict)
    failed: dict[Check, int] = field(default_factory=dict)
    skipped: dict[Check, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing failed. A check that was skipped does not make a log unsound; the table shows it."""
        return not self.failed

    def count(self, check: Check, number: int = 1) -> None:
        """So many more things were looked at."""
        self.checked[check] = self.checked.get(check, 0) + number

    def fault(self, check: Check, *, key: str, position: str = "", detail: str) -> None:
        """One of them is not as it must be."""
        self.failed[check] = self.failed.get(check, 0) + 1
        if len(self.faults) < FAULTS_KEPT_MAX:
            self.faults.append(Fault(check=check, key=key, position=position, detail=detail))

    def skip(self, check: Check, reason: str) -> None:
        """The check cannot be made here."""
        self.skipped[check] = reason
