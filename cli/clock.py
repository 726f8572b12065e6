"""`billing clock`: development time, for all processes of a stack at once."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.common import DataDirOption, JsonOption, UsageError, echo_json, parse_duration, settings_in
from infra.clock import DevelopmentClock

app = typer.Typer(help="Move development time, to watch a renewal or an expiry.", no_args_is_help=True)


@app.command()
def show(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Show what time it is for the stack."""
    _report(_clock(data_dir), as_json=as_json)


@app.command()
def advance(
    duration: Annotated[str, typer.Argument(help="How far: 30d, 12h, 90m, 2w, 1d12h.")],
    data_dir: DataDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move the stack's time ahead."""
    clock = _clock(data_dir)
    by = parse_duration(duration)
    try:
        clock.advance(by)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _report(clock, as_json=as_json)


@app.command()
def reset(data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Return to the time of the machine. What the log recorded in the future stays recorded there."""
    clock = _clock(data_dir)
    clock.reset()
    _report(clock, as_json=as_json)


def _clock(data_dir: DataDirOption) -> DevelopmentClock:
    settings = settings_in(data_dir)
    if settings.environment == "production":
        raise UsageError("in production the clock cannot be moved (BILLING_ENVIRONMENT)")
    return DevelopmentClock(settings.clock_path)


def _report(clock: DevelopmentClock, *, as_json: bool) -> None:
    now, offset = clock.now().isoformat(timespec="seconds"), clock.offset()
    if as_json:
        echo_json({"now": now, "offset_s": int(offset.total_seconds())})
    else:
        typer.echo(f"{now}  ({'the time of the machine' if not offset else f'{offset} ahead'})")
