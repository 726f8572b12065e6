"""Where the judges come from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.contracts.sandbox_kit import RECORD_PATH, free_port, wait_for
from tests.judges import go
from tests.judges.document import StripeDocument

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SCENARIOS_TIMEOUT_S = 550


@pytest.fixture(scope="session")
def document() -> StripeDocument:
    """Stripe's OpenAPI document."""
    go.wanted()
    return StripeDocument(go.document())


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, document: StripeDocument) -> list[dict[str, Any]]:
    """Everything that the sandbox says while all scenarios of the contracts run."""
    del document  # without the judge there is nothing to collect for
    path = tmp_path_factory.mktemp("judged") / "answers.jsonl"
    scenarios = [str(file) for file in sorted((ROOT / "tests" / "contracts").glob("test_s*_*.py"))]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--deselect", CRASH, *scenarios],
        cwd=ROOT,
        env={**os.environ, RECORD_PATH: str(path)},
        capture_output=True,
        text=True,
        timeout=SCENARIOS_TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


CRASH = "tests/contracts/test_sandbox_crash.py"
"""Its sandboxes are processes of their own, which nobody listens to."""


@pytest.fixture(scope="session")
def stripe_mock() -> Iterator[str]:
    """The address of a running stripe-mock that insists on its own version of the API."""
    go.wanted()
    port = free_port()
    command = [str(go.program()), "-http-addr", f"127.0.0.1:{port}", "-strict-version-check"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def answers_now() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(url, timeout=1).status_code > 0
        except httpx.TransportError:
            return False

    try:
        wait_for(answers_now, what="stripe-mock answers")
        yield url
    finally:
        process.terminate()
        process.wait(10)
