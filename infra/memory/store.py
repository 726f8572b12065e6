"""A partition's store in memory, with the same contract as the one on RocksDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class MemoryStore:
    """Ordered keys and values that end with the process."""

    def __init__(self) -> None:
        self._items: SortedDict[bytes, bytes] = SortedDict()

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key."""
        value: bytes | None = self._items.get(key)
        return value

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order, from `first` to before `last`."""
        for key in list(self._items.irange(first, last, inclusive=(True, False))):
            yield key, self._items[key]

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Write all or nothing."""
        for key in deletes:
            self._items.pop(key, None)
        self._items.update(puts)

    def close(self) -> None:
        """Nothing to close."""

    def destroy(self) -> None:
        """Throw everything away."""
        self._items.clear()
