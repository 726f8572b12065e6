"""`billing schemas`: the documents about our messages and our API, in the project's `schemas/` folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from cli.common import UsageError
from infra.settings import Settings

app = typer.Typer(help="JSON Schemas, AsyncAPI and OpenAPI, generated from the code.", no_args_is_help=True)

_FOLDER = Path(__file__).parents[1] / "schemas"
FolderOption = Annotated[Path, typer.Option("--folder", help="Where they are. [default: the project's schemas]")]


@app.command()
def write(
    folder: FolderOption = _FOLDER,
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Write even what a reader would not survive.")
    ] = False,
) -> None:
    """Write the documents anew; refuses a change that breaks a reader."""
    from schemas.documents import breaks, differences

    committed, generated = read_folder(folder), generate()
    broken = breaks(committed, generated)
    if broken and not allow_breaking:
        raise UsageError("a reader would not survive this:\n  " + "\n  ".join(broken))
    changed = differences(committed, generated)
    for path in changed:
        if path in generated:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(_bytes(generated[path]))
        else:
            (folder / path).unlink()
        typer.echo(path)


@app.command()
def check(folder: FolderOption = _FOLDER) -> None:
    """Compare the documents with the code; exits with 1 where they differ."""
    from schemas.documents import breaks, differences

    committed, generated = read_folder(folder), generate()
    changed = differences(committed, generated)
    if changed:
        broken = breaks(committed, generated)
        reasons = [f"breaks a reader: {each}" for each in broken] + [f"differs: {path}" for path in changed]
        raise UsageError("the schemas are not what the code says; `make schemas`:\n  " + "\n  ".join(reasons))
    typer.echo(f"{len(generated)} documents are what the code says")


def generate() -> dict[str, dict[str, Any]]:
    """Every document by its path inside the folder."""
    from api.app import create_app
    from schemas.documents import documents

    openapi = create_app(Settings(_env_file=None)).openapi()
    # Through JSON, so that what was never written compares equal to what was read.
    found: dict[str, dict[str, Any]] = orjson.loads(orjson.dumps({**documents(), "openapi.json": openapi}))
    return found


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """The documents that are there."""
    paths = [*folder.glob("json/*.json"), *folder.glob("*.json")]
    return {path.relative_to(folder).as_posix(): orjson.loads(path.read_bytes()) for path in paths}


def _bytes(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
