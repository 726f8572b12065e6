"""Reading on where the client gives up: a header's name may be any bytes on the wire, and aiokafka takes only UTF-8.

The broker takes such a record, and clients in C send it without a word. aiokafka then raises out of every fetch, and
the partition stands still for ever. Here such a name is read with its strange bytes escaped (`\\xff`), so that the
record comes like any other and is judged like any other. Only a batch in which it happens is read in Python.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC_OF_HEADERS = 2
"""The version of the format that has headers."""


def accept_any_header_name() -> None:
    """Let every aiokafka consumer of this process read on. Harmless when called again."""
    fetcher.MemoryRecords = _TolerantRecords


class _TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka ships no types
    """What one fetch brought of a partition, batch by batch."""

    def next_batch(self, *positional: Any) -> Any:
        """Return the next batch, the fast one in front of the tolerant one."""
        content = self._next_slice
        batch = super().next_batch(*positional)
        if batch is None or batch.magic < _MAGIC_OF_HEADERS or batch.is_control_batch:
            return batch  # markers of transactions have no headers, and aiokafka takes theirs one by one
        return _TolerantBatch(batch, content)


class _TolerantBatch:
    """A batch as aiokafka reads it, until it meets such a name."""

    def __init__(self, batch: Any, content: memoryview) -> None:
        self._batch = batch
        self._content = content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_LenientBatch(self._content), read, None)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # likewise
    """The batch read in Python, with lenient names."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _LenientBuffer(self._buffer)


class _LenientBuffer(bytearray):
    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return _LenientName(found) if isinstance(key, slice) else found


class _LenientName(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del errors
        return super().decode(encoding, "backslashreplace")
