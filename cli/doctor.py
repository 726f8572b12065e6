"""`billing doctor`: what is configured, what answers, what lags; the exit code says whether all is well."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import httpx
import psycopg
import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from cli.common import DataDirOption, JsonOption, echo_json, settings_in
from infra.clock import clock_of
from infra.embedded.stack_file import read_stack_file
from infra.kafka.topics import describe_topics, topics_of
from infra.logging import redact_text

if TYPE_CHECKING:
    from infra.settings import Settings

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def doctor(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Look after everything; exits with 1 where something is wrong."""
    settings = settings_in(data_dir)
    findings = [_stack(settings), _kafka(settings), _database(settings), *_http(settings)]
    ok = all(finding.ok for finding in findings)
    if as_json:
        echo_json(_document(settings, findings, ok=ok))
    else:
        table = Table("what", "", "detail")
        for finding in findings:
            table.add_row(finding.name, "ok" if finding.ok else "WRONG", finding.detail)
        Console().print(table)
    if not ok:
        raise typer.Exit(1)


def _document(settings: Settings, findings: list[Finding], *, ok: bool) -> dict[str, Any]:
    running = read_stack_file(settings.stack_file_path)
    return {
        "ok": ok,
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
        places.append(("sandbox", f"{settings.sandbox_url}/health"))
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
