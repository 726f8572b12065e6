"""Decisions about disputes: what the bank takes is no longer ours to give back, and access follows by a policy.

The provider's words may come in any order, twice, and before the word of the payment itself. An end is final against
whatever was said before it; only a later word of another end changes it.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from domain.account.evolve import evolve
from domain.disputes import owing
from domain.disputes.events import DisputeClosed, DisputeLost, DisputeOpened, DisputeWon
from domain.disputes.state import OPEN_STATUSES, DisputeStatus
from domain.entitlements.taking import give_again, taken_by
from domain.errors import DisputeInvalid, PaymentUnknown, ReferenceMismatch
from domain.ids import DisputeId, derive
from domain.money import Money, in_words
from domain.payments.events import PaymentMethodRemoved
from domain.payments.state import Succeeded
from domain.policies.settings import DisputeAccess
from domain.records import replace
from domain.refunds import giving, parts

if TYPE_CHECKING:
    from domain.account.evolve import AccountEvent
    from domain.account.state import Account
    from domain.decider import Command
    from domain.disputes.commands import DisputeReport, ReportDispute
    from domain.disputes.events import DisputeEvent
    from domain.disputes.state import Dispute
    from domain.ids import PaymentId
    from domain.payments.state import Payment

_PROGRESS = {DisputeStatus.NEEDS_RESPONSE: 0, DisputeStatus.UNDER_REVIEW: 1}


def report(account: Account, reported: ReportDispute, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Take a webhook about a dispute. Raises PaymentUnknown, ReferenceMismatch, DisputeInvalid."""
    payment = account.payments.get(reported.payment_id)
    if payment is None:
        raise PaymentUnknown(payment_id=reported.payment_id)
    said = reported.dispute
    if reported.provider != payment.provider:
        raise ReferenceMismatch(payment_id=payment.id, reference=said.reference)
    if said.amount.currency != payment.amount.currency or said.amount.amount <= 0:
        reason = f"{in_words(said.amount)} of a payment of {in_words(payment.amount)}"
        raise DisputeInvalid(reference=said.reference, reason=reason)
    known = account.disputes.get(_id_of(payment, said))
    if known is None:
        return _open(account, payment, said, command)
    if not _is_news(known, said):
        return ()
    if said.status in OPEN_STATUSES:
        return _update(account, payment, known, said, command)
    return _end(account, payment, known, said, command)


def catch_up(account: Account, payment_id: PaymentId, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Apply the disputes that came before the payment's own money to what the money bought."""
    events: list[AccountEvent] = []
    for dispute in tuple(account.disputes.values()):
        payment = account.payments[payment_id]
        if dispute.payment_id != payment_id or not dispute.withheld:
            continue
        is_lost = dispute.status is DisputeStatus.LOST
        gone = _access_that_goes(account, payment, command, payment.disputed, is_lost=is_lost)
        forgotten = _forget_method(account, payment, command) if is_lost else ()
        if gone:
            known = replace(dispute, taken=taken_by(account, gone, command.at))
            events.append(owing.updated(known, payment, command))
        account = reduce(evolve, (*gone, *forgotten), account)
        events += (*gone, *forgotten)
    return tuple(events)


def _id_of(payment: Payment, said: DisputeReport) -> DisputeId:
    return DisputeId(derive(payment.id, f"dispute {said.reference}"))


def _is_news(known: Dispute, said: DisputeReport) -> bool:
    """Tell whether what was said is newer than what is known."""
    if said.status not in OPEN_STATUSES:
        return known.is_open or (said.status is not known.status and said.told_at > known.told_at)
    if not known.is_open:
        # The bank may make a dispute of an inquiry that was closed; nothing else begins again.
        is_escalated = known.status is DisputeStatus.CLOSED and known.is_inquiry and not said.is_inquiry
        return is_escalated and said.told_at > known.told_at
    if said.told_at < known.told_at or (said.is_inquiry and not known.is_inquiry):
        return False
    if said.told_at == known.told_at and _PROGRESS[said.status] < _PROGRESS[known.status]:
        return False
    facts = (known.status, known.is_inquiry, known.amount, known.reason, known.evidence_due_at)
    return facts != (said.status, said.is_inquiry, said.amount, said.reason, said.evidence_due_at)


def _open(
    account: Account, payment: Payment, said: DisputeReport, command: Command[object]
) -> tuple[AccountEvent, ...]:
    """Begin a dispute; where its end is told first, end it at once."""
    status = said.status if said.status in OPEN_STATUSES else DisputeStatus.UNDER_REVIEW
    disputed = payment.disputed + (0 if said.is_inquiry else said.amount.amount)
    ends_at_once = said.status not in OPEN_STATUSES
    gone: tuple[AccountEvent, ...] = ()
    if not said.is_inquiry and not ends_at_once:
        gone = _access_that_goes(account, payment, command, disputed, is_lost=False)
    opened = DisputeOpened(
        dispute_id=_id_of(payment, said),
        payment_id=payment.id,
        order_id=payment.order_id,
        provider=payment.provider,
        reference=said.reference,
        amount=said.amount,
        reason=said.reason,
        is_inquiry=said.is_inquiry,
        status=status,
        evidence_due_at=said.evidence_due_at,
        opened_at=said.opened_at,
        told_at=said.told_at,
        access=command.policies.dispute_access,
        disputed=_money(payment, disputed),
        taken=taken_by(account, gone, command.at),
    )
    if not ends_at_once:
        return (opened, *gone)
    after = evolve(account, opened)
    ended = _end(after, after.payments[payment.id], after.disputes[opened.dispute_id], said, command)
    return (opened, *ended)


def _update(
    account: Account, payment: Payment, known: Dispute, said: DisputeReport, command: Command[object]
) -> tuple[AccountEvent, ...]:
    disputed = payment.disputed - known.withheld + (0 if said.is_inquiry else said.amount.amount)
    gone: tuple[AccountEvent, ...] = ()
    if not said.is_inquiry and not known.taken:
        gone = _access_that_goes(account, payment, command, disputed, is_lost=False)
    now_known = replace(
        known,
        amount=said.amount,
        reason=said.reason,
        is_inquiry=said.is_inquiry,
        status=said.status,
        evidence_due_at=said.evidence_due_at,
        told_at=said.told_at,
        taken=(*known.taken, *taken_by(account, gone, command.at)),
    )
    return (owing.updated(now_known, replace(payment, disputed=disputed), command), *gone)


def _end(
    account: Account, payment: Payment, known: Dispute, said: DisputeReport, command: Command[object]
) -> tuple[AccountEvent, ...]:
    rest = payment.disputed - known.withheld
    if said.status is DisputeStatus.LOST:
        disputed = rest + said.amount.amount
        gone = () if known.taken else _access_that_goes(account, payment, command, disputed, is_lost=True)
        lost = DisputeLost(
            dispute_id=known.id,
            payment_id=payment.id,
            order_id=payment.order_id,
            amount=said.amount,
            told_at=said.told_at,
            access=command.policies.dispute_access,
            disputed=_money(payment, disputed),
            taken=(*known.taken, *taken_by(account, gone, command.at)),
        )
        return (lost, *gone, *_forget_method(account, payment, command))
    kind = DisputeWon if said.status is DisputeStatus.WON else DisputeClosed
    ended: DisputeEvent = kind(
        dispute_id=known.id,
        payment_id=payment.id,
        order_id=payment.order_id,
        amount=said.amount,
        told_at=said.told_at,
        disputed=_money(payment, rest),
    )
    events = (ended, *give_again(account, payment.order_id, known.taken, command))
    return (*events, *owing.give_back(reduce(evolve, events, account), known, command))


def _access_that_goes(
    account: Account, payment: Payment, command: Command[object], disputed: int, *, is_lost: bool
) -> tuple[AccountEvent, ...]:
    """Return what the payment bought and loses now: all or nothing, since a bank disputes the payment, not its lines.

    What it bought as credit of another order is the part of the time there that its money paid for.
    Money that only partly left, by disputes and refunds together, takes nothing back.
    """
    when = command.policies.dispute_access
    is_time = when is DisputeAccess.OPENED or (when is DisputeAccess.LOST and is_lost)
    is_whole = disputed + payment.refunded >= payment.amount.amount
    is_paid = isinstance(payment.phase, Succeeded) and parts.bought_something(account, payment)
    if not (is_time and is_whole and is_paid):
        return ()
    gone = giving.take_back(account, payment, command, is_whole=True)
    credit = parts.carried_over(account, payment)
    return (*gone, *giving.take_credit(reduce(evolve, gone, account), payment, credit, command))


def _forget_method(account: Account, payment: Payment, command: Command[object]) -> tuple[AccountEvent, ...]:
    """Charge the disputed means of payment no more; a renewal finds another one, or none and asks the customer."""
    used = payment.kept_method if payment.method is None else payment.method.method_reference
    is_kept = any(method.method_reference == used for method in account.methods)
    if not command.policies.dispute_lost_forgets_method or used is None or not is_kept:
        return ()
    return (PaymentMethodRemoved(method_reference=used),)


def _money(payment: Payment, amount: int) -> Money:
    return Money(amount=amount, currency=payment.amount.currency)
