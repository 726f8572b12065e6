"""No secret, token or card number reaches a log, wherever it comes from."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Literal

import pytest
import structlog

from infra.logging import configure_logging, get_logger, redact_text

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """These tests take over the root logger; the others get it back."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.configure(**config)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    "secret",
    [
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "rk_live_abc123",
        "whsec_dGVzdA==",
        "pi_123_secret_456",
        "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
        "4242424242424242",
        "4242 4242 4242 4242",
        "4000-0000-0000-0002",
        "378282246310005",
    ],
)
def test_secrets_in_texts_are_hidden(secret: str) -> None:
    assert secret not in redact_text(f"before {secret} after")
    assert redact_text(f"before {secret} after").endswith(" after")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("postgresql://user:secret@host/db", "postgresql://[redacted]@host/db"),
    ],
)
def test_only_the_secret_part_is_hidden(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "harmless",
    [
        "4242424242424241",  # no card number: its sum is wrong
        "1795223385000",  # a time in milliseconds
        "0b9f5f2e-4242-4242-8242-424242424242",  # an id
        "http://127.0.0.1:8000/v1/orders",
        "postgresql://postgres@/billing",
    ],
)
def test_harmless_texts_stay(harmless: str) -> None:
    assert redact_text(harmless) == harmless


def test_json_lines_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(format="json", role="api")
    log = get_logger("tests")
    log.info(
        "orders.order.placed", order="o1", token="abc", nested={"client_secret": "x", "list": ["whsec_abc"]}, offset=3
    )
    (line,) = lines(capsys)
    assert line["event"] == "orders.order.placed"
    assert (line["role"], line["level"], line["order"], line["offset"]) == ("api", "info", "o1", 3)
    assert line["token"] == "[redacted]"
    assert line["nested"] == {"client_secret": "[redacted]", "list": ["[redacted]"]}


def test_libraries_and_stack_traces_are_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(format="json")
    logging.getLogger("some.library").warning("paid with %s", "4242424242424242")
    try:
        raise ValueError("the key sk_test_abc is wrong")
    except ValueError:
        get_logger("tests").exception("tests.failed")
    first, second = lines(capsys)
    assert first["event"] == "paid with [redacted]"
    assert "the key [redacted] is wrong" in second["exception"]


@pytest.mark.parametrize("format", ["console", "json"])
def test_kafka_client_is_quiet(format: Literal["console", "json"], capsys: pytest.CaptureFixture[str]) -> None:  # noqa: A002
    configure_logging(level="DEBUG", format=format)
    logging.getLogger("aiokafka.consumer").info("noise")
    logging.getLogger("aiokafka.consumer").warning("trouble")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_goes_on_beside_a_command_does_not_write_into_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Tests read what commands print in this very process, while servers of other tests are at work in it."""
    get_logger("tests").warning("gateway.effect.answered")
    assert capsys.readouterr().out == ""
