"""The books for managers: balances at any moment, and the journal."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api import docs
from api.dependencies import CurrentManager, Cursor, Limit, Now, Reader
from projections import ledger_queries
from projections.ledger_queries import EntryView
from schemas.http.fields import Moment, MoneyAnswer, PageAnswer
from schemas.http.ledger import BalanceAnswer, BalancesAnswer, EntryAnswer, PostingAnswer

router = APIRouter(prefix="/v1/admin/ledger", tags=["admin: books"])

_NAME_MAX = 255
Name = Annotated[str | None, Query(min_length=1, max_length=_NAME_MAX)]


@router.get("/balances", **docs.query(403))
async def read_balances(
    _manager: CurrentManager,
    connection: Reader,
    now: Now,
    at: Annotated[Moment | None, Query(description="A moment, RFC 3339; without it: now.")] = None,
) -> BalancesAnswer:
    """Every ledger account as it stood at a moment, or will stand if nothing more happens."""
    moment: datetime = at or now
    found = await ledger_queries.balances(connection, moment)
    return BalancesAnswer(at=moment, items=tuple(BalanceAnswer(**asdict(row)) for row in found))


@router.get("/entries", **docs.query(403))
async def list_entries(
    _manager: CurrentManager,
    connection: Reader,
    account: Name = None,
    ledger_account: Name = None,
    limit: Limit = 20,
    cursor: Cursor = None,
) -> PageAnswer[EntryAnswer]:
    """The journal, newest first: of everybody, of one customer's account, or what touches one ledger account."""
    page = await ledger_queries.list_entries(
        connection, account=account, ledger_account=ledger_account, limit=limit, cursor=cursor
    )
    return PageAnswer(items=tuple(map(_entry, page.items)), next_cursor=page.next_cursor)


def _entry(entry: EntryView) -> EntryAnswer:
    return EntryAnswer(
        account=entry.account,
        sequence=entry.sequence,
        event_id=entry.event_id,
        event_type=entry.event_type,
        command_id=entry.command_id,
        actor=entry.actor,
        order_id=entry.order_id,
        at=entry.at,
        postings=tuple(
            PostingAnswer(debit=posting.debit, credit=posting.credit, amount=MoneyAnswer.of(posting.amount))
            for posting in entry.postings
        ),
    )
