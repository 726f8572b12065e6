"""A partition's store on RocksDB: ordered bytes, written in one batch. It is a cache of the log and never a truth."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import structlog
from rocksdict import BlockBasedOptions, Options, Rdict, WriteBatch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)

BLOOM_BITS = 10
"""For each key: whether a command was decided before is asked of every one, and nearly none was."""


class StoreUnreadableError(ValueError):
    """The files are damaged, or not a store at all: throw them away and fold the log anew."""


class StoreInUseError(Exception):
    """Another process has the store open: two workers were started with the same name and data directory."""


class RocksStore:
    """Ordered keys and values in one folder, owned by one process."""

    def __init__(self, path: Path) -> None:
        """Open the folder, or make it. Raises StoreUnreadableError, StoreInUseError."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)  # noqa: FBT003  # the binding takes it by position only
        options.set_keep_log_file_num(2)
        options.set_write_buffer_size(16 * 1024 * 1024)
        tables = BlockBasedOptions()
        tables.set_bloom_filter(BLOOM_BITS, block_based=False)
        options.set_block_based_table_factory(tables)
        try:
            self._db = Rdict(str(path), options=options)
        except Exception as error:  # the binding raises nothing narrower
            message = str(error)
            if "LOCK" in message or "lock hold" in message:
                raise StoreInUseError(message) from error
            raise StoreUnreadableError(message) from error

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key. Raises StoreUnreadableError."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # the binding raises nothing narrower
            raise StoreUnreadableError(str(error)) from error
        return value

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and values in order, from `first` to before `last`. Raises StoreUnreadableError."""
        try:
            for key, value in self._db.items(from_key=first):
                assert isinstance(key, bytes), "raw mode gives bytes"
                if key >= last:
                    return
                yield key, value
        except Exception as error:  # the binding raises nothing narrower
            raise StoreUnreadableError(str(error)) from error

    def write(self, puts: Mapping[bytes, bytes], deletes: Iterable[bytes] = ()) -> None:
        """Write all or nothing."""
        batch = WriteBatch(raw_mode=True)
        for key in deletes:
            batch.delete(key)
        for key, value in puts.items():
            batch.put(key, value)
        self._db.write(batch)

    def close(self) -> None:
        """Close the files; whatever was written is kept."""
        self._db.close()

    def destroy(self) -> None:
        """Close and throw everything away."""
        self._db.close()
        destroy(self._path)


def open_store(path: Path) -> RocksStore:
    """Open a store; where its files are damaged, an empty one in its place. Raises StoreInUseError."""
    try:
        return RocksStore(path)
    except StoreUnreadableError as error:
        log.warning("store.discarded", path=path.name, reason=str(error))
        destroy(path)
        return RocksStore(path)


def destroy(path: Path) -> None:
    """Throw a store's folder away, whatever is in it, or the file that stands in its place."""
    if path.is_file():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
