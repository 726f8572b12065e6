"""What may happen to a plan on the real stack, with months in minutes: tried, paused, changed, and at a new price."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.e2e.customer import Customer, client
from tests.e2e.running_up import RunningUp, billing, wait_until

CATALOG = """
products:
  - id: arthouse
    kind: subscription
    title: Arthouse
    role: arthouse
    prices:
      - {id: "arthouse:monthly", amount: 7.00 USD, period: {count: 1, unit: month}, trial_days: 14}
"""
DEARER = (
    CATALOG
    + """
      - {id: "arthouse:dearer", amount: 8.50 USD, period: {count: 1, unit: month}}
"""
)


@pytest.fixture(autouse=True, scope="module")
def _plans(up: RunningUp) -> None:
    _bring_in(up, CATALOG)


def _bring_in(up: RunningUp, catalog: str) -> None:
    path = up.data_dir / "plans.yaml"
    path.write_text(catalog, "utf-8")
    done = billing("catalog", "import", path, data_dir=up.data_dir)
    assert done.returncode == 0, done.stderr


class Subscriber(Customer):
    """Somebody who bought a month of a plan, with a card that may be charged again."""

    def __init__(self, up: RunningUp, price: str) -> None:
        super().__init__(up)
        order = self.order(price).json()
        self.at_the_page("pay", order)
        self.wait_for_status(order, "fulfilled")
        wait_until(lambda: bool(self.items("/v1/payment-methods")), what="a saved card")
        self.path = f"/v1/subscriptions/{self.items('/v1/subscriptions')[0]['id']}"

    def look_again(self, up: RunningUp) -> None:
        """Go on with a product that was started anew, at another address."""
        self.http.close()
        self.http = client(up, self.account)

    def items(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(path).json()["items"]
        return found

    def do(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.http.post(path, json=body or {}, headers={"idempotency-key": f"{self.account}-{path}"})
        assert answer.is_success, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def until(self, path: str, **wanted: Any) -> dict[str, Any]:
        """Look at a subscription until it is as wanted."""

        def is_so() -> bool:
            found = self.http.get(path).json()
            return all(found[name] == value for name, value in wanted.items())

        wait_until(is_so, what=f"{path} with {wanted}")
        found: dict[str, Any] = self.http.get(path).json()
        return found

    def paid(self) -> list[int]:
        """Amounts that were collected, newest first."""
        return [each["amount"]["amount"] for each in self.items("/v1/payments") if each["paid_at"] is not None]

    def roles(self) -> set[str]:
        """What may be watched."""
        return {held["resource"] for held in self.entitlements()}


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_tried_then_paid(up: RunningUp) -> None:
    customer = Subscriber(up, "basic:monthly")
    tried = customer.do("/v1/trials", {"price_id": "arthouse:monthly"})
    assert tried["status"] == "trialing"
    assert customer.roles() == {"role:basic", "role:arthouse"}
    up.advance("13d")
    path = f"/v1/subscriptions/{tried['id']}"
    assert customer.http.get(path).json()["status"] == "trialing"
    assert customer.paid() == [499]
    up.advance("1d1h")
    paid = customer.until(path, status="active")
    assert paid["period_start"] == tried["period_end"], "the first period begins where the trial ends"
    assert customer.paid() == [700, 499]
    again = customer.http.post(
        "/v1/trials", json={"price_id": "arthouse:monthly"}, headers={"idempotency-key": f"{customer.account}-again"}
    )
    assert again.json()["code"] == "trial_used"
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0
    customer.http.close()


def test_paused_for_longer_than_a_period_then_resumed(up: RunningUp) -> None:
    customer = Subscriber(up, "premium:monthly")
    before = customer.http.get(customer.path).json()
    paused = customer.do(f"{customer.path}/pause")
    assert (paused["status"], customer.entitlements()) == ("paused", [])
    up.advance("40d")
    resumed = customer.do(f"{customer.path}/resume")
    assert (resumed["status"], customer.roles()) == ("active", {"role:premium"})
    assert _moment(resumed["period_end"]) - _moment(before["period_end"]) >= timedelta(days=40)
    assert customer.paid() == [999], "nobody pays for a pause"
    up.advance("29d")
    wait_until(lambda: customer.paid() == [999, 999], what="a renewal after the pause")
    assert customer.http.get(customer.path).json()["period_start"] == resumed["period_end"]
    customer.http.close()


def test_another_plan_now_and_another_at_the_end(up: RunningUp) -> None:
    customer = Subscriber(up, "basic:monthly")
    done = customer.do(f"{customer.path}/change-plan", {"price_id": "premium:monthly", "at": "now"})
    assert done["order"]["status"] == "fulfilled", done
    credit = done["order"]["credit"]["amount"]
    assert credit in {498, 499}, "as good as all of the month is left"
    assert done["subscription"]["price_id"] == "premium:monthly"
    assert customer.roles() == {"role:premium"}
    assert customer.paid() == [999 - credit, 499]

    later = customer.http.post(
        f"{customer.path}/change-plan",
        json={"price_id": "basic:monthly", "at": "period_end"},
        headers={"idempotency-key": f"{customer.account}-later"},
    ).json()
    assert later["subscription"]["planned_change"]["price_id"] == "basic:monthly"
    promised = customer.items(f"{customer.path}/preview?count=2")
    assert [each["total"]["amount"] for each in promised] == [499, 499]
    up.advance_to(_moment(promised[0]["period_start"]) + timedelta(hours=1))
    changed = customer.until(customer.path, price_id="basic:monthly")
    assert (changed["period_start"], changed["period_end"]) == (promised[0]["period_start"], promised[0]["period_end"])
    assert customer.roles() == {"role:basic"}
    assert customer.paid() == [499, 999 - credit, 499]
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0
    customer.http.close()


def test_subscribers_are_moved_to_a_new_price_with_notice(up: RunningUp) -> None:
    customer = Subscriber(up, "arthouse:monthly")
    other = Subscriber(up, "premium:monthly")
    _bring_in(up, DEARER)
    too_soon = _migrate(up, "1d")
    assert too_soon["rejected"][customer.path.rpartition("/")[2]]["code"] in {"migration_invalid", "price_unknown"}
    wait_until(lambda: not _migrate(up, "45d")["rejected"], what="an announcement")
    assert _migrate(up, "45d")["rejected"] == {}, "repeated it is harmless"
    told = customer.http.get(customer.path).json()
    assert (told["price"]["amount"], told["planned_change"]["price"]["amount"]) == (700, 850)
    assert other.http.get(other.path).json()["planned_change"] is None
    assert [each["total"]["amount"] for each in customer.items(f"{customer.path}/preview?count=3")] == [700, 850, 850]
    up.advance("29d")
    wait_until(lambda: customer.paid() == [700, 700], what="a renewal within the notice, at the old price")
    up.advance("31d")
    wait_until(lambda: customer.paid() == [850, 700, 700], what="a renewal after it, at the new price")
    story = billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout
    assert story.count("A new price was announced") == 1
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0
    customer.http.close()
    other.http.close()


def _migrate(up: RunningUp, ahead: str) -> dict[str, Any]:
    done = billing(
        "catalog",
        "migrate",
        "arthouse:monthly",
        "arthouse:dearer",
        "--effective",
        ahead,
        "--json",
        data_dir=up.data_dir,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("mended")
def test_a_charge_without_an_answer_is_not_made_after_the_access_has_ended(up: RunningUp) -> None:
    customer = Subscriber(up, "premium:monthly")
    faulty = ("--path", "/v1/payment_intents", "--status", "503")
    assert billing("sandbox", "faults", "add", "error", *faulty, data_dir=up.data_dir).returncode == 0
    up.advance("29d")
    wait_until(lambda: len(customer.items("/v1/payments")) == 2, what="a renewal that is being charged")
    up.advance("1m")

    def story() -> str:
        return billing("audit", "history", "--account", customer.account, data_dir=up.data_dir).stdout

    wait_until(lambda: "made again" in story(), what="a charge that nobody answers")
    up.stop()
    up.advance("65d")
    up.start()
    customer.look_again(up)
    customer.until(customer.path, status="ended")
    assert billing("sandbox", "faults", "clear", data_dir=up.data_dir).returncode == 0
    up.advance("2h")

    def statuses() -> list[str]:
        return [payment["status"] for payment in customer.items("/v1/payments")]

    wait_until(lambda: statuses() == ["expired", "succeeded"], what="a charge that the provider says was never made")
    assert (customer.paid(), customer.entitlements()) == ([999], [])
    assert "(charge)" not in story().split("ended at", 1)[1], "after the access it was not asked for again"
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0
    customer.http.close()


def test_after_an_outage_of_65_days_nobody_pays_for_the_past(up: RunningUp) -> None:
    customer = Subscriber(up, "premium:monthly")
    up.stop()
    up.advance("65d")
    up.start()
    customer.look_again(up)
    ended = customer.until(customer.path, status="ended")
    assert ended["ended_at"] == ended["access_end"]
    assert customer.entitlements() == []
    assert customer.paid() == [999]
    assert billing("audit", "verify", data_dir=up.data_dir).returncode == 0
    customer.http.close()
