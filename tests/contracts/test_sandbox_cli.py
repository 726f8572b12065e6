"""`billing sandbox`: what a customer does at the hosted page, from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.contracts.sandbox_kit import session_params

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contracts.sandbox_kit import SandboxUnderTest


@pytest.fixture(autouse=True)
def environment(sandbox: SandboxUnderTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BILLING_SANDBOX_URL", sandbox.settings.base_url)
    monkeypatch.setenv("BILLING_STRIPE_SECRET_KEY", sandbox.settings.secret_key)
    monkeypatch.setenv("BILLING_DATA_DIR", str(tmp_path))


def billing(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["sandbox", *arguments])
    return result.exit_code, result.output


def page(sandbox: SandboxUnderTest) -> str:
    return str(sandbox.client.v1.checkout.sessions.create(session_params()).url)


def told(*arguments: str) -> tuple[int, dict[str, Any]]:
    code, output = billing(*arguments, "--json")
    return code, json.loads(output)


def test_pay(sandbox: SandboxUnderTest) -> None:
    url = page(sandbox)
    code, result = told("pay", url)
    assert (code, result["outcome"]) == (0, "paid")
    assert result["detail"].startswith("https://shop.example/thanks")
    assert billing("pay", url)[0] != 0
    assert len(sandbox.charges()) == 1
    code, output = billing("books")
    assert code == 0
    assert "payment-1" in output
    assert "999 USD" in output


@pytest.mark.parametrize("card", ["4000000000009995", "4242424242424241"])
def test_pay_with_a_card_that_is_declined(sandbox: SandboxUnderTest, card: str) -> None:
    code, result = told("pay", page(sandbox), "--card", card)
    assert (code, result["outcome"]) == (1, "declined")
    assert sandbox.charges() == []


@pytest.mark.parametrize(("choice", "outcome", "charges"), [("pass", "paid", 1), ("fail", "declined", 0)])
def test_three_d_secure(sandbox: SandboxUnderTest, choice: str, outcome: str, charges: int) -> None:
    card = "4000002760003184"
    _, result = told("pay", page(sandbox), "--card", card, "--authentication", choice)
    assert result["outcome"] == outcome
    assert len(sandbox.charges()) == charges


def test_decline_and_abandon(sandbox: SandboxUnderTest) -> None:
    url = page(sandbox)
    assert told("decline", url)[1]["outcome"] == "declined"
    assert told("abandon", url)[1]["outcome"] == "abandoned"
    assert billing("pay", url)[0] != 0
    assert billing("pay", url + "x")[0] != 0
    assert billing("pay", "http://127.0.0.1:9/pay/x")[0] != 0


def test_faults_and_disputes(sandbox: SandboxUnderTest) -> None:
    assert billing("faults", "add", "refuse", "--count", "1")[0] == 0
    assert "refuse" in billing("faults", "list")[1]
    assert billing("faults", "clear")[0] == 0
    assert billing("faults", "add", "nonsense")[0] != 0
    billing("pay", page(sandbox))
    (charge,) = sandbox.charges()
    code, output = billing("dispute", charge["id"])
    assert code == 0
    assert json.loads(billing("verdict", json.loads(output)["id"], "lost")[1])["status"] == "lost"
    assert billing("card", charge["payment_method"], "--decline", "--reason", "lost_card")[0] == 0
