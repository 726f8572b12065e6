"""What the engine counts."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

ACCEPTED = Counter("billing_engine_commands_accepted", "Commands that were carried out")
REJECTED = Counter("billing_engine_commands_rejected", "Commands that broke a rule")
REPEATED = Counter("billing_engine_commands_repeated", "Commands that were decided before and delivered again")
DEAD_LETTERS = Counter("billing_engine_dead_letters", "Records that could not be read, kept for people")
REOPENED = Counter("billing_engine_journals_unsure", "Times a journal was dropped and its log opened again")
TIMERS = Counter("billing_engine_timers_fired", "Timers that were due and fired as commands")
BATCH_SECONDS = Histogram(
    "billing_engine_batch_seconds",
    "Time from a group's begin to its commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
BATCH_COMMANDS = Histogram(
    "billing_engine_batch_commands", "Commands in one transaction", buckets=(1, 5, 10, 25, 50, 100, 250, 500, 1000)
)
