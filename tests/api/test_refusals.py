"""Refusals that no other test provokes, each by what a user does."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import psycopg

from domain.catalog.commands import ArchiveProduct
from domain.ids import CommandId, ProductId
from domain.money import AMOUNT_MAX
from infra.clock import SystemClock
from infra.kafka.command_sender import CommandSender
from infra.kafka.log_reader import partition_of
from infra.kafka.topics import topics_of
from schemas.envelope import new_command
from tests.api.product import is_problem, serving, usd
from tests.api.subscribing import Subscriber, plans

if TYPE_CHECKING:
    from tests.api.managing import Manager
    from tests.api.product import Product


async def test_more_than_what_waits_to_be_paid_is_another_order(product: Product) -> None:
    account, price, other = product.account(), await product.film(), await product.film()
    order = (await product.order(price, account)).json()
    both = {"items": [{"price_id": price}, {"price_id": other}]}
    answer = await product.http.post("/v1/orders", json=both, headers=product.headers(account, key="both", wait=30))
    assert is_problem(answer, 409, "order_open")["facts"] == {"order_id": order["id"]}
    cancel = f"/v1/orders/{order['id']}/cancel"
    await product.http.post(cancel, headers=product.headers(account, key="c", wait=30))
    again = await product.http.post("/v1/orders", json=both, headers=product.headers(account, key="again", wait=30))
    assert again.status_code == 201, again.text


async def test_one_order_has_one_currency(product: Product) -> None:
    name = f"film-{uuid.uuid4().hex[:12]}"
    euros = {"id": f"{name}:buy", "amount": {"amount": 899, "currency": "EUR"}}
    await product.define(name, {"kind": "film", "title": "A film", "prices": [euros]})
    items = {"items": [{"price_id": await product.film()}, {"price_id": euros["id"]}]}
    headers = product.headers(product.account(), key=uuid.uuid4().hex, wait=30)
    for path in ("/v1/orders", "/v1/quotes"):
        problem = is_problem(await product.http.post(path, json=items, headers=headers), 422, "currency_mismatch")
        assert problem["facts"] == {"left": "USD", "right": "EUR"}


async def test_one_plan_gives_a_role(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    rival, month = f"plan-{uuid.uuid4().hex[:12]}", {"count": 1, "unit": "month"}
    price = {"id": f"{rival}:monthly", "amount": usd(2), "period": month}
    await product.define(rival, {"kind": "subscription", "title": "The same", "role": name, "prices": [price]})
    answer = await product.order(f"{rival}:monthly", subscriber.account)
    assert is_problem(answer, 409, "plan_change_needed")["facts"] == {"subscription_id": held["id"]}


async def test_a_plan_that_rests_is_not_changed_now(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/subscriptions/{held['id']}"
    assert (await subscriber.post(f"{path}/pause")).status_code == 200
    answer = await subscriber.post(f"{path}/change-plan", {"price_id": f"{name}:dearer", "at": "now"})
    assert "paused" in is_problem(answer, 409, "plan_change_refused")["detail"]


async def test_what_has_ended_does_not_go_on(product: Product, subscriber: Subscriber, manager: Manager) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/subscriptions/{held['id']}"
    ended = await subscriber.post(f"{path}/cancel", {"at": "now"})
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    actions = (
        subscriber.post(f"{path}/resume"),
        subscriber.post(f"{path}/pause"),
        subscriber.post(f"{path}/change-plan", {"price_id": f"{name}:dearer", "at": "now"}),
        subscriber.post(f"{path}/change-plan", {"price_id": f"{name}:dearer", "at": "period_end"}),
        manager.post(f"/v1/admin{path.removeprefix('/v1')}/extend", {"days": 1, "reason": "?"}),
    )
    for action in actions:
        problem = is_problem(await action, 409, "subscription_not_running")
        assert problem["facts"] == {"subscription_id": held["id"], "status": "ended"}


async def test_a_trial_is_not_paused(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product, trial_days=14)
    tried = (await subscriber.post("/v1/trials", {"price_id": f"{name}:monthly"})).json()
    answer = await subscriber.post(f"/v1/subscriptions/{tried['id']}/pause")
    assert is_problem(answer, 409, "subscription_not_pausable")["facts"]["status"] == "trialing"


async def test_what_is_saved_nowhere_is_not_removed(product: Product, subscriber: Subscriber) -> None:
    await subscriber.subscribe(f"{await plans(product)}:monthly")
    saved = await product.until(
        lambda: product.http.get("/v1/payment-methods", headers=product.headers(subscriber.account)),
        lambda answer: answer.json()["items"] != [],
    )
    (method,) = saved["items"]
    path = f"/v1/payment-methods/{method['id']}"
    for account, status in ((product.account(), 404), (subscriber.account, 200), (subscriber.account, 404)):
        headers = product.headers(account, key=uuid.uuid4().hex, wait=30)
        answer = await product.http.delete(path, headers=headers)
        assert answer.status_code == status, answer.text
    is_problem(answer, 404, "payment_method_unknown")


async def test_a_balance_has_its_bounds(product: Product, manager: Manager) -> None:
    path = f"/v1/admin/accounts/{product.account()}/credits"
    assert (await manager.post(path, {"amount": usd(AMOUNT_MAX), "reason": "?"})).status_code == 201
    is_problem(await manager.post(path, {"amount": usd(1), "reason": "?"}), 409, "balance_too_large")


async def test_commands_that_nobody_sent_are_unknown(product: Product) -> None:
    for path in (f"/v1/commands/{uuid.uuid4()}", f"/v1/commands/{uuid.uuid4()}/explanation"):
        is_problem(await product.http.get(path, headers=product.headers("alice")), 404, "command_unknown")


async def test_webhooks_of_a_provider_that_is_not_configured(product: Product) -> None:
    for name in ("paypal", "stripe2", "STRIPE"):
        is_problem(await product.http.post(f"/v1/webhooks/{name}", content=b"{}"), 404, "webhook_provider_unknown")


async def test_a_command_that_its_topic_forgot_cannot_be_sent_again(product: Product, manager: Manager) -> None:
    command_id, account = str(uuid.uuid4()), product.account()
    row = (command_id, account, "billing.order.place", "pending", "c", "user:ann")
    with psycopg.connect(product.settings.database_url) as database:
        database.execute(  # what is left of one that was never decided, for longer than commands are kept
            "INSERT INTO billing.commands"
            " (id, account, type, status, correlation_id, actor, received_at, received_offset, updated_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, '2020-01-01Z', 0, now())",
            row,
        )
    is_problem(await manager.post(f"/v1/admin/overdue/{command_id}/resume"), 409, "command_expired")


async def test_a_command_of_an_api_with_another_number_of_partitions_is_told_not_to_be_taken(product: Product) -> None:
    price, fewer = await product.film(), product.settings.partitions - 1
    account = next(
        each
        for each in iter(product.account, None)
        if partition_of(each.encode(), fewer) != partition_of(each.encode(), product.settings.partitions)
    )
    body, headers = {"items": [{"price_id": price}]}, product.headers(account, key="misplaced")
    async with serving(product.settings.model_copy(update={"partitions": fewer})) as mistaken:
        accepted = await mistaken.post("/v1/orders", json=body, headers=headers)
        assert accepted.status_code == 202
    address = accepted.headers["Location"]
    await product.until(
        lambda: product.http.get(address, headers=product.headers(account)),
        lambda answer: answer.status_code == 200 and answer.json()["status"] != "pending",
    )
    found = await product.http.get(address, headers=product.headers(account, wait=30))
    told = found.json()
    assert (told["status"], told["problem"]["code"]) == ("rejected", "command_misplaced")
    assert (told["position"], told["decided_at"]) == (None, None)
    again = await product.http.post("/v1/orders", json=body, headers=headers | {"Prefer": "wait=30"})
    assert is_problem(again, 500, "command_misplaced")["command_id"] == accepted.json()["id"]
    known = product.headers(account) | {"Billing-Position": again.headers["Billing-Position"]}
    assert (await product.http.get("/v1/orders", headers=known)).json()["items"] == []
    assert (await product.order(price, account)).status_code == 201, "a new key, and an API that knows the topic"


async def test_a_command_under_the_wrong_key_is_told_not_to_be_taken(product: Product) -> None:
    settings, account = product.settings, product.account()
    sender = CommandSender(settings.kafka_bootstrap, topics_of(settings).commands, partitions=settings.partitions)
    sender.start()
    command = new_command(
        command_id=CommandId(str(uuid.uuid4())),
        key=account,
        time=SystemClock().now(),
        source="somebody",
        actor="somebody",
        data=ArchiveProduct(product_id=ProductId("dune")),
    )
    try:
        await sender.send(command)
    finally:
        await sender.stop()
    told = await product.until(
        lambda: product.http.get(f"/v1/commands/{command.id}", headers=product.headers(account)),
        lambda answer: answer.status_code == 200,
    )
    assert (told["status"], told["problem"]["code"]) == ("rejected", "command_misplaced")
