"""stripe-mock by Go: its module carries Stripe's OpenAPI document, its program answers by it. Both stay in caches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.judges import calling

MODULE = "github.com/stripe/stripe-mock"
VERSION = "v0.203.0"
"""Go checks what it downloads against its checksum database, so that the judge cannot be swapped."""

TIMEOUT_S = 600
JUDGE = "Stripe's OpenAPI document and stripe-mock"


def wanted() -> None:
    """They come only when they are called."""
    calling.wanted(JUDGE)


def run(*arguments: str, **environment: str) -> str:
    """What a Go command prints."""
    if shutil.which("go") is None:
        calling.leave_out(JUDGE, "There is no Go on this machine.", could_come=False)
    answer = subprocess.run(
        ["go", *arguments],
        env={**os.environ, **environment},
        cwd=os.environ.get("TMPDIR", "/tmp"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if answer.returncode != 0:
        calling.leave_out(JUDGE, f"go {' '.join(arguments)}: {answer.stderr.strip()[-500:]}")
    return answer.stdout


def document() -> Path:
    """Stripe's OpenAPI document, as embedded in stripe-mock."""
    found = json.loads(run("mod", "download", "-json", f"{MODULE}@{VERSION}"))
    return Path(found["Dir"]) / "embedded" / "openapi" / "spec3.json"


def program() -> Path:
    """The program, built once into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "billing" / "judges" / VERSION
    built = cache / "stripe-mock"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        run("install", f"{MODULE}@{VERSION}", GOBIN=str(cache), GOFLAGS="-buildvcs=false")
    return built
