"""Commands for another key on their way through the gateway: as plain JSON inside of an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from domain.ids import CommandId, derive
from schemas.codec import decode_command, encode, type_of
from schemas.envelope import CommandRecord, EffectRecord, new_command
from schemas.messages import RelayedCommand

if TYPE_CHECKING:
    from datetime import datetime

    from domain.effects import SendCommand


def relayed(effect: SendCommand) -> RelayedCommand:
    """Return the effect as it travels."""
    return RelayedCommand(
        effect_id=effect.effect_id,
        attempt=effect.attempt,
        key=effect.key,
        command_type=type_of(effect.data),
        body=msgspec.json.decode(encode(effect.data)),
    )


def relay(record: EffectRecord, effect: RelayedCommand, *, at: datetime, source: str, actor: str) -> CommandRecord:
    """Return the command that the gateway sends for the effect: the same at each repeat, but for its time.

    Raises WireError where the effect holds no command of ours.
    """
    return new_command(
        command_id=CommandId(derive(effect.effect_id, f"relay {effect.attempt}")),
        key=effect.key,
        time=at,
        source=source,
        actor=actor,
        data=decode_command(effect.command_type, msgspec.json.encode(effect.body)),
        correlation_id=record.correlation_id,
        causation_id=record.id,
    )
