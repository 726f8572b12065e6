"""One command as it stands on its topic, to be sent again: the same bytes under the same id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.kafka.log_reader import open_log, partition_of
from schemas.codec import WireError
from schemas.envelope import read_command

if TYPE_CHECKING:
    from schemas.envelope import CommandRecord

_SILENCE_S_MAX = 5.0


async def find_command(bootstrap: str, topic: str, *, key: str, offset: int, command_id: str) -> CommandRecord | None:
    """Return the command at the offset of its key's partition, or None where it is no longer there.

    Raises LogReadError where the broker does not answer.
    """
    async with open_log(bootstrap, topic, silence_s_max=_SILENCE_S_MAX) as log:
        partition = partition_of(key.encode(), len(log.partitions))
        try:
            async for record in log.read(partitions=(partition,), start=offset, ends={partition: offset + 1}):
                command = read_command(record.key, record.value, record.headers)
                return command if command.id == command_id else None
        except WireError:
            return None
    return None
