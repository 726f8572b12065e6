"""The way of a command into the log: once, however often and in how many copies it is asked for."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.problems import Problem
from infra.kafka.command_sender import SendRefusedError, SendUnknownError
from infra.logging import get_logger
from schemas.envelope import new_command

if TYPE_CHECKING:
    from api.lookups import CommandLookups
    from api.metrics import Metrics
    from domain.ids import CommandId
    from domain.ports import Clock
    from infra.kafka.command_sender import CommandSender
    from projections.commands import CommandView
    from schemas.envelope import CommandRecord

log = get_logger(__name__)

SOURCE = "billing/api"
_REMEMBERED_S = 60.0
_REMEMBERED_MAX = 16_384
_RETRY_AFTER = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A client's request as far as its identity goes."""

    request_id: str
    account: str
    actor: str
    command_id: CommandId
    body_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The first request with this command id, as far as is known: from the read model, or from this process."""

    request_id: str
    body_hash: str | None
    view: CommandView | None


@dataclass(slots=True)
class _Remembered:
    at: float
    known: asyncio.Future[Known]


class Intake:
    """Sends each command once and recognises repeats, also those that come while the first is on its way.

    A command's id is derived from its account and idempotency key, so even where a repeat is not recognised here (two
    processes at the same moment), the engine decides one of them and the outcome names it.
    """

    def __init__(self, sender: CommandSender, lookups: CommandLookups, clock: Clock, metrics: Metrics) -> None:
        self._sender = sender
        self._lookups = lookups
        self._clock = clock
        self._metrics = metrics
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()

    async def take(self, request: Request, key: str, data: Any) -> Known:
        """Have the command in the log, and tell whose it is: this request's, or an earlier one's.

        Raises Problem: broker or database are away, or too much is under way. Repeats that come while the first one is
        on its way get what the first one gets.
        """
        now = time.monotonic()
        remembered = self._remembered.get(request.command_id)
        if remembered is not None and now - remembered.at < _REMEMBERED_S:
            await asyncio.wait((remembered.known,))
            return remembered.known.result()
        remembered = self._remember(request.command_id, now)
        try:
            known = await self._find_or_send(request, key, data)
        except BaseException as error:
            self.forget(request.command_id)
            failure = error if isinstance(error, Exception) else Problem("broker_unavailable", "The API is stopping.")
            remembered.known.set_exception(failure)
            remembered.known.exception()  # there may be no repeat that takes it
            raise
        remembered.known.set_result(known)
        return known

    async def report(self, command: CommandRecord) -> None:
        """Have a command in the log that no customer asked for, such as a webhook's. Raises Problem."""
        await self._send(command)

    def forget(self, command_id: str) -> None:
        """What was remembered about a command turned out otherwise: ask the read model from now on."""
        self._remembered.pop(command_id, None)

    def _remember(self, command_id: str, now: float) -> _Remembered:
        """Claim the command id, before anything is awaited."""
        remembered = _Remembered(now, asyncio.get_running_loop().create_future())
        self._remembered[command_id] = remembered
        self._remembered.move_to_end(command_id)
        if len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return remembered

    async def _find_or_send(self, request: Request, key: str, data: Any) -> Known:
        view = await self._lookups.get(request.command_id)
        if view is not None:
            return Known(request_id=view.correlation_id, body_hash=view.body_hash, view=view)
        await self._send(
            new_command(
                command_id=request.command_id,
                key=key,
                time=self._clock.now(),
                source=SOURCE,
                actor=request.actor,
                data=data,
                correlation_id=request.request_id,
                causation_id=request.request_id,
                body_hash=request.body_hash,
            )
        )
        return Known(request_id=request.request_id, body_hash=request.body_hash, view=None)

    async def _send(self, command: CommandRecord) -> None:
        try:
            await self._sender.send(command)
        except SendRefusedError as error:
            self._metrics.refused.inc()
            raise Problem(
                "overloaded", "Too much is under way; try again in a moment.", headers=_RETRY_AFTER
            ) from error
        except SendUnknownError as error:
            self._metrics.unsure.inc()
            log.warning("http.command.unsure", command_id=command.id, command_type=command.type, error=str(error))
            raise Problem("broker_unavailable", _UNSURE, headers=_RETRY_AFTER) from error
        self._metrics.sent.inc()


_UNSURE = (
    "The log did not confirm the command in time, so it is not known whether it will be carried out. "
    "Repeat the request with the same Idempotency-Key: it happens at most once."
)
