"""What the queries answer, and to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from domain.calendar import Period, PeriodUnit
from domain.catalog.events import PriceAdded, PriceArchived, ProductArchived, ProductDefined
from domain.catalog.state import Price, ProductKind
from domain.effects import AnswerStatus, ProviderAnswer
from domain.ids import CommandId, PriceId, ProductId, derive, product_key
from domain.money import Money
from domain.orders.commands import OrderItem, PlaceOrder
from domain.payments.commands import AnswerCall
from domain.policies.reactions import pending
from projections import commands, customers, entitlements, orders, payments, products, subscriptions
from projections.fold import Batch, Place
from projections.paging import CursorInvalidError
from projections.writer import Move
from schemas.codec import encode, type_of
from schemas.envelope import EventRecord, new_command
from tests.projections.histories import project
from tests.sample_log import SampleLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from projections.writer import Writer

LATE = datetime(2026, 6, 1, tzinfo=UTC)


async def test_a_bought_film_stands_everywhere(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    order_id = log.buy("ada")
    await project(writer, log.records)
    order = await orders.get(connection, "ada", order_id)
    assert order is not None
    assert order.payment is not None
    assert (order.status, order.payment.status, order.payment.confirmation_url) == ("fulfilled", "succeeded", None)
    price = Money(amount=499, currency="EUR")
    assert (order.subtotal, order.discount, order.total) == (price, Money(amount=0, currency="EUR"), price)
    assert [(line.product_id, line.unit_price) for line in order.lines] == [("solaris", price)]
    payment = await payments.get(connection, "ada", order.payment.id)
    assert payment is not None
    assert (payment.amount, payment.method_label) == (price, "visa •••• 4242")
    held = await entitlements.list_current(connection, "ada", LATE)
    assert [(item.resource, item.until, item.reason) for item in held] == [("film:solaris", None, "purchase")]
    customer = await customers.get(connection, "ada")
    assert customer is not None
    assert (customer.orders, customer.paid) == (1, (price,))


async def test_the_confirmation_url_is_there_as_long_as_it_can_be_used(
    writer: Writer, connection: AsyncConnection
) -> None:
    log = SampleLog()
    order_id = derive(log.do("ada", PlaceOrder(items=(_item("solaris:eur"),), provider="stripe")), "order")
    log.open_page("ada", order_id)
    await project(writer, log.records)
    order = await orders.get(connection, "ada", order_id)
    assert order is not None
    assert order.payment is not None
    assert order.status == "awaiting_payment"
    assert order.payment.confirmation_url == f"http://pay.example/{order.payment.id}"


async def test_an_order_shows_before_its_payment_is_projected(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    order_id = derive(log.do("ada", PlaceOrder(items=(_item("solaris:eur"),), provider="stripe")), "order")
    await project(writer, log.records[:1])
    order = await orders.get(connection, "ada", order_id)
    assert order is not None
    assert order.payment is not None
    assert (order.payment.status, order.payment.confirmation_url) == ("created", None)


async def test_another_accounts_rows_never_leave(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    order_id = log.buy("ada", "premium:month")
    command_id = derive("ada", "command 1")
    await project(writer, log.records)
    payment_id = log.accounts["ada"].orders[next(iter(log.accounts["ada"].orders))].payment_id
    subscription_id = next(iter(log.accounts["ada"].subscriptions))
    asked: list[tuple[Any, str]] = [
        (orders.get, order_id),
        (payments.get, payment_id),
        (subscriptions.get, subscription_id),
        (commands.get, command_id),
    ]
    for get, name in asked:
        assert await get(connection, "ada", name) is not None
        assert await get(connection, "bob", name) is None
    for list_page in (orders.list_page, payments.list_page, subscriptions.list_page):
        assert len((await list_page(connection, "ada")).items) == 1
        assert (await list_page(connection, "bob")).items == ()
    named: list[tuple[Any, str]] = [
        (orders.history, order_id),
        (payments.history, payment_id),
        (subscriptions.history, subscription_id),
        (commands.history, command_id),
        (entitlements.history, "role:premium"),
    ]
    for history, name in named:
        assert await history(connection, "ada", name)
        assert await history(connection, "bob", name) == ()
    assert await entitlements.get(connection, "ada", "role:premium", log.now)
    assert await entitlements.get(connection, "bob", "role:premium", log.now) is None
    assert await entitlements.list_current(connection, "bob", log.now) == ()
    assert await subscriptions.current(connection, "bob") is None
    assert await customers.get(connection, "bob") is None
    assert await customers.history(connection, "bob") == ()


async def test_pages_show_each_order_once_newest_first(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    placed = []
    for number in range(7):
        order_id = derive(log.do("ada", PlaceOrder(items=(_item("solaris:eur"),), provider="stripe")), "order")
        log.open_page("ada", order_id)
        log.cancel("ada", order_id)
        _close(log, order_id, same_moment=number % 2 == 0)
        placed.append(order_id)
    log.buy("bob")
    await project(writer, log.records)
    seen: list[str] = []
    cursor = None
    while True:
        page = await orders.list_page(connection, "ada", limit=3, cursor=cursor)
        seen += [order.id for order in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == 3
    assert len(placed) == 7
    assert sorted(seen) == sorted(placed)
    times = {order.id: order.placed_at for order in (await orders.list_page(connection, "ada")).items}
    assert [times[order_id] for order_id in seen] == sorted(times.values(), reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "bnVsbA", "W10", "WyJ4Il0", "é", "W1wiMjAyNlwiLCAxXQ", "A" * 5000])
async def test_a_cursor_that_is_not_ours_is_refused(cursor: str, connection: AsyncConnection) -> None:
    for list_page in (orders.list_page, payments.list_page, subscriptions.list_page):
        with pytest.raises(CursorInvalidError):
            await list_page(connection, "ada", cursor=cursor)
    with pytest.raises(CursorInvalidError):
        await products.list_page(connection, cursor=cursor)


@pytest.mark.parametrize("name", ["", "\0", "a\0b", "\ud800", "x" * 10_000, "'; drop table billing.orders; --"])
async def test_a_name_that_names_nothing_is_not_found(name: str, connection: AsyncConnection) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for account, thing in ((name, "x"), ("ada", name)):
        assert await orders.get(connection, account, thing) is None
        assert await payments.get(connection, account, thing) is None
        assert await subscriptions.get(connection, account, thing) is None
        assert await commands.get(connection, account, thing) is None
        assert await entitlements.get(connection, account, thing, now) is None
        assert await orders.history(connection, account, thing) == ()
    assert await products.get(connection, name) is None
    assert await commands.get_many(connection, [name]) == {}
    assert await customers.get(connection, name) is None
    assert await subscriptions.current(connection, name) is None
    assert (await orders.list_page(connection, name)).items == ()


async def test_access_ends_at_its_moment_without_any_event(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada", "premium:month")
    await project(writer, log.records)
    held = await entitlements.get(connection, "ada", "role:premium", log.now)
    assert held is not None
    assert held.until is not None
    assert await entitlements.get(connection, "ada", "role:premium", held.until - timedelta(microseconds=1))
    assert await entitlements.get(connection, "ada", "role:premium", held.until) is None


async def test_the_current_subscription_is_the_one_that_ends_last(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    log.buy("ada", "premium:month")
    await project(writer, log.records)
    first = await subscriptions.current(connection, "ada")
    assert first is not None
    assert (first.status, first.period, first.product_id) == (
        "active",
        Period(count=1, unit=PeriodUnit.MONTH),
        "premium",
    )
    begun = len(log.records)
    for moment in (first.period_end, first.access_end):
        log.now = moment
        for timer in _timers(log, "ada"):
            if timer.due_at <= moment:
                log.do("ada", timer.data)
        await project(writer, log.records[begun:])
        begun = len(log.records)
        shown = await subscriptions.current(connection, "ada")
        assert (shown.status if shown else None) == ("grace" if moment == first.period_end else None)
    ended = await subscriptions.get(connection, "ada", first.id)
    assert ended is not None
    assert (ended.status, ended.ended_at) == ("ended", first.access_end)


async def test_history_says_who_what_when_and_by_which_event(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    order_id = log.buy("ada")
    await project(writer, log.records)
    story = await orders.history(connection, "ada", order_id)
    assert [entry.event_type.rpartition(".")[2] for entry in story] == [
        "placed",
        "action_required",
        "paid",
        "fulfilled",
    ]
    assert [entry.changes["status"] for entry in story] == ["pending", "awaiting_payment", "paid", "fulfilled"]
    assert [entry.sequence for entry in story] == sorted(entry.sequence for entry in story)
    first = story[0]
    assert (first.actor, first.command_id, first.event_id) == (
        "user:ada",
        derive("ada", "command 1"),
        derive(derive("ada", "command 1"), "event 0"),
    )
    assert (first.partition, first.offset) == (log.records[0].partition, log.records[0].offset)


async def test_commands_pending_then_decided(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    data = PlaceOrder(items=(_item("solaris:eur"),), provider="stripe")
    received_at = datetime(2026, 1, 1, tzinfo=UTC)
    command_id = CommandId(derive("ada", "command 1"))
    command = new_command(
        command_id=command_id, key="ada", time=received_at, source="test", actor="user:ada", data=data, body_hash="ff"
    )
    waiting = Batch()
    waiting.add_command(command, 7)
    await _write(writer, waiting)
    view = (await commands.get_many(connection, [command_id, "other"]))[command_id]
    assert (view.status, view.position, view.body_hash, view.received_at) == ("pending", None, "ff", received_at)
    log.do("ada", data)
    await project(writer, log.records)
    view = (await commands.get_many(connection, [command_id]))[command_id]
    place = log.records[-1]
    assert (view.status, view.position, view.type) == ("accepted", place.position, type_of(data))
    assert view.received_at == received_at


async def test_a_command_seen_after_its_outcome_stays_decided(writer: Writer, connection: AsyncConnection) -> None:
    log = SampleLog()
    data = PlaceOrder(items=(_item("no:such"),), provider="stripe")
    command_id = log.do("ada", data)
    await project(writer, log.records)
    late = Batch()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    command = new_command(command_id=command_id, key="ada", time=at, source="test", actor="user:ada", data=data)
    late.add_command(command, 7)
    await _write(writer, late)
    view = await commands.get(connection, "ada", command_id)
    assert view is not None
    assert (view.status, view.code, view.facts) == ("rejected", "price_unknown", {"price_id": "no:such"})
    assert view.received_at == at


async def test_products_on_sale_by_price(writer: Writer, connection: AsyncConnection) -> None:
    batch = Batch()
    catalogue = [
        *_product("dear", ProductKind.FILM, {"dear:eur": 900}),
        *_product("cheap", ProductKind.FILM, {"cheap:eur": 100, "cheap:old": 50}),
        *_product("plan", ProductKind.SUBSCRIPTION, {"plan:month": 500}),
        *_product("gone", ProductKind.FILM, {"gone:eur": 10}),
        *_product("unpriced", ProductKind.FILM, {"unpriced:eur": 10}),
        PriceArchived(product_id=ProductId("cheap"), price_id=PriceId("cheap:old")),
        PriceArchived(product_id=ProductId("unpriced"), price_id=PriceId("unpriced:eur")),
        ProductArchived(product_id=ProductId("gone")),
    ]
    for number, event in enumerate(catalogue):
        batch.add_event(_event(product_key(event.product_id), event, number), Place(0, number))
    await _write(writer, batch)
    everything = await products.list_page(connection)
    assert [product.id for product in everything.items] == ["cheap", "plan", "dear"]
    assert [price.id for price in everything.items[0].prices] == ["cheap:eur"]
    films = await products.list_page(connection, kind="film")
    assert [product.id for product in films.items] == ["cheap", "dear"]
    first = await products.list_page(connection, limit=1)
    second = await products.list_page(connection, limit=1, cursor=first.next_cursor)
    assert [product.id for product in (*first.items, *second.items)] == ["cheap", "plan"]
    assert await products.get(connection, "gone") is None
    plan = await products.get(connection, "plan")
    assert plan is not None
    assert plan.prices[0].period == Period(count=1, unit=PeriodUnit.MONTH)
    told = await products.history(connection, "cheap")
    assert [entry.event_type for entry in told] == [
        "billing.product.defined",
        "billing.price.added",
        "billing.price.added",
        "billing.price.archived",
    ]


def _product(name: str, kind: ProductKind, prices: dict[str, int]) -> list[Any]:
    period = Period(count=1, unit=PeriodUnit.MONTH) if kind is ProductKind.SUBSCRIPTION else None
    defined = ProductDefined(
        product_id=ProductId(name), kind=kind, title=name, description="", role=None, validity_days=None
    )
    added = [
        PriceAdded(
            product_id=ProductId(name),
            price=Price(id=PriceId(price_id), amount=Money(amount=amount, currency="EUR"), period=period),
        )
        for price_id, amount in prices.items()
    ]
    return [defined, *added]


def _event(key: str, data: Any, number: int) -> EventRecord:
    return EventRecord(
        id=derive(key, f"event {number}"),
        type=type_of(data),
        key=key,
        time=LATE,
        actor="manager:max",
        command_id=CommandId(derive(key, "command")),
        correlation_id="c",
        causation_id="c",
        sequence=number + 1,
        chain_hash="0" * 64,
        command_offset=0,
        data=data,
        body=encode(data).decode(),
    )


def _item(price_id: str) -> OrderItem:
    return OrderItem(price_id=PriceId(price_id))


def _timers(log: SampleLog, account: str) -> Any:
    return pending(log.accounts[account])


def _close(log: SampleLog, order_id: str, *, same_moment: bool) -> None:
    """The provider confirms that the cancelled order can no longer be paid."""
    state = log.accounts["ada"]
    order = next(order for order in state.orders.values() if order.id == order_id)
    call = state.payments[order.payment_id].call
    assert call is not None
    answer = ProviderAnswer(status=AnswerStatus.CLOSED)
    log.do("ada", AnswerCall(payment_id=order.payment_id, effect_id=call.effect_id, attempt=1, answer=answer))
    if same_moment:
        log.now = order.placed_at - timedelta(seconds=1)


async def _write(writer: Writer, batch: Batch) -> None:
    partition = ("other", 0)
    expected = (await writer.positions([partition]))[partition]
    await writer.write(batch, [Move(topic="other", partition=0, expected=expected, reached=expected + 1)])
