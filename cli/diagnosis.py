"""What `billing doctor` looks at."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from cli.common import UsageError
from cli.overdue import age, as_document, look
from infra.clock import clock_of
from infra.embedded.stack_file import read_stack_file
from infra.kafka.topics import describe_topics, topics_of
from infra.logging import redact_text
from projections.overdue import OverdueKind

if TYPE_CHECKING:
    from infra.settings import Settings
    from projections.overdue import OverdueView

_TIMEOUT_S = 10.0
_LAG_RECORDS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found, and all that waits past its deadline, one by one."""

    findings: list[Finding]
    overdue: tuple[OverdueView, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.ok for finding in self.findings)


def examine(settings: Settings) -> Diagnosis:
    """Look at everything once."""
    findings = [_stack(settings), _kafka(settings), _database(settings), *_http(settings)]
    if not all(finding.ok for finding in findings if finding.name in {"kafka", "database"}):
        return Diagnosis(findings, ())
    late, overdue = _overdue(settings)
    return Diagnosis([*findings, _lag(settings), *late], overdue)


def document(settings: Settings, diagnosis: Diagnosis) -> dict[str, Any]:
    """The same for machines, with the addresses of the running stack."""
    running = read_stack_file(settings.stack_file_path)
    now = clock_of(settings).now()
    return {
        "ok": diagnosis.is_well,
        "api": {"url": settings.api_url},
        "kafka": {"bootstrap": settings.kafka_bootstrap, "topic_prefix": settings.topic_prefix},
        "database": {"url": settings.database_url},
        "sandbox": {"url": settings.sandbox_url},
        "data_dir": str(settings.data_dir.resolve()),
        "clock": {"now": now.isoformat()},
        "pids": dict(running.pids) if running is not None and running.is_alive() else {},
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "overdue": [as_document(item, now) for item in diagnosis.overdue],
    }


def _stack(settings: Settings) -> Finding:
    running = read_stack_file(settings.stack_file_path)
    if running is not None and running.is_alive():
        return Finding("stack", ok=True, detail=f"`billing up` runs in {settings.data_dir} ({running.supervisor_pid})")
    if settings.kafka_bootstrap and settings.database_url:
        return Finding("stack", ok=True, detail="broker and database of the environment")
    return Finding("stack", ok=False, detail=f"nothing runs in {settings.data_dir}: `billing up` starts it")


def _kafka(settings: Settings) -> Finding:
    if not settings.kafka_bootstrap:
        return Finding("kafka", ok=False, detail="no broker is known")
    try:
        states = asyncio.run(
            asyncio.wait_for(
                describe_topics(
                    settings.kafka_bootstrap,
                    topics_of(settings),
                    partitions=settings.partitions,
                    replication_factor=settings.kafka_replication_factor,
                ),
                _TIMEOUT_S,
            )
        )
    except (KafkaError, OSError, TimeoutError) as error:
        return Finding("kafka", ok=False, detail=f"{settings.kafka_bootstrap}: {error or type(error).__name__}")
    problems = [f"{state.name}: {problem}" for state in states for problem in state.problems]
    return Finding("kafka", ok=not problems, detail="; ".join(problems) or settings.kafka_bootstrap)


def _database(settings: Settings) -> Finding:
    if not settings.database_url:
        return Finding("database", ok=False, detail="no database is known")
    try:
        with psycopg.connect(settings.database_url, connect_timeout=int(_TIMEOUT_S)) as connection:
            row = connection.execute("select current_setting('server_version')").fetchone()
    except psycopg.Error as error:
        return Finding("database", ok=False, detail=redact_text(str(error)).strip())
    return Finding("database", ok=True, detail=f"PostgreSQL {row[0] if row else '?'}")


def _http(settings: Settings) -> list[Finding]:
    """The API and the sandbox, where they are known."""
    places = [("api", f"{settings.api_url}/health/ready")]
    if settings.sandbox_url:
        places.append(("sandbox", f"{settings.sandbox_url}/_sandbox/health"))
    findings = []
    for name, url in places:
        try:
            response = httpx.get(url, timeout=_TIMEOUT_S)
        except httpx.HTTPError as error:
            findings.append(Finding(name, ok=False, detail=f"{url}: {error or type(error).__name__}"))
        else:
            detail = url if response.is_success else f"{url}: {response.status_code} {response.text[:300]}"
            findings.append(Finding(name, ok=response.is_success, detail=detail))
    return findings


def _lag(settings: Settings) -> Finding:
    """How far the read models are behind the log."""
    from cli.projections import read_status

    try:
        lag = sum(partition.lag for partition in asyncio.run(read_status(settings)))
    except (KafkaError, UsageError, DBAPIError) as error:
        return Finding("projections", ok=False, detail=redact_text(str(error)).strip())
    return Finding("projections", ok=lag <= _LAG_RECORDS_MAX, detail=f"{lag} records behind the log")


def _overdue(settings: Settings) -> tuple[list[Finding], tuple[OverdueView, ...]]:
    """What waits past its deadline, one finding for each kind, whether there is some of it or not."""
    now = clock_of(settings).now()
    try:
        found = asyncio.run(look(settings, now))
    except (KafkaError, OSError, DBAPIError) as error:
        return [Finding("overdue", ok=False, detail=redact_text(str(error) or type(error).__name__).strip())], ()
    findings = []
    for kind in OverdueKind:
        number = found.counts.get(kind, 0)
        oldest = next((item for item in found.items if item.kind is kind), None)
        detail = "none"
        if oldest is not None:
            since = age(int((now - oldest.since).total_seconds()))
            detail = f"{number}, the oldest for {since}: {oldest.cause}"
        findings.append(Finding(kind, ok=not number, detail=detail))
    return findings, found.items
