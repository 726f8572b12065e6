"""Where a command must stand to be decided: under its own key, in the partition of that key."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from domain.catalog import entries
from domain.ids import CATALOG_PREFIX
from infra.kafka.log_reader import partition_of

if TYPE_CHECKING:
    from schemas.envelope import CommandRecord

WRONG_PARTITION = "the command stands in another partition than its key belongs to"
_partition_of = lru_cache(maxsize=8_192)(partition_of)


def wrong_key(command: CommandRecord) -> str | None:
    """Tell what is wrong with the key; None where it is right.

    A command of the catalogue must stand under its entry's key, and no other command under any key of the catalogue.
    """
    key = entries.key_of(command.data)
    if key is not None:
        return None if command.key == key else "a command of the catalogue stands under the wrong key"
    if command.key.startswith(CATALOG_PREFIX):
        return f"a {command.type} stands under a key of the catalogue"
    return None


def is_at_home(key: str, partition: int, partitions: int) -> bool:
    """Tell whether the key belongs to the partition, among so many."""
    return _partition_of(key.encode(), partitions) == partition


def misplaced(command: CommandRecord, partition: int, partitions: int) -> str | None:
    """Tell why a command will never be decided where it stands; None where it will."""
    return wrong_key(command) or (None if is_at_home(command.key, partition, partitions) else WRONG_PARTITION)
