"""The documents come from pydantic, the bodies from msgspec: any message that we can write is as described."""

from __future__ import annotations

import types
import typing
from dataclasses import is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode, encode
from schemas.documents import json_schema
from schemas.messages import MESSAGES

# Decoders know integers of 64 bits and text without lone surrogates, as JSON has it.
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    types.NoneType: st.none(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    timedelta: st.timedeltas(timedelta(days=-36_525), timedelta(days=36_525)),
    Any: st.text() | st.integers(-9, 9),
}


def strategy(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as messages use types."""
    annotation = getattr(annotation, "__supertype__", annotation)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if is_dataclass(annotation):
        hints = typing.get_type_hints(annotation)
        cls: Any = annotation
        return st.builds(cls, **{name: strategy(hint) for name, hint in hints.items()})
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of([strategy(argument) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(strategy(arguments[0]), max_size=2).map(tuple)
    assert origin is not None
    assert issubclass(origin, typing.Mapping), annotation
    return st.dictionaries(strategy(arguments[0]), strategy(arguments[1]), max_size=2)


@pytest.mark.parametrize("wire_type", sorted(MESSAGES))
def test_any_message_is_as_described_and_comes_back_as_it_was(wire_type: str) -> None:
    cls = MESSAGES[wire_type]
    validator = jsonschema.Draft202012Validator(json_schema(wire_type, cls))

    @settings(max_examples=20)
    @given(message=strategy(cls))
    def check(message: Any) -> None:
        body = encode(message)
        validator.validate(orjson.loads(body))
        assert decode(wire_type, body, MESSAGES) == message

    check()
