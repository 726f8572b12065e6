"""Dead letters: what no role could take. People look at them; nothing waits for them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Annotated

from aiokafka.errors import KafkaError
from fastapi import APIRouter
from msgspec import Meta

from api import docs
from api.dependencies import CurrentManager, Cursor, Limit, ServicesDep
from api.problems import Problem
from infra.kafka.standing import ANSWER_DEADLINE_S, DeadLetterSeen, read_letters
from infra.kafka.topics import DEAD_LETTERS_KEPT_DAYS, topics_of
from projections.paging import decode_cursor, page_of
from schemas.http.operations import DeadLetterAnswer, DeadLettersAnswer, UnreadAnswer

router = APIRouter(prefix="/v1/admin/dead-letters", tags=["admin: operations"])

_KEPT = timedelta(days=DEAD_LETTERS_KEPT_DAYS)
_place = attrgetter("at", "partition", "offset")
_PLACE = tuple[Annotated[datetime, Meta(tz=True)], int, int]


@router.get("", responses=docs.problems(400, 401, 403, 503), openapi_extra={"security": [{docs.BEARER: []}]})
async def list_dead_letters(
    services: ServicesDep, _manager: CurrentManager, limit: Limit = 20, cursor: Cursor = None
) -> DeadLettersAnswer:
    """Records that could not be read or decided, newest first, with the reason and without their content.

    The answer says whether all that are kept were looked at.
    """
    before = None if cursor is None else decode_cursor(cursor, _PLACE)
    try:
        async with asyncio.timeout(ANSWER_DEADLINE_S):
            topics = topics_of(services.settings)
            letters = await read_letters(services.settings.kafka_bootstrap, topics, letters_of=_KEPT)
    except (KafkaError, OSError, TimeoutError) as error:
        detail = "The dead letters cannot be read: the broker does not answer."
        raise Problem("broker_unavailable", detail, headers={"Retry-After": "1"}) from error
    rows = [letter for letter in reversed(letters.seen) if before is None or _place(letter) < before]
    page = page_of(rows, limit, _answer, _place)
    unread = tuple(UnreadAnswer(**gap._asdict()) for gap in letters.unread)
    return DeadLettersAnswer(items=page.items, next_cursor=page.next_cursor, complete=not unread, unread=unread)


def _answer(letter: DeadLetterSeen) -> DeadLetterAnswer:
    return DeadLetterAnswer(
        id=f"{letter.partition}:{letter.offset}",
        at=letter.at,
        role=letter.role,
        topic=letter.topic,
        position=letter.position,
        reason=letter.reason,
    )
