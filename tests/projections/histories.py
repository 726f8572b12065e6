"""Histories of accounts made by the real deciders, and a way to have them projected without a broker."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg

from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import PriceId
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, ReportPayment
from domain.policies.reactions import pending
from projections.fold import Batch, Place
from projections.writer import Move
from schemas.envelope import read_event
from tests.sample_log import OFFERS, SampleLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from domain.payments.state import Payment
    from infra.kafka.log_reader import LogRecord
    from projections.writer import Writer

TOPIC = "billing.events"


def wander(log: SampleLog, account: str, steps: int, random: Random) -> None:
    """Let the account do whatever the deciders allow, the rare and the late included."""
    for _ in range(steps):
        state = log.accounts.get(account)
        payments = [] if state is None else list(state.payments.values())
        choice = random.random()
        if not payments or choice < 0.15:
            price_ids = random.sample(sorted(OFFERS), random.randint(1, len(OFFERS)))
            items = tuple(OrderItem(price_id=PriceId(price_id)) for price_id in price_ids)
            log.do(account, PlaceOrder(items=items, provider="stripe", auto_renew=random.random() < 0.5))
        elif choice < 0.35 and state is not None:
            timers = pending(state)
            if timers:
                timer = random.choice(timers)
                log.now = max(log.now, timer.due_at)
                log.do(account, timer.data)
        elif choice < 0.42:
            log.cancel(account, random.choice(payments).order_id)
        else:
            log.do(account, _told(random.choice(payments), random))


def _told(payment: Payment, random: Random) -> AnswerCall | ReportPayment:
    """What the gateway or a webhook says, whether it fits or not."""
    status = random.choice([AnswerStatus.SUCCEEDED, AnswerStatus.ACTION_REQUIRED, *AnswerStatus])
    answer = ProviderAnswer(
        status=status,
        reference=payment.reference or f"cs_{payment.id}",
        confirmation_url=f"http://pay.example/{payment.id}",
        detail="as it is",
        decline_reason="card_declined",
    )
    if status is AnswerStatus.SUCCEEDED:
        answer = replace(answer, amount=payment.amount, paid_at=payment.created_at, method_label="visa •••• 4242")
    if payment.call is not None and random.random() < 0.7:
        call = payment.call
        return AnswerCall(payment_id=payment.id, effect_id=call.effect_id, attempt=call.attempt, answer=answer)
    return ReportPayment(payment_id=payment.id, provider="stripe", report_id="evt", answer=answer)


def folded(records: Iterable[LogRecord]) -> Batch:
    """The records as one batch."""
    batch = Batch()
    for record in records:
        event = read_event(record.key, record.value, record.headers)
        batch.add_event(event, Place(record.partition, record.offset))
    return batch


async def project(writer: Writer, records: list[LogRecord], cuts: Iterable[int] = ()) -> None:
    """Write the records in batches that end at the cuts, as if all were of one partition."""
    bounds = [0, *sorted(cuts), len(records)]
    for start, end in pairwise(bounds):
        expected = (await writer.positions([(TOPIC, 0)]))[TOPIC, 0]
        move = Move(topic=TOPIC, partition=0, expected=expected, reached=expected + end - start)
        await writer.write(folded(records[start:end]), [move])


def dump(database_url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of ours."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'billing' ORDER BY 1"
        ).fetchall()
        return {
            name: sorted(connection.execute(f'SELECT * FROM billing."{name}"'.encode()).fetchall(), key=repr)
            for (name,) in names
        }
