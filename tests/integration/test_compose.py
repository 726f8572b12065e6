"""The files for containers name only what there is; whether the containers run, only a machine with Docker can tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from api.app import create_app
from cli.main import app
from infra.policies import PREFIX
from infra.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ROLES = [name for name, service in SERVICES.items() if service["image"] == "billing"]


@pytest.mark.parametrize("name", ROLES)
def test_a_role_is_a_command(name: str) -> None:
    command: Any = get_command(app)
    words = iter(SERVICES[name]["command"])
    with command.make_context("billing", [], resilient_parsing=True) as context:
        while hasattr(command, "commands"):
            word = next(words)
            command = command.get_command(context, word)
            assert command is not None, f"`billing` has no command {word!r}"
        command.make_context(name, list(words), parent=context)


@pytest.mark.parametrize("file", ["docker-compose.yml", "Dockerfile", ".env.example"])
def test_variables_are_settings(file: str) -> None:
    named = set(re.findall(r"\bBILLING_[A-Z_]+\b", (ROOT / file).read_text()))
    policies = {name for name in named if name.startswith(PREFIX)}
    assert named - policies <= {f"BILLING_{name.upper()}" for name in Settings.model_fields} | {"BILLING_CACHE_DIR"}


def test_the_values_of_the_roles_are_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ROLES:
        with monkeypatch.context() as environment:
            for variable, value in SERVICES[name]["environment"].items():
                environment.setenv(variable, re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))
            settings = Settings(_env_file=None)
        assert settings.kafka_bootstrap == "kafka:9092"
        assert settings.stripe_secret_key.get_secret_value() == "sk_test_compose"


def test_services_and_volumes_are_there() -> None:
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"]
    for service in SERVICES.values():
        assert service.get("depends_on", {}).keys() <= SERVICES.keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in volumes
    door = (ROOT / "infra/compose/nginx/default.conf").read_text()
    (upstream,) = re.findall(r"server (\w+):8000;", door)
    assert upstream in ROLES


def test_health_is_asked_for_where_it_is_told() -> None:
    (asked,) = re.findall(r"http://127.0.0.1:8000(/[\w/]+)", str(SERVICES["api"]["healthcheck"]["test"]))
    assert asked in create_app(Settings(_env_file=None)).openapi()["paths"]
