"""localstripe: another sandbox that speaks Stripe's API, made by others. It is GPL, so it stays a program beside us."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

from tests.judges import calling

VERSION = "1.15.10"
INSTALL_TIMEOUT_S = 300


def program() -> Path:
    """The Python of an environment that has it, made once in the user's cache."""
    calling.wanted("localstripe")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "billing" / "judges"
    environment = cache / f"localstripe-{VERSION}"
    python = environment / "bin" / "python"
    if _has_it(python):
        return python
    shutil.rmtree(environment, ignore_errors=True)
    venv.create(environment, with_pip=True, symlinks=True)
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"localstripe=={VERSION}"],
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if installed.returncode != 0:
        calling.leave_out("localstripe", f"pip install localstripe=={VERSION}: {installed.stderr.strip()[-500:]}")
    return python


def _has_it(python: Path) -> bool:
    """Whether an earlier installation was finished."""
    return python.exists() and not subprocess.call(
        [python, "-c", "import localstripe"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def start(port: int) -> subprocess.Popen[bytes]:
    """Serves it, with empty books, on all addresses of the machine (it knows no other way): for a test's length."""
    command = [str(program()), "-m", "localstripe", "--from-scratch", "--port", str(port)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
