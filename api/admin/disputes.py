"""Disputes, for managers: look. Nobody but the bank changes them."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api import docs
from api.dependencies import ID_LENGTH_MAX, CurrentManager, Cursor, Limit, Reader, ResourceId
from api.problems import Problem
from domain.disputes.state import DisputeStatus
from projections import disputes
from projections.disputes import DisputeFilter, DisputeView
from schemas.http.disputes import ChangeAnswer, DisputeAnswer, DisputeDetailAnswer
from schemas.http.fields import Moment, MoneyAnswer, PageAnswer

router = APIRouter(prefix="/v1/admin/disputes", tags=["admin: disputes"])

Name = Annotated[str | None, Query(max_length=ID_LENGTH_MAX)]
DueBefore = Annotated[
    Moment | None, Query(description="Open disputes whose evidence is due before this moment (RFC 3339).")
]


@router.get("", **docs.query(403))
async def list_disputes(
    _manager: CurrentManager,
    connection: Reader,
    *,
    limit: Limit = 20,
    cursor: Cursor = None,
    account: Name = None,
    payment_id: Name = None,
    status: DisputeStatus | None = None,
    due_before: DueBefore = None,
) -> PageAnswer[DisputeAnswer]:
    """Disputes of all customers, newest first."""
    wanted = DisputeFilter(account=account, payment_id=payment_id, status=status, due_before=due_before)
    page = await disputes.list_page(connection, wanted, limit=limit, cursor=cursor)
    return PageAnswer(
        items=tuple(DisputeAnswer(**_facts(dispute)) for dispute in page.items), next_cursor=page.next_cursor
    )


@router.get("/{dispute_id}", **docs.query(403, 404))
async def get_dispute(_manager: CurrentManager, connection: Reader, dispute_id: ResourceId) -> DisputeDetailAnswer:
    """One dispute with its history."""
    dispute = await disputes.get(connection, dispute_id)
    if dispute is None:
        raise Problem("dispute_unknown", f"There is no dispute {dispute_id!r}.")
    history = await disputes.history(connection, dispute.account, dispute.id)
    changes = tuple(
        ChangeAnswer(
            event_id=change.event_id,
            event_type=change.event_type,
            at=change.at,
            actor=change.actor,
            command_id=change.command_id,
            changes=change.changes,
        )
        for change in history
    )
    return DisputeDetailAnswer(**_facts(dispute), history=changes)


def _facts(dispute: DisputeView) -> dict[str, Any]:
    facts = {field.name: getattr(dispute, field.name) for field in fields(dispute) if field.name != "updated_at"}
    return facts | {"amount": MoneyAnswer.of(dispute.amount)}
