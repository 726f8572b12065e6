"""A partition's store in memory, with the same contract as the one on RocksDB."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class MemoryStore:
    """Ordered keys and values that end with the process.

    Keys are kept in order by their first byte, and only where somebody looks through them: most keys, one for each
    command that was ever decided, are only looked up.
    """

    def __init__(self) -> None:
        self._items: dict[bytes, bytes] = {}
        self._ordered: dict[int, list[bytes]] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""
        return self._items.get(key)

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order, from `first` to before `last`."""
        for head in range(first[0] if first else 0, last[0] + 1):
            if keys := self._in_order(head):
                for key in keys[bisect_left(keys, first) : bisect_left(keys, last)]:
                    yield key, self._items[key]

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Write all or nothing."""
        items = self._items
        for key in deletes:
            if items.pop(key, None) is not None and (keys := self._ordered.get(key[0])):
                del keys[bisect_left(keys, key)]
        for key in puts:
            if key not in items and (keys := self._ordered.get(key[0])) is not None:
                insort(keys, key)
        items.update(puts)

    def close(self) -> None:
        """Nothing to close."""

    def destroy(self) -> None:
        """Throw everything away."""
        self._items.clear()
        self._ordered.clear()

    def _in_order(self, head: int) -> list[bytes]:
        keys = self._ordered.get(head)
        if keys is None:
            keys = self._ordered[head] = sorted(key for key in self._items if key[0] == head)
        return keys
