"""Immutable values that cost little to make: states, commands and events are made by the million.

`dataclass(frozen=True)` pays for its promise at run time: its constructor sets every field through
`object.__setattr__`, and `replace` calls that constructor; both together were a sixth of the engine's CPU. So the
promise is kept by the type checker, which sees the standard `dataclass` and `replace` here and refuses every
assignment; at run time the same classes have plain constructors, and `replace` copies the slots. The values are
compared and hashed as frozen ones are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:
    import dataclasses
    from dataclasses import field
    from functools import cache

    def dataclass(*, frozen, slots, kw_only):
        """Make a dataclass whose fields are set directly. What changes is no record: it is an ordinary dataclass."""
        assert frozen, "use dataclasses.dataclass for what changes"
        assert slots, "without slots a misspelled field would be silently added"
        return dataclasses.dataclass(slots=True, kw_only=kw_only, unsafe_hash=True)

    def replace(value, /, **changes):
        """Return the value with some of its fields changed. Raises AttributeError for a field that it does not have."""
        twin = _copier(value.__class__)(value)
        for name, changed in changes.items():
            setattr(twin, name, changed)
        return twin

    @cache
    def _copier(cls):
        """Return a function that copies a value of the class slot by slot, as `dataclass` writes its constructor."""
        lines = [f"    twin.{item.name} = value.{item.name}" for item in dataclasses.fields(cls)]
        source = "\n".join(["def copy(value):", "    twin = new(cls)", *lines, "    return twin"])
        scope = {"new": object.__new__, "cls": cls}
        exec(source, scope)  # noqa: S102  # the only parts are names of our own fields
        return scope["copy"]


__all__ = ["dataclass", "field", "replace"]
