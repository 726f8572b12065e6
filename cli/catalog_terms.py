"""A product's own terms as a catalogue's file has them, both ways: durations as in the settings, `2d` or `P2D`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from domain.policies.terms import Terms


def read_terms(entry: dict[str, Any]) -> None:
    """Put ISO 8601 in the place of every duration of a product. Raises ValueError, naming the policy."""
    from infra.policies import parse_duration

    def as_iso(name: str, written: Any) -> Any:
        if written is None or isinstance(written, bool):
            return written
        try:
            return _iso(parse_duration(written))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"terms.{name}: {error}") from None

    terms = entry.get("terms")
    if not isinstance(terms, dict):
        return
    for name, said in terms.items():
        terms[name] = [as_iso(name, each) for each in said] if isinstance(said, list) else as_iso(name, said)


def terms_document(terms: Terms) -> dict[str, Any]:
    """What a product has of its own, as a file has it."""

    def written(said: Any) -> Any:
        return _iso(said) if isinstance(said, timedelta) else said

    return {
        name: [written(each) for each in said] if isinstance(said, tuple) else written(said)
        for name, said in terms.named.items()
    }


def _iso(length: timedelta) -> str:
    from pydantic import TypeAdapter

    written: str = TypeAdapter(timedelta).dump_python(length, mode="json")
    return written
