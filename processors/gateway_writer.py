"""What the gateway writes: answers and dead letters, each acknowledged by the broker before its effect is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from infra.kafka.command_sender import SendRefusedError, SendUnknownError
from infra.logging import get_logger

if TYPE_CHECKING:
    from infra.kafka.dead_letters import DeadLetter
    from schemas.envelope import CommandRecord

log = get_logger(__name__)
ATTEMPTS_MAX = 6
RETRY_DELAY_S = 1.0


class AnswerNotSentError(Exception):
    """The broker did not confirm an answer within all attempts: whether it has it is not known."""


class Commands(Protocol):
    """The way into `billing.commands`: `infra.kafka.command_sender.CommandSender`, or memory."""

    def start(self) -> None:
        """Begin to connect."""

    async def stop(self) -> None:
        """Disconnect, within bounds."""

    async def send(self, command: CommandRecord) -> object:
        """Return when the broker has the command. Raises SendRefusedError, SendUnknownError."""


class DeadLetters(Protocol):
    """The way to the dead letters: `infra.kafka.dead_letter_sender.DeadLetterSender`, or memory."""

    async def send(self, letter: DeadLetter) -> None:
        """Return when the broker has it. Raises DeadLetterNotSentError."""


class GatewayWriter:
    """Sends again what was not acknowledged. What arrives twice so does no harm: its id is the same."""

    def __init__(self, commands: Commands, dead_letters: DeadLetters) -> None:
        self._commands = commands
        self._dead_letters = dead_letters

    def start(self) -> None:
        """Begin to connect."""
        self._commands.start()

    async def stop(self) -> None:
        """Disconnect, within bounds."""
        await self._commands.stop()

    async def send_answer(self, command: CommandRecord) -> None:
        """Return when the broker has the command. Raises AnswerNotSentError after a bit more than a minute."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await self._commands.send(command)
            except (SendRefusedError, SendUnknownError) as error:
                log.warning("gateway.answer.not_acknowledged", command_id=command.id, attempt=attempt, error=str(error))
                await asyncio.sleep(RETRY_DELAY_S)
            else:
                return
        raise AnswerNotSentError(f"no acknowledgement in {ATTEMPTS_MAX} attempts")

    async def send_dead_letter(self, letter: DeadLetter) -> None:
        """Return when the broker has the dead letter. Raises DeadLetterNotSentError."""
        await self._dead_letters.send(letter)
