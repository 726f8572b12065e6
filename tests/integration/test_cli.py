"""Commands that need no running stack, and what they say where one is missing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from typer.testing import CliRunner, Result

from cli.common import UsageError, parse_duration
from cli.main import app
from infra.clock import DevelopmentClock, SystemClock, clock_of
from infra.embedded.stack_file import StackFile, own_command, read_stack_file, write_stack_file
from infra.policies import PREFIX
from infra.settings import Settings, load_settings


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    """Whoever runs the tests may have a configuration; these tests have none."""
    monkeypatch.chdir(data_dir)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BILLING_{name.upper()}", raising=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30d", timedelta(days=30)),
        ("12h", timedelta(hours=12)),
        ("1d12h30m5s", timedelta(days=1, hours=12, minutes=30, seconds=5)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1x", "1d ", "1.5d", "99999999999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_clock_is_moved_for_every_reader(data_dir: Path) -> None:
    reader = DevelopmentClock(data_dir / "clock")
    assert abs(reader.now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert run("clock", "advance", "30d", "--data-dir", data_dir).exit_code == 0
    assert reader.offset() == timedelta(days=30)
    assert run("clock", "advance", "1h", "--data-dir", data_dir).exit_code == 0
    assert reader.offset() == timedelta(days=30, hours=1)
    shown = json.loads(run("clock", "show", "--json", "--data-dir", data_dir).stdout)
    assert shown["offset_s"] == 30 * 86_400 + 3_600
    assert run("clock", "reset", "--data-dir", data_dir).exit_code == 0
    assert reader.offset() == timedelta(0)


@pytest.mark.parametrize("duration", ["36526d", "9999999d"])
def test_clock_stays_in_the_calendar(duration: str, data_dir: Path) -> None:
    assert run("clock", "advance", "36525d", "--data-dir", data_dir).exit_code == 0
    run("clock", "reset", "--data-dir", data_dir)
    assert isinstance(run("clock", "advance", duration, "--data-dir", data_dir).exception, UsageError)
    assert DevelopmentClock(data_dir / "clock").offset() == timedelta(0)


def test_clock_does_not_move_in_production(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DevelopmentClock(data_dir / "clock").advance(timedelta(days=1))
    settings = Settings(_env_file=None, environment="production", data_dir=data_dir)
    assert isinstance(clock_of(settings), SystemClock)
    monkeypatch.setenv("BILLING_ENVIRONMENT", "production")
    assert isinstance(run("clock", "advance", "1d", "--data-dir", data_dir).exception, UsageError)


def test_token_is_signed_by_the_key_of_the_data_directory(data_dir: Path) -> None:
    first = run("token", "--account", "alice", "--role", "manager", "--email", "a@example.com", "--data-dir", data_dir)
    key = data_dir / "dev-signing-key.json"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    keys = orjson.loads((data_dir / "dev-jwks.json").read_bytes())
    assert "d" not in keys["keys"][0], "the private part must not be published"
    claims = jwt.decode(first.stdout.strip(), KeySet.import_key_set(keys), algorithms=["ES256"]).claims
    assert claims["sub"] == "alice"
    assert claims["roles"] == ["manager"]
    assert claims["email"] == "a@example.com"
    assert (claims["iss"], claims["aud"]) == ("billing-development", "billing")
    assert claims["exp"] - claims["iat"] == 12 * 3_600

    before = key.read_bytes()
    run("token", "--account", "bob", "--data-dir", data_dir)
    assert key.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value"), [("BILLING_OIDC_ISSUER", "https://id.example.com"), ("BILLING_ENVIRONMENT", "production")]
)
def test_token_is_refused(name: str, value: str, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    result = run("token", "--account", "alice", "--data-dir", data_dir)
    assert isinstance(result.exception, UsageError)
    assert not (data_dir / "dev-signing-key.json").exists()


@pytest.mark.parametrize("account", ["", "catalog/product/1", "al ice", "\N{SNOWMAN}", "a" * 129])
def test_token_for_what_is_no_account(account: str, data_dir: Path) -> None:
    assert isinstance(run("token", "--account", account, "--data-dir", data_dir).exception, UsageError)


def in_a_process(data_dir: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments, "--data-dir", data_dir],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("PARTITIONS", "many", "doctor"),
        ("ENVIRONMENT", "prod", "up"),
        ("LOG_LEVEL", "LOUD", "up"),
        ("DATABASE_URL", "user:a-password@host", "setup"),
        ("OIDC_ISSUER", "", "api"),
    ],
)
def test_a_setting_that_cannot_be_is_named(name: str, value: str, command: str, data_dir: Path) -> None:
    reached = {"BILLING_KAFKA_BOOTSTRAP": "127.0.0.1:1", "BILLING_DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    environment = {**reached, "BILLING_ENVIRONMENT": "production", f"BILLING_{name}": value}
    ended = in_a_process(data_dir, command, **environment)
    assert ended.returncode == 1
    assert ended.stderr.startswith("billing: ")
    assert f"BILLING_{name}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "a-password" not in ended.stderr


@pytest.mark.parametrize("name", ["sandbox-keys.json", "dev-signing-key.json", "clock"])
def test_a_damaged_file_of_the_data_directory_is_named(name: str, data_dir: Path) -> None:
    (data_dir / name).write_text('{"half')
    ended = in_a_process(data_dir, "up", "--port", "0")
    assert ended.returncode == 1
    assert f"{data_dir / name} is damaged" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_doctor_finds_nothing_running(data_dir: Path) -> None:
    result = run("doctor", "--json", "--data-dir", data_dir)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["ok"] is False
    assert document["findings"][0] == {
        "name": "stack",
        "ok": False,
        "detail": f"nothing runs in {data_dir}: `billing up` starts it",
    }


def test_commands_say_how_to_find_a_stack(data_dir: Path) -> None:
    assert "BILLING_DATA_DIR" in str(run("topics", "describe", "--data-dir", data_dir).exception)


def running_stack(pid: int, *command: str) -> StackFile:
    return StackFile(
        supervisor_pid=pid,
        supervisor_command=command or own_command(),
        kafka_bootstrap="127.0.0.1:1",
        database_url="postgresql://localhost/billing",
        api_url="http://127.0.0.1:2",
        sandbox_url="http://127.0.0.1:3",
        partitions=3,
        stripe_secret_key="sk_test_x",
        stripe_webhook_secrets=("whsec_x",),
    )


def test_settings_come_from_the_running_stack(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_dir / "stack.json"
    write_stack_file(path, running_stack(os.getpid()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = load_settings(data_dir=data_dir)
    assert settings.kafka_bootstrap == "127.0.0.1:1"
    assert settings.partitions == 3
    assert settings.api_url == "http://127.0.0.1:2"
    assert settings.stripe_api_base == settings.sandbox_url == "http://127.0.0.1:3"
    assert "sk_test_x" not in repr(settings)

    monkeypatch.setenv("BILLING_KAFKA_BOOTSTRAP", "kafka:9092")
    assert load_settings(data_dir=data_dir).kafka_bootstrap == "kafka:9092"


def test_stack_that_was_killed_is_not_found(data_dir: Path) -> None:
    write_stack_file(data_dir / "stack.json", running_stack(2**22 + 1))
    assert load_settings(data_dir=data_dir).kafka_bootstrap == ""


def test_stack_whose_number_another_process_has_is_not_found(data_dir: Path) -> None:
    write_stack_file(data_dir / "stack.json", running_stack(os.getpid(), "billing", "up"))
    assert load_settings(data_dir=data_dir).kafka_bootstrap == ""


def test_stack_file_of_another_version_is_none(data_dir: Path) -> None:
    (data_dir / "stack.json").write_text('{"half": ')
    assert read_stack_file(data_dir / "stack.json") is None


def test_webhook_secrets_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLING_STRIPE_WEBHOOK_SECRETS", "whsec_a, whsec_b,")
    secrets = Settings(_env_file=None).stripe_webhook_secrets
    assert [secret.get_secret_value() for secret in secrets] == ["whsec_a", "whsec_b"]


def test_every_setting_is_explained_with_its_default() -> None:
    example = Path(__file__).parents[2] / ".env.example"
    stated = {line.split("=")[0] for line in example.read_text("utf-8").splitlines() if line.startswith("BILLING_")}
    stated = {name for name in stated if not name.startswith(PREFIX)}  # policies: see test_policies.py
    assert stated == {f"BILLING_{name.upper()}" for name in Settings.model_fields}
    assert Settings(_env_file=example) == Settings(_env_file=None)
