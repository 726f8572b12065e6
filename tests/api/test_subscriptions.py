"""Subscriptions over HTTP: trial, pause, another plan, a new price, and what managers give and take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.api.product import usd
from tests.api.subscribing import Subscriber, plans

if TYPE_CHECKING:
    from tests.api.managing import Manager
    from tests.api.product import Product


async def test_a_trial_is_shown_started_and_had_once(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product, trial_days=14)
    shown = (await product.http.get(f"/v1/products/{name}")).json()
    assert [price["trial_days"] for price in shown["prices"]] == [14, None]
    answer = await subscriber.post("/v1/trials", {"price_id": f"{name}:monthly"}, key="try")
    assert answer.status_code == 201, answer.text
    tried = answer.json()
    assert answer.headers["Location"] == f"/v1/subscriptions/{tried['id']}"
    assert (tried["status"], tried["auto_renew"], tried["renew_at"]) == ("trialing", True, tried["period_end"])
    assert datetime.fromisoformat(tried["period_end"]) - datetime.fromisoformat(tried["period_start"]) == timedelta(14)
    assert await subscriber.entitled() == [f"role:{name}"]
    (order,) = (await subscriber.get("/v1/orders"))["items"]
    assert (order["purpose"], order["total"], order["status"]) == ("trial", usd(0), "fulfilled")
    assert order["payment"] is None, "nothing is collected"
    assert (await subscriber.get("/v1/payments"))["items"] == []

    repeated = await subscriber.post("/v1/trials", {"price_id": f"{name}:monthly"}, key="try")
    assert (repeated.status_code, repeated.json()["id"]) == (201, tried["id"])
    again = await subscriber.post("/v1/trials", {"price_id": f"{name}:monthly"})
    assert (again.status_code, again.json()["code"]) == (409, "trial_used")
    untried = await subscriber.post("/v1/trials", {"price_id": f"{name}:dearer"})
    assert (untried.status_code, untried.json()["code"]) == (422, "trial_unavailable")

    upcoming = (await subscriber.get(f"/v1/subscriptions/{tried['id']}/preview"))["items"]
    assert upcoming[0]["charge_at"] == upcoming[0]["period_start"] == tried["period_end"]


async def test_a_pause_keeps_the_rest(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    before = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/subscriptions/{before['id']}"
    paused = await subscriber.post(f"{path}/pause")
    assert (paused.status_code, paused.json()["status"], paused.json()["renew_at"]) == (200, "paused", None)
    assert paused.json()["resume_by"] > paused.json()["paused_at"]
    assert await subscriber.entitled() == []
    bought = await product.order(f"{name}:monthly", subscriber.account)
    assert (bought.status_code, bought.json()["code"]) == (409, "subscription_is_paused")
    resumed = (await subscriber.post(f"{path}/resume")).json()
    assert (resumed["status"], resumed["paused_at"]) == ("active", None)
    assert resumed["period_end"] > before["period_end"]
    assert await subscriber.entitled() == [f"role:{name}"]
    again = await subscriber.post(f"{path}/pause")
    assert (again.status_code, again.json()["code"]) == (409, "pause_limit_reached")


async def test_a_part_of_the_money_back_shortens_by_its_part(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    before = await subscriber.subscribe(f"{name}:monthly")
    (payment,) = (await subscriber.get("/v1/payments?refundable=true"))["items"]
    path, current = f"/v1/payments/{payment['id']}/refunds", f"/v1/subscriptions/{before['id']}"
    asked = await subscriber.post(path, {"amount": 333})
    assert (asked.status_code, asked.json()["rule"]) == (201, "within the refund window"), asked.text
    after = await subscriber.until(current, "auto_renew", value=False)
    start, end = (datetime.fromisoformat(before[name]) for name in ("period_start", "period_end"))
    taken = timedelta(seconds=int((end - start).total_seconds()) * 333 // 999)
    assert datetime.fromisoformat(after["period_end"]) == end - taken
    (right,) = (await subscriber.get("/v1/entitlements"))["items"]
    assert right["until"] == after["period_end"]
    (payment,) = (await subscriber.get("/v1/payments?refundable=true"))["items"]
    assert payment["refundable"] == usd(666)
    assert (await subscriber.post(path)).status_code == 201
    await subscriber.until(current, "status", "ended")
    assert await subscriber.entitled() == []


async def test_a_part_of_a_film_is_no_customers_to_ask_for(product: Product, subscriber: Subscriber) -> None:
    order = (await product.order(await product.film(), subscriber.account)).json()
    await subscriber.pay(order, order["total"])
    path = f"/v1/payments/{order['payment']['id']}/refunds"
    refused = await subscriber.post(path, {"amount": 998})
    assert (refused.status_code, refused.json()["code"]) == (409, "refund_partial_unavailable")
    assert (await subscriber.post(path, {"amount": 999})).status_code == 201


async def test_what_cannot_be_charged_cannot_renew(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product, trial_days=14)
    body = {"price_id": f"{name}:monthly", "auto_renew": False}
    tried = (await subscriber.post("/v1/trials", body)).json()
    refused = await subscriber.post(f"/v1/subscriptions/{tried['id']}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "renewal_method_missing")


async def test_another_plan_now_is_charged_less_what_is_left(product: Product, subscriber: Subscriber) -> None:
    name, other = await plans(product), await plans(product)
    before = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/subscriptions/{before['id']}"
    answer = await subscriber.post(f"{path}/change-plan", {"price_id": f"{other}:dearer", "at": "now"})
    assert answer.status_code == 200, answer.text
    order = answer.json()["order"]
    assert (order["purpose"], order["total"]) == ("plan_change", usd(1299))
    due = order["total"]["amount"] - order["credit"]["amount"]
    assert 0 < order["credit"]["amount"] <= 999
    if order["status"] == "awaiting_payment":  # the card is not saved yet
        await subscriber.pay(order, usd(due))
    after = await subscriber.until(path, "price_id", f"{other}:dearer")
    assert (after["status"], after["resource"], after["order_id"]) == ("active", f"role:{other}", order["id"])
    assert await subscriber.entitled() == [f"role:{other}"]
    amounts = {payment["amount"]["amount"] for payment in (await subscriber.get("/v1/payments"))["items"]}
    assert amounts == {999, due}
    same = await subscriber.post(f"{path}/change-plan", {"price_id": f"{other}:dearer", "at": "now"})
    assert (same.status_code, same.json()["code"]) == (409, "plan_unchanged")


async def test_another_plan_at_the_end_is_planned_shown_and_dropped(product: Product, subscriber: Subscriber) -> None:
    name, other = await plans(product), await plans(product)
    before = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/subscriptions/{before['id']}"
    wish = {"price_id": f"{other}:dearer", "at": "period_end"}
    planned = (await subscriber.post(f"{path}/change-plan", wish)).json()
    assert planned["order"] is None
    assert planned["subscription"]["price_id"] == f"{name}:monthly"
    assert planned["subscription"]["planned_change"]["price_id"] == f"{other}:dearer"
    upcoming = (await subscriber.get(f"{path}/preview?count=36"))["items"]
    assert [item["total"] for item in upcoming] == [usd(1299)] * 36
    assert upcoming[0]["charge_at"] == upcoming[0]["period_start"] == before["period_end"]
    back = await subscriber.post(f"{path}/change-plan", {"price_id": f"{name}:monthly", "at": "period_end"})
    assert back.json()["subscription"]["planned_change"] is None
    assert (await subscriber.get(f"{path}/preview?count=1"))["items"][0]["total"] == usd(999)


async def test_a_preview_has_1_to_36_renewals_of_ones_own(product: Product, subscriber: Subscriber) -> None:
    held = await subscriber.subscribe(f"{await plans(product)}:monthly")
    path = f"/v1/subscriptions/{held['id']}/preview"
    assert len((await subscriber.get(path))["items"]) == 12
    for count in (0, 37, 10_000, -1):
        assert (await subscriber.get(f"{path}?count={count}"))["code"] == "query_invalid"
    assert (await Subscriber(product).get(path))["code"] == "subscription_unknown"
    await subscriber.post(f"/v1/subscriptions/{held['id']}/cancel")
    assert (await subscriber.get(path))["items"] == []


async def test_anothers_subscription_is_unknown(product: Product, subscriber: Subscriber) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    path, other = f"/v1/subscriptions/{held['id']}", Subscriber(product)
    for action, body in (
        ("pause", None),
        ("resume", None),
        ("change-plan", {"price_id": f"{name}:dearer", "at": "now"}),
        ("change-plan", {"price_id": f"{name}:dearer", "at": "period_end"}),
    ):
        answer = await other.post(f"{path}/{action}", body)
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription_unknown"), action
    assert (await subscriber.get(path))["status"] == "active"


async def test_managers_see_the_subscriptions_of_everybody(
    product: Product, subscriber: Subscriber, manager: Manager
) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    path, mine = "/v1/admin/subscriptions", {"account": subscriber.account}
    shown = {**held, "account": subscriber.account}
    assert (await manager.get(f"{path}/{held['id']}")).json() == shown
    assert (await manager.get(path, **mine)).json()["items"] == [shown]
    assert (await manager.get(path, **mine, status="active")).json()["items"] == [shown]
    assert (await manager.get(path, **mine, status="paused")).json()["items"] == []
    await subscriber.post(f"/v1/subscriptions/{held['id']}/pause", {})
    (paused,) = (await manager.get(path, **mine, status="paused")).json()["items"]
    assert (paused["id"], paused["status"]) == (held["id"], "paused")
    changes = (await manager.get(f"{path}/{held['id']}/history")).json()["items"]
    assert [change["event_type"] for change in changes] == [
        "billing.subscription.started",
        "billing.subscription.paused",
    ]
    for url in (path, f"{path}/{held['id']}", f"{path}/{held['id']}/history"):
        refused = await product.http.get(url, headers=product.headers(subscriber.account))
        assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    unknown = await product.http.get(f"{path}/nobodys", headers=product.headers("boss", "manager"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "subscription_unknown")


async def test_managers_extend_cancel_and_migrate(product: Product, subscriber: Subscriber, manager: Manager) -> None:
    name = await plans(product)
    held = await subscriber.subscribe(f"{name}:monthly")
    path = f"/v1/admin/subscriptions/{held['id']}"
    days = {"days": 10, "reason": "an outage"}
    extended = await manager.post(f"{path}/extend", days, key=f"extend {held['id']}")
    assert extended.status_code == 200, extended.text
    ten_later = datetime.fromisoformat(held["period_end"]) + timedelta(days=10)
    assert datetime.fromisoformat(extended.json()["period_end"]) == ten_later
    repeated = await manager.post(f"{path}/extend", days, key=f"extend {held['id']}")
    assert (repeated.json(), repeated.headers["Idempotency-Replayed"]) == (extended.json(), "true")
    assert (await manager.post(f"{path}/extend", {**days, "days": 10_000})).json()["code"] == "extension_invalid"
    assert (await manager.post(f"{path}/extend", {**days, "days": 0})).json()["code"] == "extension_invalid"
    assert (await subscriber.post(f"{path}/extend", days)).status_code == 403
    unknown = await manager.post("/v1/admin/subscriptions/nobodys/extend", days)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "subscription_unknown")
    wrong = await manager.post(f"{path}/extend", {**days, "account": product.account()})
    assert (wrong.status_code, wrong.json()["code"]) == (404, "subscription_unknown")

    soon = {"price_id": f"{name}:dearer", "effective_at": datetime.now(UTC).isoformat()}
    assert (await manager.post(f"{path}/migrate", soon)).json()["code"] == "migration_invalid"
    later = (datetime.now(UTC) + timedelta(days=31)).isoformat()
    told = await manager.post(f"{path}/migrate", {**soon, "effective_at": later})
    assert told.status_code == 200, told.text
    assert told.json()["planned_change"]["price"] == usd(1299)
    for bad, code in (
        ("0001-01-01T00:00:00+14:00", "moment_out_of_range"),
        ("9999-12-31T23:59:59-12:00", "moment_out_of_range"),
        ("9999-12-31T23:59:59Z", "migration_invalid"),
        ("2030-01-01T00:00:00", "body_invalid"),
        ("soon", "body_invalid"),
    ):
        assert (await manager.post(f"{path}/migrate", {**soon, "effective_at": bad})).json()["code"] == code

    ended = await manager.post(f"{path}/cancel", {"at": "now", "account": subscriber.account})
    assert (ended.status_code, ended.json()["status"]) == (200, "ended")
    assert await subscriber.entitled() == []
