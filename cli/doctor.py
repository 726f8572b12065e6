"""`billing doctor`: what is configured, what answers, what lags; the exit code says whether all is well."""

from __future__ import annotations

import typer

from cli.common import DataDirOption, JsonOption, echo_json, settings_in

_SHOWN_MAX = 20


def doctor(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Look after everything; exits with 1 where something is wrong."""
    from rich.console import Console
    from rich.table import Table

    from cli.diagnosis import document, examine
    from cli.overdue import age
    from infra.clock import clock_of

    settings = settings_in(data_dir)
    diagnosis = examine(settings)
    if as_json:
        echo_json(document(settings, diagnosis))
    else:
        table = Table("what", "", "detail")
        for finding in diagnosis.findings:
            table.add_row(finding.name, "ok" if finding.ok else "WRONG", finding.detail)
        console = Console(highlight=False, markup=False)
        console.print(table)
        now = clock_of(settings).now()
        for item in diagnosis.overdue[:_SHOWN_MAX]:
            waits = age(int((now - item.since).total_seconds()))
            console.print(f"{item.id}  {item.kind}, {waits}: {item.cause}", soft_wrap=True)
        if len(diagnosis.overdue) > _SHOWN_MAX:
            console.print(f"and {len(diagnosis.overdue) - _SHOWN_MAX} more; --json lists them")
        if any(item.is_resumable for item in diagnosis.overdue):
            console.print("`billing resume ID`, or `billing resume --all`, goes on with them; it is harmless.")
    if not diagnosis.is_well:
        raise typer.Exit(1)
