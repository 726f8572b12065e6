"""`billing audit`: the log read back. It tells what happened to an account, and whether everything still agrees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, settings_in, settings_of_stack
from infra.settings import Settings

if TYPE_CHECKING:
    from infra.kafka.log_reader import LogRecord
    from projections.audit.report import Report
    from projections.audit.story import Chapter
    from projections.audit.words import Names
    from schemas.envelope import EventRecord

app = typer.Typer(
    help="The log read back: histories, past states, and whether everything agrees.", no_args_is_help=True
)

AccountOption = Annotated[str, typer.Option("--account", help="The account's id, or a key such as catalog/product/ID.")]
_FAULTS_SHOWN_MAX = 50
Result = TypeVar("Result")


@app.command()
def history(account: AccountOption, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Tell what happened to an account, command by command."""
    from projections.audit.story import chapters
    from projections.audit.words import Names

    settings = _settings(data_dir)
    events = run(events_of(settings, account))
    if not events:
        raise UsageError(f"the log has nothing of {account!r}")
    names = Names()
    told = list(chapters(events, names))
    if as_json:
        echo_json(_history_document(account, told))
    else:
        _print_history(told, names)


@app.command()
def state(
    account: AccountOption,
    at: Annotated[
        str, typer.Option("--at", help="A moment: 2026-01-31, 2026-01-31T12:00:00Z. [default: now, all events]")
    ] = "",
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an account as it was at a moment: the fold of its events up to then."""
    import msgspec

    from projections.audit.log_checks import fold

    settings = _settings(data_dir)
    moment = _moment(at) if at else None
    events = [event for _, event in run(events_of(settings, account)) if moment is None or event.time <= moment]
    if not events:
        when = f" up to {moment.isoformat()}" if moment else ""
        raise UsageError(f"the log has nothing of {account!r}{when}")
    folded = None
    for event in events:
        folded = fold(account, folded, event.data)
    last = events[-1]
    document = {
        "account": account,
        "at": (moment or last.time).isoformat(),
        "sequence": last.sequence,
        "last_event": {"id": last.id, "type": last.type, "time": last.time.isoformat()},
        "state": msgspec.to_builtins(folded),
    }
    if as_json:
        echo_json(document)
    else:
        _print_state(document)


@app.command()
def verify(
    account: Annotated[str | None, typer.Option("--account", help="One account only. [default: all]")] = None,
    grace: Annotated[
        int, typer.Option("--grace", min=0, help="Seconds in which word of a charge may still be on its way.")
    ] = 120,
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check sequences, hashes, outcomes, read models and the sandbox's books; exits with 1 on any fault."""
    from cli.progress import ProgressBar
    from infra.clock import clock_of
    from projections.audit.verification import Options, Verification

    settings = settings_of_stack(data_dir)
    now = int(clock_of(settings).now().timestamp())
    verification = Verification(settings, Options(account=account, now=now, grace_s=grace))
    with ProgressBar("partitions") as progress:
        verification.progress = progress.show
        report = run(verification.run())
    if account is not None and account not in verification.keys:
        raise UsageError(f"the log has nothing of {account!r}")
    if as_json:
        echo_json(_report_document(report, verification.on_their_way))
    else:
        _print_report(report, verification.on_their_way)
    if not report.is_sound:
        raise typer.Exit(1)


@app.command()
def export(
    account: Annotated[str | None, typer.Option("--account", help="One account only. [default: all]")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Write the log as newline-delimited JSON, one event a line, in the order of each partition."""
    import sys

    import orjson

    async def write() -> None:
        async for record in _records(_settings(data_dir), account):
            sys.stdout.buffer.write(orjson.dumps(_exported(record), option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()

    try:
        run(write())
    except BrokenPipeError:  # the reader has seen enough
        sys.stderr.close()


def _settings(data_dir: DataDirOption) -> Settings:
    """Only the broker is needed to read the log."""
    settings = settings_in(data_dir)
    return settings if settings.kafka_bootstrap else settings_of_stack(data_dir)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    from sqlalchemy.exc import SQLAlchemyError

    from infra.kafka.log_reader import LogReadError

    try:
        return asyncio.run(work)
    except LogReadError as error:
        raise UsageError(str(error)) from error
    except SQLAlchemyError as error:
        raise UsageError(f"the database: {error}") from error


async def _records(settings: Settings, account: str | None) -> AsyncIterator[LogRecord]:
    from infra.kafka.log_reader import open_log
    from infra.kafka.topics import topics_of

    async with open_log(settings.kafka_bootstrap, topics_of(settings).events) as log:
        async for record in log.read(key=None if account is None else account.encode()):
            yield record


async def events_of(settings: Settings, account: str) -> list[tuple[str, EventRecord]]:
    """The events of one account with their positions."""
    from schemas.codec import WireError
    from schemas.envelope import read_event

    events = []
    async for record in _records(settings, account):
        try:
            events.append((record.position, read_event(record.key, record.value, record.headers)))
        except WireError as error:
            raise UsageError(f"the record {record.position} of the log cannot be read: {error}") from error
    return events


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no moment: write 2026-01-31 or 2026-01-31T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _history_document(account: str, told: list[Chapter]) -> dict[str, Any]:
    import msgspec

    return {
        "account": account,
        "events": [
            {
                "position": line.position,
                "sequence": line.event.sequence,
                "time": line.event.time.isoformat(),
                "type": line.event.type,
                "sentence": line.text,
                "id": line.event.id,
                "command_id": line.event.command_id,
                "correlation_id": line.event.correlation_id,
                "causation_id": line.event.causation_id,
                "actor": line.event.actor,
                "chain_hash": line.event.chain_hash,
                "data": msgspec.to_builtins(line.event.data),
            }
            for chapter in told
            for line in chapter.told
        ],
    }


def _print_history(told: list[Chapter], names: Names) -> None:
    for chapter in told:
        typer.secho(chapter.heading, bold=True)
        for line in chapter.told:
            typer.echo(f"  {line.event.sequence:>4}  {line.text}")
        typer.echo("")
    typer.secho("Names in full", bold=True)
    width = max(map(len, names.full))
    for short, full in names.full.items():
        typer.echo(f"  {short:<{width}}  {full}  ({names.kinds[short]})")


def _print_state(document: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.tree import Tree

    last = document["last_event"]
    tree = Tree(f"{document['account']} at {document['at']}, after event {document['sequence']} ({last['type']})")
    _grow(tree, document["state"])
    Console(highlight=False, markup=False, soft_wrap=True).print(tree)


def _grow(tree: Any, value: dict[str, Any] | list[Any]) -> None:
    """Money on one line, everything else as deep as it is."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value, start=1)
    for name, content in pairs:
        if isinstance(content, dict) and content.keys() == {"amount", "currency"}:
            tree.add(f"{name}: {_amount(content)}")
        elif isinstance(content, dict | list) and content:
            _grow(tree.add(str(name)), content)
        else:
            tree.add(f"{name}: {'none' if content in (None, {}, []) else content}")


def _amount(content: dict[str, Any]) -> str:
    from domain.money import Money
    from projections.audit.words import amount

    return amount(Money(amount=content["amount"], currency=content["currency"]))


def _report_document(report: Report, on_their_way: int) -> dict[str, Any]:
    from projections.audit.report import Check

    return {
        "sound": report.is_sound,
        "checks": [
            {
                "name": check.name.lower(),
                "statement": str(check),
                "checked": report.checked.get(check, 0),
                "failed": report.failed.get(check, 0),
                "skipped": report.skipped.get(check),
            }
            for check in Check
        ],
        "charges_on_their_way": on_their_way,
        "faults": [
            {
                "check": fault.check.name.lower(),
                "account": fault.key,
                "position": fault.position,
                "detail": fault.detail,
            }
            for fault in report.faults
        ],
    }


def _print_report(report: Report, on_their_way: int) -> None:
    from rich.console import Console
    from rich.table import Table

    from projections.audit.report import Check

    table = Table("check", "checked", "failed", "")
    for check in Check:
        failed = report.failed.get(check, 0)
        verdict = "FAULT" if failed else "skipped" if check in report.skipped else "ok"
        table.add_row(str(check), str(report.checked.get(check, 0)), str(failed), verdict)
    Console().print(table)
    for check, reason in report.skipped.items():
        typer.echo(f"skipped: {check}: {reason}")
    if on_their_way:
        typer.echo(
            f"{on_their_way} charges are not in the log yet: they are young, or the provider has not answered for them "
            "and is asked again (`billing doctor` tells which)"
        )
    for fault in report.faults[:_FAULTS_SHOWN_MAX]:
        where = " ".join(part for part in (fault.key, fault.position) if part)
        typer.secho(f"FAULT  {where}: {fault.detail}", fg=typer.colors.RED)
    more = sum(report.failed.values()) - min(len(report.faults), _FAULTS_SHOWN_MAX)
    if more > 0:
        typer.secho(f"and {more} more; --json names up to {len(report.faults)}", fg=typer.colors.RED)
    if report.is_sound:
        typer.secho("The log is sound, and everything agrees with it.", fg=typer.colors.GREEN)


def _exported(record: LogRecord) -> dict[str, Any]:
    """A record as JSON. What is no JSON or no text is kept in base 64, so that nothing is lost."""
    import base64

    import orjson

    document: dict[str, Any] = {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": None if record.key is None else record.key.decode("utf-8", "replace"),
        "headers": {name: value.decode("utf-8", "replace") for name, value in record.headers},
    }
    try:
        document["data"] = None if record.value is None else orjson.Fragment(record.value)
        orjson.loads(record.value or b"null")
    except orjson.JSONDecodeError:
        document["data"] = None
        document["raw"] = base64.b64encode(record.value or b"").decode()
    return document
