"""`billing sandbox`: the customer at the hosted page, and the provider's bad days."""

from __future__ import annotations

import typer

from cli import roles

app = typer.Typer(help="The sandbox payment provider.", no_args_is_help=True)
app.command("serve")(roles.serve_sandbox)
