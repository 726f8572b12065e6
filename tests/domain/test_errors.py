"""Every rule has a stable code of its own, a sentence without holes, and a spec that breaks it."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from domain import errors
from domain.errors import DomainError

RULES = [
    rule
    for _, rule in inspect.getmembers(errors, inspect.isclass)
    if issubclass(rule, DomainError) and rule != DomainError
]


@pytest.mark.parametrize("rule", RULES)
def test_its_sentence_and_facts(rule: type[DomainError]) -> None:
    error = rule(**{field.name: f"<{field.name}>" for field in fields(rule)})  # type: ignore[arg-type]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert error.detail.endswith(".")
    assert "{" not in error.detail
    assert all(isinstance(fact, str) for fact in error.facts.values())
    assert str(error) == f"{error.code}: {error.detail}"


def test_codes_are_unique() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_some_spec_breaks_it(rule: type[DomainError]) -> None:
    specs = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf"then_rejected\(\s*{rule.__name__}\b", specs)
