"""What `billing doctor` looks at."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
from aiokafka.errors import KafkaError
from sqlalchemy import create_engine, func, select
from sqlalchemy.exc import DBAPIError

from cli.common import UsageError
from domain.payments.state import PaymentStatus
from infra.clock import clock_of
from infra.embedded.stack_file import read_stack_file
from infra.kafka.topics import describe_topics, topics_of
from infra.logging import redact_text
from infra.postgres.engine import connection_options, sqlalchemy_url
from projections.payments import payments

if TYPE_CHECKING:
    from infra.settings import Settings

_TIMEOUT_S = 10.0
_LAG_RECORDS_MAX = 10_000
_UNANSWERED_AFTER = timedelta(minutes=10)
_OVERDUE_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything once."""
    findings = [_stack(settings), _kafka(settings), _database(settings), *_http(settings)]
    if all(finding.ok for finding in findings if finding.name in {"kafka", "database"}):
        findings += [_lag(settings), *_payments(settings)]
    return findings


def document(settings: Settings, findings: list[Finding]) -> dict[str, Any]:
    """The same for machines, with the addresses of the running stack."""
    running = read_stack_file(settings.stack_file_path)
    return {
        "ok": all(finding.ok for finding in findings),
        "api": {"url": settings.api_url},
        "kafka": {"bootstrap": settings.kafka_bootstrap, "topic_prefix": settings.topic_prefix},
        "database": {"url": settings.database_url},
        "sandbox": {"url": settings.sandbox_url},
        "data_dir": str(settings.data_dir.resolve()),
        "clock": {"now": clock_of(settings).now().isoformat()},
        "pids": dict(running.pids) if running is not None and running.is_alive() else {},
        "findings": [asdict(finding) for finding in findings],
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


def _payments(settings: Settings) -> list[Finding]:
    """Payments that wait longer than they should: for the provider's answer, or for their end."""
    now = clock_of(settings).now()
    waiting = {
        "unanswered": (
            payments.c.status.in_([PaymentStatus.CREATED, PaymentStatus.PROCESSING])
            & (payments.c.updated_at < now - _UNANSWERED_AFTER)
        ),
        "overdue": (
            payments.c.status.in_([PaymentStatus.CREATED, PaymentStatus.ACTION_REQUIRED, PaymentStatus.PROCESSING])
            & (payments.c.expires_at < now - _OVERDUE_AFTER)
        ),
    }
    options = connection_options(application_name="billing-doctor")
    engine = create_engine(sqlalchemy_url(settings.database_url), connect_args=options)
    findings = []
    try:
        with engine.connect() as connection:
            for name, condition in waiting.items():
                oldest = payments.c.created_at
                query = select(func.count(), func.min(oldest)).where(condition)
                count, since = connection.execute(query).one()
                detail = f"{count} payments, the oldest since {since:%Y-%m-%d %H:%M:%S} UTC" if count else "no payment"
                findings.append(Finding(name, ok=not count, detail=detail))
    except DBAPIError as error:
        findings.append(Finding("payments", ok=False, detail=redact_text(str(error.orig)).strip()))
    finally:
        engine.dispose()
    return findings
