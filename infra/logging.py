"""Structured logs: one event per line, named by dotted nouns (`engine.partition.opened`), with fields.

Secrets, tokens and card numbers never reach an output, wherever they come from: the redacting processor stands last
before the renderer, behind our own events and those of libraries alike.
"""

from __future__ import annotations

import logging
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from structlog.typing import Processor

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"secret|token|passw(or)?d|passphrase|authorization|cookie|credential|api_?key|private_?key|signature|"
    r"card_?number|^(card|number|pan|cvc|cvv)$",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"\b(?:sk|rk|pk)_(?:test|live)_\w+"  # keys of a Stripe account
    r"|\bwhsec_[\w+/=]+"  # webhook signing secrets
    r"|\b\w+_secret_\w+"  # client secrets of payment and setup intents
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]*"  # JSON Web Tokens
    r"|(?<=\bBearer )[\w.~+/=-]+"
    r"|(?<=\bBasic )[\w+/=-]+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # user and password inside an address
    re.IGNORECASE,
)
_SECRET_MARKS = ("_test_", "_live_", "whsec_", "_secret_", "eyj", "bearer ", "basic ", "://")
"""One of these stands in whatever `_SECRET_TEXT` finds: looking for them costs a fifth, and most texts have none."""
_DIGITS = re.compile(r"(?<![\w-])[2-6](?:[ -]?\d){12,18}(?![\w-])")
_NESTING_MAX = 6
_NAMES_CACHED = 1_024


def _is_card_number(digits: str) -> bool:
    """The Luhn sum that every card number carries; nearly all other long numbers fail it."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (2 if index % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004  the cross sum of a two-digit product
    return total % 10 == 0


def redact_text(text: str) -> str:
    """The same text without secrets, tokens and card numbers."""
    folded = text.casefold()
    if any(mark in folded for mark in _SECRET_MARKS):
        text = _SECRET_TEXT.sub(REDACTED, text)
    return _DIGITS.sub(lambda match: REDACTED if _is_card_number(re.sub(r"\D", "", match[0])) else match[0], text)


@lru_cache(_NAMES_CACHED)
def _is_secret(name: str) -> bool:
    """Whether what bears this name is hidden whole."""
    return _SECRET_NAME.search(name) is not None


def redact_value(name: str, value: object, depth: int = 0) -> object:
    """The value of a field as it may be written: hidden whole where its name says so, else cleaned inside."""
    if value is not None and not isinstance(value, bool) and _is_secret(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if depth >= _NESTING_MAX:
        return "[too deep]"
    if isinstance(value, dict):
        return {key: redact_value(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value("", item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        cleaned = redact_text(str(value))
        return value if cleaned == str(value) else cleaned
    return redact_text(str(value))


def redact_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """The structlog processor that every event passes last."""
    return {name: redact_value(name, value) for name, value in event.items()}


def configure_logging(*, level: str = "INFO", format: str = "console", role: str = "") -> None:  # noqa: A002
    """Send our events and those of every library to stderr, in one form.

    `format` is `json` for machines or `console` for people; `role` is added to every event.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact_secrets, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Debug lines of the Kafka client alone cost a third of the engine's CPU; HTTP clients log whole addresses at INFO.
    for noisy in ("aiokafka", "alembic", "faust", "mode", "httpx", "httpcore", "stripe", "urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.contextvars.clear_contextvars()
    if role:
        structlog.contextvars.bind_contextvars(role=role)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one module, used as `log.info("engine.partition.opened", partition=3)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
