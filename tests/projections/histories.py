"""Histories of accounts made by the real deciders, and a way to have them projected without a broker."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg

from domain.balance.commands import GrantCredit, TakeBackCredit
from domain.disputes.commands import DisputeReport, ReportDispute
from domain.disputes.state import DisputeStatus
from domain.effects import AnswerStatus, ProviderAnswer, RefundAnswer, RefundAnswerStatus
from domain.grants.commands import EndGrant, GiveGrant, RevokeGrant
from domain.ids import DiscountId, OrderId, PriceId, Resource, SubscriptionId, derive
from domain.money import Money
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall, RemovePaymentMethod, ReportPayment, SweepPayment
from domain.policies.reactions import pending
from domain.pricing.commands import GrantPersonalDiscount, RevokePersonalDiscount
from domain.promo.commands import AnswerPromoReservation, PromoOutcome, RepeatPromoCall
from domain.refunds.commands import AnswerRefund, RequestRefund
from domain.refunds.state import RefundStatus
from domain.subscriptions.commands import (
    CancelAt,
    CancelSubscription,
    ChangeAt,
    ChangePlan,
    ExtendSubscription,
    MigratePrice,
    PauseSubscription,
    RenewSubscription,
    ResumeSubscription,
    StartTrial,
)
from projections.fold import Batch, Place
from projections.writer import Move
from schemas.envelope import read_event
from tests.sample_log import OFFERS, PROMOS, SampleLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from random import Random

    from domain.account.state import Account
    from domain.payments.state import Payment
    from infra.kafka.log_reader import LogRecord
    from projections.writer import Writer

TOPIC = "billing.events"
RESOURCES = ("film:solaris", "role:premium")


def wander(log: SampleLog, account: str, steps: int, random: Random) -> None:
    """Let the account do whatever the deciders allow, the rare and the late included."""
    for _ in range(steps):
        state = log.accounts.get(account)
        payments = [] if state is None else list(state.payments.values())
        choice = random.random()
        if not payments or choice < 0.15:
            price_ids = random.sample(sorted(OFFERS), random.randint(1, len(OFFERS)))
            items = tuple(OrderItem(price_id=PriceId(price_id)) for price_id in price_ids)
            promo_code = random.choice([None, None, *PROMOS])
            auto_renew = random.random() < 0.5
            log.do(account, PlaceOrder(items=items, provider="stripe", auto_renew=auto_renew, promo_code=promo_code))
        elif choice < 0.35 and state is not None:
            timers = pending(state)
            if timers:
                timer = random.choice(timers)
                log.now = max(log.now, timer.due_at)
                log.do(account, timer.data)
        elif choice < 0.40:
            log.cancel(account, random.choice(payments).order_id)
        elif choice < 0.62 and state is not None:
            log.do(account, _asked(state, log.now, random))
        elif choice < 0.70 and state is not None:
            _discounts(log, account, random)
        else:
            asked = [payment for payment in payments if payment.call is not None]
            log.do(account, _told(random.choice(asked if asked and random.random() < 0.6 else payments), random))


def rare_stories(log: SampleLog) -> None:
    """What chance seldom finds: a renewal that its owner must confirm, and a period bought ahead that is paid back."""
    _plan_stories(log)
    log.buy("account-0", "premium:month")
    renew = next(timer for timer in pending(log.accounts["account-0"]) if isinstance(timer.data, RenewSubscription))
    log.now = renew.due_at
    log.do("account-0", renew.data)
    charge = next(payment for payment in log.accounts["account-0"].payments.values() if payment.method is not None)
    assert charge.call is not None
    confirm = ProviderAnswer(
        status=AnswerStatus.ACTION_REQUIRED, reference="pi_1", confirmation_url="http://pay.example/pi_1"
    )
    log.do(
        "account-0",
        AnswerCall(payment_id=charge.id, effect_id=charge.call.effect_id, attempt=1, answer=confirm),
    )
    log.buy("account-1", "premium:month")
    ahead = log.buy("account-1", "premium:month")
    payment_id = next(order.payment_id for order in log.accounts["account-1"].orders.values() if order.id == ahead)
    log.do("account-1", RequestRefund(payment_id=payment_id, by_manager=True))
    (refund,) = log.accounts["account-1"].refunds.values()
    answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference="re_1")
    log.do("account-1", AnswerRefund(refund_id=refund.id, effect_id=None, attempt=1, answer=answer))
    _discounted_stories(log)
    _stories_without_an_end(log)
    _balance_stories(log)
    _announced_stories(log)


def _announced_stories(log: SampleLog) -> None:
    """A new price that is announced to who leaves and stays, and one while a renewal at another is being paid."""
    for account in ("account-10", "account-11"):
        log.buy(account, "premium:month")
    (left,) = log.accounts["account-10"].subscriptions
    log.do("account-10", _announced(left, "premium:new", log.now))
    for price_id in ("basic:month", "premium:month"):
        change = ChangePlan(subscription_id=left, price_id=PriceId(price_id), at=ChangeAt.PERIOD_END)
        log.do("account-10", change)
    assert log.accounts["account-10"].subscriptions[left].planned is not None

    (moved,) = log.accounts["account-11"].subscriptions
    log.do("account-11", _announced(moved, "premium:new", log.now))
    for another in (None, "premium:newer"):
        renew = next(
            timer for timer in pending(log.accounts["account-11"]) if isinstance(timer.data, RenewSubscription)
        )
        log.now = renew.due_at
        log.do("account-11", renew.data)
        if another is not None:
            log.do("account-11", _announced(moved, another, log.now))
        charge = next(each for each in log.accounts["account-11"].payments.values() if each.call is not None)
        assert charge.call is not None
        paid = ProviderAnswer(
            status=AnswerStatus.SUCCEEDED, reference=f"pi_{charge.id}", amount=charge.amount, paid_at=log.now
        )
        log.do("account-11", AnswerCall(payment_id=charge.id, effect_id=charge.call.effect_id, attempt=1, answer=paid))
    assert log.accounts["account-11"].subscriptions[moved].planned is not None


def _announced(subscription_id: SubscriptionId, price_id: str, now: datetime) -> MigratePrice:
    return MigratePrice(
        subscription_id=subscription_id, price_id=PriceId(price_id), effective_at=now + timedelta(days=32)
    )


def _balance_stories(log: SampleLog) -> None:
    """An order that the balance pays, one that it pays in part and that goes back, and one that is given up."""
    film, plan = (OrderItem(price_id=PriceId(name)) for name in ("solaris:eur", "premium:month"))
    log.do("account-9", GrantCredit(amount=Money(amount=499, currency="EUR"), reason="sorry"))
    log.do("account-9", GrantCredit(amount=Money(amount=400, currency="USD"), reason="sorry"))
    log.do("account-9", TakeBackCredit(amount=Money(amount=100, currency="USD"), reason="a mistake"))
    log.do("account-9", PlaceOrder(items=(film,), provider="stripe"))
    given_up = derive(log.do("account-9", PlaceOrder(items=(plan,), provider="stripe")), "order")
    log.open_page("account-9", given_up)
    log.cancel("account-9", given_up)
    bought = log.buy("account-9", "premium:month")
    payment_id = log.accounts["account-9"].orders[OrderId(bought)].payment_id
    log.do("account-9", RequestRefund(payment_id=payment_id))
    refund = next(each for each in log.accounts["account-9"].refunds.values() if each.call is not None)
    answer = RefundAnswer(status=RefundAnswerStatus.SUCCEEDED, reference="re_9")
    log.do("account-9", AnswerRefund(refund_id=refund.id, effect_id=None, attempt=1, answer=answer))


def _stories_without_an_end(log: SampleLog) -> None:
    """A refund that the provider refuses, one that comes back, and a page of which it has nothing new to say."""
    log.buy("account-8", "premium:month")
    (plan,) = log.accounts["account-8"].payments
    log.do("account-8", RequestRefund(payment_id=plan, by_manager=True))
    (back,) = log.accounts["account-8"].refunds.values()
    for status in (RefundAnswerStatus.SUCCEEDED, RefundAnswerStatus.FAILED):
        answer = RefundAnswer(status=status, reference="re_2", detail="bounced")
        log.do("account-8", AnswerRefund(refund_id=back.id, effect_id=None, attempt=0, answer=answer))
    log.buy("account-6")
    (paid,) = log.accounts["account-6"].payments
    log.do("account-6", RequestRefund(payment_id=paid, by_manager=True))
    (refund,) = log.accounts["account-6"].refunds.values()
    refused = RefundAnswer(status=RefundAnswerStatus.FAILED, detail="the account is closed")
    log.do("account-6", AnswerRefund(refund_id=refund.id, effect_id=None, attempt=1, answer=refused))
    film = PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe")
    log.open_page("account-7", derive(log.do("account-7", film), "order"))
    sweep = next(timer for timer in pending(log.accounts["account-7"]) if isinstance(timer.data, SweepPayment))
    log.now = max(log.now, sweep.due_at)
    log.do("account-7", sweep.data)
    (open_,) = log.accounts["account-7"].payments.values()
    assert open_.call is not None
    same = ProviderAnswer(
        status=AnswerStatus.ACTION_REQUIRED, reference=open_.reference, confirmation_url="http://pay.example/same"
    )
    log.do("account-7", AnswerCall(payment_id=open_.id, effect_id=open_.call.effect_id, attempt=1, answer=same))


def _discounted_stories(log: SampleLog) -> None:
    """An order that costs nothing, and promo codes that are used, refused and given back."""
    film = (OrderItem(price_id=PriceId("solaris:eur")),)
    granted = log.do("account-2", GrantPersonalDiscount(basis_points=10_000, reason="a friend"))
    log.do("account-2", PlaceOrder(items=film, provider="stripe"))
    log.do("account-2", RevokePersonalDiscount(discount_id=DiscountId(derive(granted, "discount"))))
    limited = PlaceOrder(items=film, provider="stripe", promo_code="FIRST")
    for account, outcome in (("account-3", PromoOutcome.RESERVED), ("account-4", PromoOutcome.REFUSED)):
        order_id = derive(log.do(account, limited), "order")
        timer = next(timer for timer in pending(log.accounts[account]) if isinstance(timer.data, RepeatPromoCall))
        log.now = max(log.now, timer.due_at)
        log.do(account, timer.data)
        _answer_promo(log, account, outcome)
        if outcome is PromoOutcome.RESERVED:
            log.open_page(account, order_id)
            log.pay(account, order_id)
    log.do("account-5", GiveGrant(resource=Resource("film:solaris"), reason="sorry"))
    log.do("account-5", RevokeGrant(resource=Resource("film:solaris"), reason="a mistake"))
    until = log.now + timedelta(days=1)
    log.do("account-5", GiveGrant(resource=Resource("role:premium"), reason="sorry", until=until))
    log.now = until
    log.do("account-5", EndGrant(resource=Resource("role:premium"), until=until))
    log.cancel("account-5", derive(log.do("account-5", limited), "order"))
    _answer_promo(log, "account-5", PromoOutcome.RELEASED)


def _answer_promo(log: SampleLog, account: str, outcome: PromoOutcome) -> None:
    """A promo code answers whatever the account asked last."""
    waiting = [use for use in log.accounts[account].promo_uses.values() if use.call is not None]
    for use in waiting:
        assert use.call is not None
        answer = AnswerPromoReservation(
            order_id=use.order_id,
            effect_id=use.call.effect_id,
            attempt=use.call.attempt,
            outcome=outcome,
            reason="promo_code_used_up" if outcome is PromoOutcome.REFUSED else None,
        )
        log.do(account, answer)


def _discounts(log: SampleLog, account: str, random: Random) -> None:
    """Managers give and take discounts, promo codes answer."""
    held = list(log.accounts[account].personal_discounts)
    choice = random.random()
    if choice < 0.3:
        log.do(account, GrantPersonalDiscount(basis_points=random.randint(1, 10_000), reason="a friend"))
    elif choice < 0.5 and held:
        log.do(account, RevokePersonalDiscount(discount_id=random.choice(held)))
    elif choice < 0.6:
        until = random.choice([None, log.now + timedelta(days=random.randint(1, 60))])
        log.do(account, GiveGrant(resource=Resource(random.choice(RESOURCES)), reason="sorry", until=until))
    elif choice < 0.8:
        amount = Money(amount=random.choice([1, 100, 499, 999]), currency=random.choice(["EUR", "USD", "USD"]))
        log.do(account, GrantCredit(amount=amount, reason="sorry"))
    elif choice < 0.85:
        log.do(account, TakeBackCredit(amount=Money(amount=1, currency="USD"), reason="a mistake"))
    elif choice < 0.9:
        log.do(account, RevokeGrant(resource=Resource(random.choice(RESOURCES)), reason="a mistake"))
    else:
        _answer_promo(log, account, random.choice(list(PromoOutcome)))


def _plan_stories(log: SampleLog) -> None:
    """A trial, a pause that ends by itself, a change at the end that is dropped, and one at once that is paid."""
    log.do("account-3", StartTrial(price_id=PriceId("arthouse:month")))
    log.buy("account-3", "premium:month")
    plan = next(held for held in log.accounts["account-3"].subscriptions.values() if held.product_id == "premium")
    later = ChangePlan(subscription_id=plan.id, price_id=PriceId("basic:month"), at=ChangeAt.PERIOD_END)
    log.do("account-3", later)
    log.do("account-3", replace(later, price_id=PriceId("premium:month")))
    log.do("account-3", PauseSubscription(subscription_id=plan.id))
    log.now += timedelta(days=3)
    log.do("account-3", ResumeSubscription(subscription_id=plan.id))
    log.do("account-3", replace(later, at=ChangeAt.NOW, price_id=PriceId("premium:new"), provider="stripe"))
    charge = next(payment for payment in log.accounts["account-3"].payments.values() if payment.method is not None)
    assert charge.call is not None
    told = ProviderAnswer(
        status=AnswerStatus.SUCCEEDED, reference="pi_2", amount=charge.amount, paid_at=charge.created_at
    )
    log.do("account-3", AnswerCall(payment_id=charge.id, effect_id=charge.call.effect_id, attempt=1, answer=told))


def _asked(state: Account, now: datetime, random: Random) -> Any:
    """What a customer, a manager or the gateway says about refunds, subscriptions and saved means of payment."""
    payment = random.choice(list(state.payments.values()))
    asked: list[Any] = [
        RequestRefund(
            payment_id=payment.id, amount=random.choice([None, None, None, 1, 100]), by_manager=random.random() < 0.5
        )
    ]
    for refund in state.refunds.values():
        effect_id = None if refund.call is None else refund.call.effect_id
        answer = RefundAnswer(
            status=random.choice([RefundAnswerStatus.SUCCEEDED, *RefundAnswerStatus]), reference=f"re_{refund.id}"
        )
        asked.append(AnswerRefund(refund_id=refund.id, effect_id=effect_id, attempt=1, answer=answer))
    if random.random() < 0.4:
        asked += _of_the_bank(state, now, random)
    for subscription in state.subscriptions.values():
        at = random.choice(list(CancelAt))
        asked += [
            CancelSubscription(subscription_id=subscription.id, at=at),
            ResumeSubscription(subscription_id=subscription.id),
            ExtendSubscription(subscription_id=subscription.id, days=random.randint(1, 40), reason="sorry"),
            PauseSubscription(subscription_id=subscription.id),
            ChangePlan(
                subscription_id=subscription.id,
                price_id=PriceId(random.choice(["basic:month", "premium:month", "premium:new"])),
                at=random.choice(list(ChangeAt)),
                provider="stripe",
            ),
            MigratePrice(
                subscription_id=subscription.id,
                price_id=PriceId("premium:new"),
                effective_at=now + timedelta(days=random.choice([20, 31, 40])),
            ),
        ]
    if random.random() < 0.2:
        asked.append(StartTrial(price_id=PriceId("arthouse:month"), auto_renew=random.random() < 0.7))
    if random.random() < 0.2:
        asked += [RemovePaymentMethod(method_reference=method.method_reference) for method in state.methods]
    return random.choice(asked)


def _of_the_bank(state: Account, now: datetime, random: Random) -> list[Any]:
    """What the provider tells of the customer's bank: disputes as they go on, and refunds that it did not take."""
    told: list[Any] = []
    for payment in state.payments.values():
        dispute = DisputeReport(
            reference=f"du_{payment.id}",
            status=random.choice(list(DisputeStatus)),
            is_inquiry=random.random() < 0.3,
            amount=payment.amount,
            reason="fraudulent",
            evidence_due_at=payment.created_at + timedelta(days=7),
            opened_at=payment.created_at,
            told_at=now,
        )
        told.append(ReportDispute(payment_id=payment.id, provider="stripe", report_id="evt", dispute=dispute))
    for refund in state.refunds.values():
        if refund.status is RefundStatus.SUCCEEDED:
            answer = RefundAnswer(status=RefundAnswerStatus.FAILED, reference=refund.reference, detail="bounced")
            told += [AnswerRefund(refund_id=refund.id, effect_id=None, attempt=0, answer=answer)] * 3
    return [random.choice(told)] if told else []


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
        if random.random() < 0.8:
            answer = replace(answer, customer_reference="cus_1", method_reference="pm_1")
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
    """Every row of every table of ours, whatever the order of its columns."""
    with psycopg.connect(database_url) as connection:
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'billing' ORDER BY 1"
        ).fetchall()
        return {
            name: sorted(
                connection.execute(f'SELECT to_jsonb(t) FROM billing."{name}" t'.encode()).fetchall(), key=repr
            )
            for (name,) in names
        }
