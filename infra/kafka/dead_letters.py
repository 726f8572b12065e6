"""Records that nobody could read, kept whole for people: key, value and headers as they came, and why and whence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

REASON_CHARACTERS_MAX = 500
RECORD_BYTES_MAX = 2 * 1024 * 1024
"""What a producer of dead letters must allow (`max_request_size`): they are larger than the record that they hold."""
VALUE_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record for the topic of dead letters, ready for any producer: `send(topic, key=, value=, headers=)`."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def dead_letter(
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes]] | None,
    reason: str,
    role: str,
) -> DeadLetter:
    """Wrap a record that was consumed at `offset` of `topic` and `partition` by the process of the given role.

    `reason` says which rule it breaks and holds nothing of its body, since people read it in lists and logs. Headers
    of ours that the record brings along (it was replayed from here, or somebody plays tricks) are replaced. A value
    that no broker would take again (it came compressed) is cut, and `dead_letter_cut_from` tells its length.
    """
    ours = [
        ("dead_letter_reason", reason[:REASON_CHARACTERS_MAX].encode("utf-8", "replace")),
        ("dead_letter_topic", topic.encode()),
        ("dead_letter_partition", str(partition).encode()),
        ("dead_letter_offset", str(offset).encode()),
        ("dead_letter_by", role.encode()),
    ]
    if value is not None and len(value) > VALUE_BYTES_MAX:
        ours.append(("dead_letter_cut_from", str(len(value)).encode()))
        value = value[:VALUE_BYTES_MAX]
    theirs = [(name, content) for name, content in headers or () if not name.startswith("dead_letter_")]
    return DeadLetter(key=key, value=value, headers=[*theirs, *ours])


def dead_letter_of(record: Any, *, reason: str, role: str) -> DeadLetter:
    """Wrap an `aiokafka.ConsumerRecord` whose key and value were not deserialized."""
    return dead_letter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        reason=reason,
        role=role,
    )
