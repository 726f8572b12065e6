"""What waits past its deadline: look, and have it gone on with by one harmless call."""

from __future__ import annotations

import asyncio
from collections import Counter
from operator import attrgetter

from aiokafka.errors import KafkaError
from fastapi import APIRouter, Request, Response

from api import docs
from api.commanding import Answer, Ask, carry_out, path_id, read_ask
from api.dependencies import CurrentManager, Limit, Now, Reader, ServicesDep
from api.problems import Problem
from api.reading import reading
from api.services import Services
from api.views import overdue_item, resumed_answer
from domain.operations.commands import ResumeOverdue
from infra.kafka.command_finder import find_command
from infra.kafka.log_reader import LogReadError
from infra.kafka.standing import ANSWER_DEADLINE_S, read_standing
from infra.kafka.topics import topics_of
from infra.logging import get_logger
from projections import overdue
from projections.commands import CommandView
from projections.overdue import PATIENCE, PendingCommand
from schemas.envelope import CommandRecord
from schemas.http.commands import PendingAnswer
from schemas.http.operations import OverdueAnswer, ResumedAnswer
from schemas.http.orders import NoBody

log = get_logger(__name__)

router = APIRouter(prefix="/v1/admin/overdue", tags=["admin: operations"])


@router.get("", **docs.manager_query())
async def list_overdue(
    services: ServicesDep, _manager: CurrentManager, connection: Reader, now: Now, limit: Limit = 100
) -> OverdueAnswer:
    """All that waits too long, the longest first, each with its age and its cause."""
    counts = Counter({str(kind): number for kind, number in (await overdue.count(connection, now)).items()})
    items = list(await overdue.list_oldest(connection, now, limit=limit))
    unknown: tuple[str, ...] = ()
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            topics = topics_of(services.settings)
            standing = await read_standing(services.settings.kafka_bootstrap, topics, letters_of=PATIENCE.letters)
        of_broker = overdue.of_standing(standing, now)
        unknown = ("dead_letters",) if standing.letters.unread else ()
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("overdue.broker.silent", error=repr(error))
        of_broker, unknown = (), ("broker",)
    counts.update(str(item.kind) for item in of_broker)
    items = sorted((*of_broker, *items), key=attrgetter("deadline"))[:limit]
    shown = tuple(overdue_item(item, now) for item in items)
    return OverdueAnswer(now=now, counts=dict(counts), items=shown, unknown=unknown)


@router.post("/{overdue_id}/resume", **docs.command(NoBody, ResumedAnswer))
async def resume_overdue(request: Request) -> Response:
    """Go on with what waits: a call is made again with the same idempotency key, a timer that is due is fired.

    Where nothing waits any more, nothing happens. A command without outcome is sent again under its own id.
    """
    overdue_id = path_id(request, "overdue_id")
    ask: Ask[NoBody] = await read_ask(request, NoBody, needs_manager=True)
    async with reading(ask.services.engine) as connection:
        waiting = await overdue.get_waiting(connection, overdue_id)
        pending = None if waiting is not None else await overdue.get_pending_command(connection, overdue_id)
    if pending is not None:
        return await _send_again(ask, pending)
    if waiting is None:
        raise Problem("overdue_unknown", f"Nothing of the id {overdue_id!r} waits, or ever waited.")

    async def show(_view: CommandView, _deadline: float) -> Answer | None:
        async with reading(ask.services.engine) as connection:
            after = await overdue.get_waiting(connection, overdue_id)
        return None if after is None else Answer(resumed_answer(after))

    return await carry_out(ask, waiting.account, ResumeOverdue(subject=waiting.subject), show)


async def _send_again(ask: Ask[NoBody], pending: PendingCommand) -> Response:
    command = None
    if pending.offset is not None:
        command = await _found(ask.services, pending, pending.offset)
    if command is None:
        raise Problem("command_expired", f"The command {pending.id!r} is no longer on its topic.")
    await ask.services.intake.report(command)
    location = f"/v1/commands/{pending.id}"
    return Response(
        PendingAnswer(id=pending.id).model_dump_json(), 202, {"Location": location}, media_type="application/json"
    )


async def _found(services: Services, pending: PendingCommand, offset: int) -> CommandRecord | None:
    topic = topics_of(services.settings).commands
    try:
        return await find_command(
            services.settings.kafka_bootstrap, topic, key=pending.account, offset=offset, command_id=pending.id
        )
    except LogReadError as error:
        raise Problem("broker_unavailable", f"The command cannot be read: {error}.") from error
