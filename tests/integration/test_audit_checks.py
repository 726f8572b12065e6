"""The audit of the log itself: a sound log passes, each way of tampering is found, and every event has its sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import OrderId, PriceId
from domain.money import Money
from domain.orders.commands import CancelOrder, OrderItem, PlaceOrder
from projections.audit.books import (
    Charge,
    Paid,
    ProviderBooks,
    Returned,
    compare_cash,
    compare_charges,
    compare_payments,
)
from projections.audit.log_checks import LogAudit
from projections.audit.report import FAULTS_KEPT_MAX, Check, Report
from projections.audit.sentences import INTENTS, SENTENCES
from projections.audit.story import chapters
from projections.audit.words import Names, amount
from schemas.envelope import read_event
from schemas.messages import COMMANDS, EVENTS
from tests.sample_log import PARTITIONS, SampleLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.kafka.log_reader import LogRecord


def sample() -> SampleLog:
    """Two customers: one buys twice and is rejected once, one only begins."""
    log = SampleLog()
    log.buy("alice")
    log.buy("alice", "premium:month")
    log.do("alice", PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe"))
    log.do("bob", PlaceOrder(items=(OrderItem(price_id=PriceId("solaris:eur")),), provider="stripe"))
    log.do("bob", CancelOrder(order_id=OrderId("unknown")))
    return log


def audited(records: list[LogRecord]) -> Report:
    report = Report()
    audit = LogAudit(report, partitions=PARTITIONS)
    for record in records:
        audit.see(record)
    audit.finish()
    return report


def index_of(records: list[LogRecord], wire_type: str) -> int:
    return next(i for i, record in enumerate(records) if dict(record.headers)["ce_type"] == wire_type.encode())


def with_header(record: LogRecord, name: str, value: bytes) -> LogRecord:
    headers = tuple((found, value if found == name else content) for found, content in record.headers)
    return replace(record, headers=headers)


def drop(records: list[LogRecord]) -> None:
    del records[index_of(records, "billing.order.paid")]


def drop_first(records: list[LogRecord]) -> None:
    del records[0]


def repeat(records: list[LogRecord]) -> None:
    records.insert(3, records[2])


def swap(records: list[LogRecord]) -> None:
    records[0], records[1] = records[1], records[0]


def change_body(records: list[LogRecord]) -> None:
    index = index_of(records, "billing.payment.succeeded")
    records[index] = replace(records[index], value=(records[index].value or b"").replace(b"499", b"498"))


def change_time(records: list[LogRecord]) -> None:
    records[0] = with_header(records[0], "ce_time", b"2026-01-01T00:00:00.000000Z")


def change_id(records: list[LogRecord]) -> None:
    records[0] = with_header(records[0], "ce_id", b"another")


def change_hash(records: list[LogRecord]) -> None:
    records[4] = with_header(records[4], "chain_hash", b"0" * 64)


def change_type(records: list[LogRecord]) -> None:
    index = index_of(records, "billing.order.fulfilled")
    records[index] = with_header(records[index], "ce_type", b"billing.order.cancelled")


def lose_the_end(records: list[LogRecord]) -> None:
    del records[-1]


def second_outcome(records: list[LogRecord]) -> None:
    records.append(records[index_of(records, "billing.command.accepted")])


def unreadable(records: list[LogRecord]) -> None:
    records[2] = replace(records[2], value=b"{")


def foreign(records: list[LogRecord]) -> None:
    records[2] = with_header(records[2], "ce_type", b"billing.order.place")


def wrong_partition(records: list[LogRecord]) -> None:
    records[2] = replace(records[2], partition=(records[2].partition + 1) % PARTITIONS)


TAMPERED: list[tuple[Callable[[list[LogRecord]], None], set[Check]]] = [
    (drop, {Check.SEQUENCE, Check.CHAIN}),
    (drop_first, {Check.SEQUENCE, Check.CHAIN, Check.FOLD}),
    (repeat, {Check.SEQUENCE, Check.CHAIN, Check.OUTCOME}),
    (swap, {Check.SEQUENCE, Check.CHAIN}),
    (change_body, {Check.CHAIN}),
    (change_time, {Check.CHAIN}),
    (change_id, {Check.CHAIN}),
    (change_hash, {Check.CHAIN}),
    (change_type, {Check.CHAIN}),
    (lose_the_end, {Check.OUTCOME}),
    (second_outcome, {Check.OUTCOME, Check.SEQUENCE, Check.CHAIN}),
    (unreadable, {Check.READABLE}),
    (foreign, {Check.READABLE}),
    (wrong_partition, {Check.READABLE}),
]


def test_a_sound_log_is_sound() -> None:
    log = sample()

    report = audited(log.records)

    assert report.faults == []
    assert report.is_sound
    assert report.checked[Check.SEQUENCE] == len(log.records)
    assert report.checked[Check.OUTCOME] == log.commands


@pytest.mark.parametrize(("tamper", "checks"), TAMPERED, ids=[tamper.__name__ for tamper, _ in TAMPERED])
def test_tampering_is_found(tamper: Callable[[list[LogRecord]], None], checks: set[Check]) -> None:
    records = list(sample().records)
    if tamper is lose_the_end:  # the last event of bob's first order, so that its group has no outcome
        records = records[: index_of(records, "billing.command.rejected") + 4]
    tamper(records)

    report = audited(records)

    assert checks <= set(report.failed)
    assert not report.is_sound


def test_one_changed_byte_is_one_fault() -> None:
    records = list(sample().records)
    change_body(records)

    report = audited(records)

    (fault,) = report.faults
    assert (fault.check, fault.key) == (Check.CHAIN, "alice")
    assert fault.position == records[index_of(records, "billing.payment.succeeded")].position


def test_a_ruined_log_fits_in_memory() -> None:
    report = Report()
    for number in range(FAULTS_KEPT_MAX + 10):
        report.fault(Check.CHAIN, key=str(number), detail="")

    assert len(report.faults) == FAULTS_KEPT_MAX
    assert report.failed[Check.CHAIN] == FAULTS_KEPT_MAX + 10


def paid_and_charged() -> tuple[list[Paid], list[Charge]]:
    log = sample()
    audit = LogAudit(Report(), partitions=PARTITIONS)
    for record in log.records:
        audit.see(record)
    paid = [
        Paid(account=key, position=position, event=event)
        for key, stream in audit.streams.items()
        for event, position in stream.succeeded
    ]
    charges = [
        Charge(
            id=f"ch_{number}",
            reference=charge["reference"],
            account="alice",
            payment_id=f"payment {number}",
            amount=charge["amount"],
            currency=charge["currency"],
            created=1_000 + number,
        )
        for number, charge in enumerate(log.charges)
    ]
    return paid, charges


def judged(
    paid: list[Paid], charges: list[Charge], *, asked: frozenset[str] = frozenset(), settled_before: int = 10_000
) -> tuple[Report, frozenset[str]]:
    report = Report()
    compare_payments(report, paid, charges)
    return report, compare_charges(report, paid, charges, asked, settled_before=settled_before)


def test_books_that_agree() -> None:
    paid, charges = paid_and_charged()

    report, on_their_way = judged(paid, charges)

    assert report.is_sound
    assert on_their_way == frozenset()
    assert report.checked == {Check.CHARGED: 2, Check.CHARGES: 2}


BOOKS: list[tuple[Callable[[list[Charge]], Any], set[Check]]] = [
    (lambda charges: charges.pop(), {Check.CHARGED}),
    (lambda charges: charges.append(replace(charges[0], id="ch_again")), {Check.CHARGED}),
    (lambda charges: charges.append(replace(charges[0], reference="cs_unknown")), {Check.CHARGES}),
    (lambda charges: charges.append(replace(charges[0], reference="")), {Check.CHARGES}),
    (lambda charges: charges.insert(0, replace(charges.pop(0), amount=1)), {Check.CHARGED}),
    (lambda charges: charges.insert(0, replace(charges.pop(0), currency="JPY")), {Check.CHARGED}),
    (lambda charges: charges.insert(0, replace(charges.pop(0), account="mallory")), {Check.CHARGED}),
]


@pytest.mark.parametrize(
    ("change", "checks"),
    BOOKS,
    ids=["missing", "double", "unknown", "without a page", "amount", "currency", "account"],
)
def test_books_that_do_not_agree(change: Callable[[list[Charge]], Any], checks: set[Check]) -> None:
    paid, charges = paid_and_charged()
    change(charges)

    report, _ = judged(paid, charges)

    assert set(report.failed) == checks


def test_a_payment_that_is_in_the_log_twice() -> None:
    paid, charges = paid_and_charged()

    report, _ = judged([*paid, paid[0]], charges)

    assert set(report.failed) == {Check.CHARGES}


def test_word_of_a_young_charge_may_be_on_its_way() -> None:
    paid, charges = paid_and_charged()
    charges.append(replace(charges[0], id="ch_young", reference="cs_young", created=9_999))

    assert judged(paid, charges, settled_before=9_999)[1] == {"ch_young"}
    assert judged(paid, charges, settled_before=9_999)[0].is_sound
    assert not judged(paid, charges, settled_before=10_000)[0].is_sound


def test_a_payment_that_waits_for_its_answer_may_have_one_charge() -> None:
    paid, charges = paid_and_charged()
    charges.append(replace(charges[0], id="ch_unheard", reference="pi_unheard", payment_id="asked"))
    asked = frozenset({"asked"})

    report, on_their_way = judged(paid, charges, asked=asked)
    assert (report.is_sound, on_their_way) == (True, frozenset({"ch_unheard"}))
    cash = Report()
    books, known = ProviderBooks(charges=charges, returned=[]), frozenset(charge.reference for charge in charges[:2])
    compare_cash(cash, {"EUR": 499, "USD": 999}, books, known, on_their_way, settled_before=10_000)
    assert cash.faults == []

    charges.append(replace(charges[2], id="ch_double", reference="pi_double"))
    twice, _ = judged(paid, charges, asked=asked)
    assert [fault.detail for fault in twice.faults] == [
        "charge ch_double of 499 EUR (pi_double) has no payment in the log"
    ]
    assert not judged(paid, charges[:3])[0].is_sound


def test_the_money_that_the_provider_holds() -> None:
    paid, charges = paid_and_charged()
    back = [
        Returned(id=name, account="alice", amount=amount, currency="EUR", created=created)
        for name, amount, created in (("re_told", 100, 1), ("re_young", 9, 9_999), ("re_awaited", 7, 1))
    ]
    books = ProviderBooks(charges=charges, returned=back)

    def held(euros: int, *, charges_known: int = 2) -> list[str]:
        report = Report()
        known = frozenset({"re_told", *(charge.reference for charge in charges[:charges_known])})
        compare_cash(report, {"EUR": euros, "USD": 999}, books, known, frozenset({"re_awaited"}), settled_before=5_000)
        assert report.checked == {Check.CASH: 2}
        return [fault.detail for fault in report.faults]

    assert len(paid) == 2
    assert held(399) == []
    assert held(399, charges_known=1) == []  # the other one is so old that its word must have come
    assert held(398) == ["the provider holds 399 minor units of EUR, our books say 398"]


def test_every_event_and_every_command_has_a_sentence() -> None:
    assert SENTENCES.keys() == set(EVENTS.values())
    assert INTENTS.keys() == COMMANDS.keys()


def test_the_story_of_a_purchase() -> None:
    log = SampleLog()
    log.buy("alice")
    names = Names()

    events = [(record.position, read_event(record.key, record.value, record.headers)) for record in log.records]
    told = list(chapters(events, names))

    assert [chapter.heading.partition(" asked ")[2].partition(" (")[0] for chapter in told] == [
        "to place an order",
        "to note what the provider answered",
        "to note what the provider reported by itself",
    ]
    text = " ".join(line.text for chapter in told for line in chapter.told)
    assert "“Solaris” at €4.99; in total €4.99" in text
    assert "€4.99 arrived with visa •••• 4242" in text
    assert "Access to film:solaris was given for ever, by purchase" in text
    order_id = next(iter(log.accounts["alice"].orders))
    assert names.full[order_id[:8]] == order_id
    assert order_id not in text  # names are short in the story, and resolved below it


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (1234567, "USD", "$12,345.67"),
        (500, "JPY", "¥500"),
        (1234, "KWD", "KWD\xa01.234"),
        (5, "IQD", "IQD\xa00.005"),
        (12345, "CLF", "CLF\xa01.2345"),
        (1, "EUR", "€0.01"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert amount(Money(amount=minor, currency=currency)) == text


def test_short_names_stay_apart() -> None:
    names = Names()
    first, second = "00000000-0000-5000-8000-000000000001", "00000000-0000-5000-8000-000000000002"

    assert names("order", first) == "order 00000000"
    assert names("order", second) == "order 00000000-"
    assert names("order", first) == "order 00000000"
    assert [names.full[name] for name in ("00000000", "00000000-")] == [first, second]
