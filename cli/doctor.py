"""`billing doctor`: what is configured, what answers, what lags; the exit code says whether all is well."""

from __future__ import annotations

import typer

from cli.common import DataDirOption, JsonOption, echo_json, settings_in


def doctor(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Look after everything; exits with 1 where something is wrong."""
    from rich.console import Console
    from rich.table import Table

    from cli.diagnosis import document, examine

    settings = settings_in(data_dir)
    findings = examine(settings)
    if as_json:
        echo_json(document(settings, findings))
    else:
        table = Table("what", "", "detail")
        for finding in findings:
            table.add_row(finding.name, "ok" if finding.ok else "WRONG", finding.detail)
        Console().print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
