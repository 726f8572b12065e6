"""From figures to rows: what was measured, what is required, and the limit or the rival beside it."""

from __future__ import annotations

from typing import Any

Figures = dict[str, dict[str, Any]]
Row = tuple[str, ...]

ENGINE_MIN = 5_000
TIMES_EVENTSOURCING_MIN = 10
API_MIN = 1_500
LATENCY_MS_MAX = 60
PAID_MS_MAX = 1_000
PROJECTOR_MIN = 20_000
FOLD_MIN = 50_000
FULL_SHARE = 0.85
"""A core that is busy for so much of the time is full: no load is without gaps."""


def rows(figures: Figures) -> list[Row]:
    """The rows of what was measured; a section that was left out has none."""
    table: list[Row] = []
    for section, make in _ROWS.items():
        if section in figures:
            table += make(figures)
    return table


def _verdict(*, met: bool) -> str:
    return "met" if met else "below what is required"


def _per_second(value: float) -> str:
    return f"{value:,.0f}/s"


def _share(value: float, limit: float) -> str:
    return f"{value / limit:.0%}"


def _best_rival(figures: Figures) -> float | None:
    rival = figures.get("eventsourcing")
    return max(rival.values()) if rival else None


def _engine(figures: Figures) -> list[Row]:
    engine = figures["engine"]
    measured = engine["commands_per_s"]
    beside = (
        f"{engine['cpu_us_per_command']:.0f} µs of CPU a command, {engine['commands_per_transaction']} a transaction"
    )
    producer = figures.get("producer")
    if producer:
        limit = producer["in_batches_commands_per_s"]
        by_record = producer["by_record_commands_per_s"]
        beside += (
            f"; the same bytes by a bare transactional producer {_per_second(limit)} in whole batches "
            f"(we reach {_share(measured, limit)}), {_per_second(by_record)} record by record"
        )
    name = f"one engine worker, commands with {engine['events_per_command']:.0f} events and an outcome each"
    table: list[Row] = [
        (name, _per_second(measured), f"≥ {ENGINE_MIN:,}/s", beside, _verdict(met=measured >= ENGINE_MIN))
    ]
    rival = _best_rival(figures)
    if rival:
        times = measured / rival
        table.append(
            (
                "the same, beside `eventsourcing` 9.5 making the same decision on the same PostgreSQL",
                f"{times:.1f} ×",
                f"≥ {TIMES_EVENTSOURCING_MIN} ×",
                f"`eventsourcing` {_per_second(rival)}, the best of 1, 4 and 8 threads",
                _verdict(met=times >= TIMES_EVENTSOURCING_MIN),
            )
        )
    return table


def _fold(figures: Figures) -> list[Row]:
    fold = figures["fold"]
    measured = fold["events_per_s"]
    beside = (
        f"a bare reader {_per_second(fold['bare_reader_events_per_s'])}; {fold['events']:,} events in "
        f"{fold['cold_s']} s, with a store that is up to date {fold['warm_s']} s"
    )
    return [
        (
            "fold at recovery, all partitions from an empty store",
            f"{_per_second(measured)}",
            f"≥ {FOLD_MIN:,}/s",
            beside,
            _verdict(met=measured >= FOLD_MIN),
        )
    ]


def _api(figures: Figures) -> list[Row]:
    api = figures["api"]
    measured = api["accepted_per_s"]
    beside = (
        f"p50 {api['latency_p50_ms']} ms, p99 {api['latency_p99_ms']} ms, "
        f"{api['cpu_us_per_command']} µs of CPU a command, {api['memory_mib']} MiB"
    )
    return [
        (
            f"one API process, accepted commands, {api['clients']} clients",
            _per_second(measured),
            f"≥ {API_MIN:,}/s",
            beside,
            _verdict(met=measured >= API_MIN),
        )
    ]


def _projector(figures: Figures) -> list[Row]:
    projector = figures["projector"]
    measured = projector["events_per_s"]
    beside = (
        f"the same rows by bare COPY {_per_second(projector['bare_copy_events_per_s'])} "
        f"(we reach {projector['of_bare_copy']:.0%}); a bare consumer "
        f"{_per_second(projector['bare_consumer_events_per_s'])}"
    )
    return [
        (
            "one projector, events into read models and histories",
            _per_second(measured),
            f"≥ {PROJECTOR_MIN:,}/s",
            beside,
            _verdict(met=measured >= PROJECTOR_MIN),
        )
    ]


def _whole(figures: Figures) -> list[Row]:
    whole = figures["whole"]
    measured = whole["read_model_p50_ms"]
    table: list[Row] = [
        (
            "idle: from the HTTP request to the order in the read model, p50",
            f"{measured} ms",
            f"≤ {LATENCY_MS_MAX} ms",
            f"p99 {whole['read_model_p99_ms']} ms; to the payment page p50 {whole['payment_page_p50_ms']} ms",
            _verdict(met=measured <= LATENCY_MS_MAX),
        ),
        (
            "idle: from the payment at the sandbox's page, by its webhook, to the paid order in the read model, p99",
            f"{whole['paid_p99_ms']} ms",
            f"≤ {PAID_MS_MAX:,} ms",
            f"p50 {whole['paid_p50_ms']} ms, of {whole['payments']} payments",
            _verdict(met=whole["paid_p99_ms"] <= PAID_MS_MAX),
        ),
    ]
    for name, memory in whole["memory_mib"].items():
        table.append((f"memory of {name}", f"{memory['pss']} MiB PSS", "", f"{memory['rss']} MiB RSS", ""))
    total = sum(memory["pss"] for memory in whole["memory_mib"].values())
    table.append(("memory of everything", f"{total} MiB PSS", "", "", ""))
    return table


def _renewals(figures: Figures) -> list[Row]:
    day = figures["renewals"]
    spent = ", ".join(f"{name} {value:,}" for name, value in day["cpu_us_per_renewal"].items())
    held = ", ".join(f"{name} {value}" for name, value in day["memory_mib"].items())
    name = f"{day['renewals']:,} renewals due at once, one engine and one gateway: first attempt to last renewal"
    beside = (
        f"at most {day['under_way_max']:,} under way at once, answered after {day['answer_p50_s']} s (p50) and "
        f"{day['answer_p99_s']} s (p99); {day['transactions']:,} transactions of the engine; µs of CPU a renewal: "
        f"{spent}; MiB: {held}"
    )
    return [
        (
            name,
            f"{_per_second(day['renewals_per_s'])}, {day['seconds']:,} s",
            "all charged once",
            beside,
            _verdict(met=True),  # the section ends with an error where somebody was not
        )
    ]


def bound(day: dict[str, Any]) -> str:
    """A paragraph that says what held the renewals up: the cores, one process, or something that waits."""
    busy, others, cores = day["busy_cores"], day["busy_cores_of_others"], day["cores"]
    ours = sum(busy.values())
    most = max(busy, key=busy.__getitem__)
    spent = sum(day["cpu_us_per_renewal"].values())
    shares = ", ".join(f"{name} {value:.2f}" for name, value in sorted(busy.items(), key=lambda item: -item[1]))
    if ours + others >= cores * FULL_SHARE:
        verdict = f"The machine bounds it: its {cores} cores were full, and a renewal costs {spent:,} µs of CPU in all"
    elif busy[most] >= FULL_SHARE:
        verdict = f"One process bounds it: a worker uses one core, and the {most} had its own full"
    else:
        verdict = "Neither the cores nor one process were full: waiting bounds it"
    return (
        "Every account has one charge in the sandbox's books and one renewal in the log, and no timer is overdue. "
        f"{verdict}. Cores that were busy on average: {shares}; together {ours:.2f}, and {others:.2f} with other "
        f"programs (the measuring among them), of {cores}. {day['repeated_effects']:,} calls were asked for again, "
        f"since their answer took longer than 20 s; the gateway made {day['gateway_calls']:,} calls for "
        f"{day['renewals']:,} charges."
    )


_ROWS = {
    "engine": _engine,
    "fold": _fold,
    "api": _api,
    "projector": _projector,
    "whole": _whole,
    "renewals": _renewals,
}
