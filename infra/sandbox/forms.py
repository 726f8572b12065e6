"""Stripe's request encoding: `application/x-www-form-urlencoded` with nested keys (`metadata[a]=1`, `expand[]=b`)."""

from __future__ import annotations

import re
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from infra.sandbox.errors import InvalidParameterError

FIELDS_MAX = 1_000
DEPTH_MAX = 8
METADATA_KEYS_MAX = 50
METADATA_KEY_LENGTH_MAX = 40
METADATA_VALUE_LENGTH_MAX = 500
TEXT_LENGTH_MAX = 5_000

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(encoded: bytes) -> dict[str, Any]:
    """The tree of a form body or a query string; lists come as lists.

    Raises `InvalidParameterError` on what has no reading.
    """
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=FIELDS_MAX,
            errors="strict",
            encoding="utf-8",
        )
    except (ValueError, UnicodeDecodeError):
        raise InvalidParameterError(
            "The request body is not valid form data in UTF-8, or has too many fields."
        ) from None
    tree: dict[str, Any] = {}
    for key, value in pairs:
        _insert(tree, key, value)
    return {key: _lists(value) for key, value in tree.items()}


def _insert(tree: dict[str, Any], key: str, value: str) -> None:
    match = _KEY.match(key)
    if match is None:
        raise InvalidParameterError(
            f"Received unknown parameter: {key[:100]}", code="parameter_unknown", param=key[:100]
        )
    path = [match[1], *_PART.findall(match[2])]
    if len(path) > DEPTH_MAX:
        raise InvalidParameterError(f"Parameter nested too deeply: {key[:100]}", param=key[:100])
    node = tree
    for part in path[:-1]:
        child = node.setdefault(part or str(len(node)), {})
        if not isinstance(child, dict):
            raise InvalidParameterError(f"Invalid object: {key[:100]}", param=key[:100])
        node = child
    last = path[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise InvalidParameterError(f"Invalid object: {key[:100]}", param=key[:100])
    node[last] = value


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    children = {key: _lists(value) for key, value in node.items()}
    if children and all(key.isdecimal() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children


class Params:
    """Typed reading of a decoded tree. What nobody has read by `finish()` is an unknown parameter, as Stripe has it."""

    def __init__(self, tree: dict[str, Any], path: str = "") -> None:
        self._tree = dict(tree)
        self._path = path
        self._children: list[Params] = []

    def __contains__(self, name: str) -> bool:
        return name in self._tree

    def name(self, key: str) -> str:
        """The full name as the client wrote it, for error messages."""
        return f"{self._path}[{key}]" if self._path else key

    def text(self, key: str, *, length_max: int = TEXT_LENGTH_MAX) -> str | None:
        """A string; an empty one reads as unset."""
        value = self._tree.pop(key, None)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self._refuse(key, "Invalid string")
        if len(value) > length_max:
            self._refuse(key, f"Invalid string: must be at most {length_max} characters")
        return value

    def required_text(self, key: str, *, length_max: int = TEXT_LENGTH_MAX) -> str:
        """A string that has to be there."""
        value = self.text(key, length_max=length_max)
        if value is None:
            self.missing(key)
        return value

    def integer(self, key: str) -> int | None:
        """A decimal integer."""
        value = self.text(key, length_max=20)
        if value is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            self._refuse(key, f"Invalid integer: {value[:50]}", code="parameter_invalid_integer")
        return int(value)

    def required_integer(self, key: str) -> int:
        """A decimal integer that has to be there."""
        value = self.integer(key)
        if value is None:
            self.missing(key)
        return value

    def boolean(self, key: str) -> bool | None:
        """`true` or `false`."""
        value = self.text(key)
        if value is None:
            return None
        if value not in {"true", "false"}:
            self._refuse(key, f"Invalid boolean: {value[:50]}")
        return value == "true"

    def choice(self, key: str, allowed: frozenset[str] | set[str]) -> str | None:
        """One of a few words."""
        value = self.text(key)
        if value is not None and value not in allowed:
            self._refuse(key, f"Invalid {self.name(key)}: must be one of {', '.join(sorted(allowed))}")
        return value

    def texts(self, key: str) -> list[str] | None:
        """A list of strings."""
        value = self._tree.pop(key, None)
        if value is None or value == "":
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._refuse(key, "Invalid array")
        return value

    def metadata(self, key: str = "metadata") -> dict[str, str] | None:
        """Stripe's metadata: up to 50 short keys with short texts; an empty text unsets its key."""
        value = self._tree.pop(key, None)
        if value is None or value == "":
            return None
        if isinstance(value, list):
            value = {str(index): item for index, item in enumerate(value)}
        if not isinstance(value, dict) or len(value) > METADATA_KEYS_MAX:
            self._refuse(key, f"Metadata must be an object of at most {METADATA_KEYS_MAX} keys")
        for name, item in value.items():
            if (
                not isinstance(item, str)
                or len(item) > METADATA_VALUE_LENGTH_MAX
                or len(name) > METADATA_KEY_LENGTH_MAX
            ):
                self._refuse(
                    key,
                    f"Metadata keys can have up to {METADATA_KEY_LENGTH_MAX} and values up to "
                    f"{METADATA_VALUE_LENGTH_MAX} characters",
                )
        return value

    def child(self, key: str) -> Params | None:
        """A nested object."""
        value = self._tree.pop(key, None)
        if value is None or value == "":
            return None
        if not isinstance(value, dict):
            self._refuse(key, "Invalid object")
        return self._adopt(Params(value, self.name(key)))

    def children(self, key: str) -> list[Params]:
        """A list of nested objects."""
        value = self._tree.pop(key, None)
        if value is None or value == "":
            return []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._refuse(key, "Invalid array")
        return [self._adopt(Params(item, f"{self.name(key)}[{index}]")) for index, item in enumerate(value)]

    def missing(self, key: str) -> NoReturn:
        """Refuses because the parameter is not there."""
        raise InvalidParameterError(
            f"Missing required param: {self.name(key)}.", code="parameter_missing", param=self.name(key)
        )

    def finish(self) -> None:
        """Refuses what nobody has read, here and in every nested object."""
        for key in self._tree:
            name = self.name(key)[:200]
            raise InvalidParameterError(
                f"Received unknown parameter: {name} (unknown to Stripe, or not offered by this sandbox)",
                code="parameter_unknown",
                param=name,
            )
        for child in self._children:
            child.finish()

    def _adopt(self, child: Params) -> Params:
        self._children.append(child)
        return child

    def _refuse(self, key: str, message: str, *, code: str | None = None) -> NoReturn:
        raise InvalidParameterError(message, code=code, param=self.name(key))
