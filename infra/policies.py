"""The policies of the business from the environment: `BILLING_POLICY_<NAME>` for each field of the domain's Policies.

The settings are made of the domain's own definition, so that no policy has a default in two places and none is
forgotten. A duration is written as ISO 8601 has it (`P2D`, `PT1H`, `-P3D`), or shorter as `2d`, `12h`, `90m`, `30s`;
a bare number is days. Several durations are separated by commas.
"""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import BeforeValidator, TypeAdapter, ValidationError, create_model
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.policies.settings import Policies, PoliciesInvalidError, require_sound

PREFIX = "BILLING_POLICY_"
_SHORT = re.compile(r"(?P<sign>-?)(?P<number>\d{1,6})(?P<unit>[smhdw]?)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks", "": "days"}
_ISO = TypeAdapter(timedelta)


def parse_duration(text: object) -> timedelta:
    """Return the duration of a text. Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    written = str(text).strip()
    match = _SHORT.fullmatch(written)
    if match:
        length = timedelta(**{_UNITS[match["unit"]]: int(match["number"])})
        return -length if match["sign"] else length
    if not written.lstrip("+-").startswith("P"):
        raise ValueError(f"{written!r} is no duration: write P2D or 2d, PT1H or 1h, -P3D or -3d")
    try:
        return _ISO.validate_python(written)
    except ValidationError:
        raise ValueError(f"{written!r} is no duration of ISO 8601, such as P2D or PT1H") from None


def parse_durations(text: object) -> tuple[timedelta, ...]:
    """Return the durations of a text that has them separated by commas. Raises ValueError."""
    parts = text if isinstance(text, list | tuple) else str(text).split(",")
    return tuple(parse_duration(part) for part in parts)


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Durations = Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(parse_durations)]


class _FromEnvironment(BaseSettings):
    """Where settings come from; an empty variable is one that is not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )


@cache
def _model() -> type[BaseSettings]:
    """Return settings with one field for each policy, and its default."""
    kinds = get_type_hints(Policies)
    special: dict[Any, Any] = {timedelta: Duration, tuple[timedelta, ...]: Durations}
    definitions: dict[str, Any] = {
        policy.name: (special.get(kinds[policy.name], kinds[policy.name]), getattr(Policies(), policy.name))
        for policy in fields(Policies)
    }
    return create_model("PolicySettings", __base__=_FromEnvironment, **definitions)


def load_policies(**overrides: Any) -> Policies:
    """Read the policies from the environment and see that they make sense together. Raises PoliciesInvalidError."""
    try:
        settings = _model()(**overrides)
    except ValidationError as error:
        raise PoliciesInvalidError(problems_in(error, PREFIX)) from None
    policies = Policies(**{policy.name: getattr(settings, policy.name) for policy in fields(Policies)})
    try:
        require_sound(policies)
    except PoliciesInvalidError as error:
        raise PoliciesInvalidError(tuple(_as_variable(problem) for problem in error.problems)) from None
    return policies


def problems_in(error: ValidationError, prefix: str) -> tuple[str, ...]:
    """Return what is wrong with each variable, without what it holds: that may be a secret."""
    return tuple(f"{prefix}{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors(include_url=False))


def _as_variable(problem: str) -> str:
    """A problem begins with the name of its policy; whoever runs the product knows it as a variable."""
    name, _, rest = problem.partition(" ")
    return f"{PREFIX}{name.upper()} {rest}"
