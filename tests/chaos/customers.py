"""Customers, each with a story: they buy, decline, cancel, click twice, come back, give up, and some are hostile.

A customer whose request got no answer repeats it with the same key until there is one, as every client should. What was
sent and what was answered is written down for the verifier.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import orjson

from tests.chaos.evidence import Sent
from tests.http_client import Answer, Client, ConnectionLostError

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

PATIENCE_S = 240.0
"""How long a customer repeats a request before giving up; no fault of a run lasts so long."""
PAGE_PATIENCE_S = 60.0
"""How long a customer waits for the page where they pay, or for what was paid, before they leave. The provider is
frozen and silent in a run, and an unanswered call is repeated after 20 s, 1 min, 5 min: some customers do leave."""
RETRY_S = 0.5
POLL_S = 0.4
FILMS = [f"film-{number}:usd" for number in range(12)]
PLAN = "plan:month"
GOOD_CARD, AUTHENTICATED_CARD = "4242424242424242", "4000002500003155"


class GaveUpError(Exception):
    """The service did not answer in all of a customer's patience."""


class LeftError(Exception):
    """The customer was answered, but what they waited for did not come in time; they will not come back."""


@dataclass(slots=True)
class Market:
    """The shop and the provider as customers see them, and the book of what they did there."""

    api: Client
    sandbox: Client
    token_of: Callable[[str], str]
    sent: list[Sent] = field(default_factory=list)
    abandoned: set[str] = field(default_factory=set)
    answers: dict[str, int] = field(default_factory=dict)
    """How often each status (or `lost`) was answered."""
    gave_up: list[str] = field(default_factory=list)
    left: int = 0
    """Customers who left before the page or the access came."""

    def accepted(self) -> int:
        """How many different commands are promised so far."""
        return len({sent.command_id for sent in self.sent if sent.answer == "accepted"})

    def note(self, what: str) -> None:
        """Count an answer."""
        self.answers[what] = self.answers.get(what, 0) + 1


@dataclass(slots=True)
class Customer:
    """One account."""

    market: Market
    account: str
    dice: random.Random
    _keys: int = 0

    def key(self) -> str:
        """A new idempotency key."""
        self._keys += 1
        return f"key-{self._keys}"

    async def command(self, path: str, body: Any, key: str, *, prefer: str = "") -> Answer:
        """Ask until there is an answer that is one."""
        headers = {
            "authorization": f"Bearer {self.market.token_of(self.account)}",
            "idempotency-key": key,
            "content-type": "application/json",
        }
        if prefer:
            headers["prefer"] = prefer
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = await self.market.api.request("POST", path, headers=headers, body=raw)
            except ConnectionLostError:
                self.market.note("lost")
                self._write_down(key, None)
            else:
                self.market.note(str(answer.status))
                self._write_down(key, answer)
                if answer.status < 500:
                    return answer
            await asyncio.sleep(RETRY_S)
        self.market.gave_up.append(f"{self.account} POST {path}")
        raise GaveUpError

    def _write_down(self, key: str, answer: Answer | None) -> None:
        command_id = None if answer is None else command_of(answer)
        kind = "unknown" if answer is None or answer.status >= 500 else "refused"
        if answer is not None and (answer.status == 202 or (answer.status in {404, 409, 422} and command_id)):
            kind = "accepted"
        if answer is not None and answer.status in {200, 201}:
            kind = "unknown"  # the resource came instead of the command's name; the repeat that follows has it
        self.market.sent.append(
            Sent(account=self.account, idempotency_key=key, answer=kind, command_id=command_id)  # type: ignore[arg-type]
        )

    async def get(self, path: str) -> Answer:
        """Ask until there is an answer."""
        headers = {"authorization": f"Bearer {self.market.token_of(self.account)}"}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                answer = await self.market.api.request("GET", path, headers=headers)
            except ConnectionLostError:
                self.market.note("lost")
            else:
                if answer.status < 500:
                    return answer
            await asyncio.sleep(RETRY_S)
        self.market.gave_up.append(f"{self.account} GET {path}")
        raise GaveUpError

    async def until(self, path: str, holds: Callable[[Any], bool], *, patience_s: float = PATIENCE_S) -> Any:
        """Look at a resource until it is as wanted."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            answer = await self.get(path)
            if answer.status == 200 and holds(found := answer.json()):
                return found
            await asyncio.sleep(POLL_S * self.dice.uniform(0.5, 1.5))
        if patience_s < PATIENCE_S:
            raise LeftError
        self.market.gave_up.append(f"{self.account} waiting at {path}")
        raise GaveUpError

    async def order(self, price_id: str, key: str | None = None, **more: Any) -> dict[str, Any] | None:
        """Order something; the order as soon as it can be seen, or None where it was rejected."""
        key = key or self.key()
        body = {"items": [{"price_id": price_id}], **more}
        if self.dice.random() < 0.3:
            await self.command("/v1/orders", body, key, prefer="wait=5")
        answer = await self.command("/v1/orders", body, key)
        if answer.status != 202:
            return None
        command = await self.until(answer.headers["location"], lambda found: found["status"] != "pending")
        if command["status"] == "rejected":
            return None
        order_id = command["resources"]["order"]
        order: dict[str, Any] = await self.until(f"/v1/orders/{order_id}", lambda found: True)
        return order

    async def page(self, order: dict[str, Any]) -> str:
        """The address of the hosted page, as soon as there is one; empty where the order ended before."""
        found = await self.until(
            f"/v1/orders/{order['id']}",
            lambda now: bool(_page_of(now)) or now["status"] not in {"pending", "awaiting_payment"},
            patience_s=PAGE_PATIENCE_S,
        )
        return _page_of(found)

    async def at_page(self, url: str, **form: str) -> Answer:
        """Submit the form of the hosted page, until the provider answers. Paying twice is the provider's to prevent."""
        deadline = time.monotonic() + PATIENCE_S
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"content-type": "application/x-www-form-urlencoded"}
        while time.monotonic() < deadline:
            try:
                answer = await self.market.sandbox.request("POST", path, headers=headers, body=urlencode(form).encode())
            except ConnectionLostError:
                self.market.note("page lost")
            else:
                self.market.note(f"page {answer.status}")
                if answer.status < 500:
                    return answer
            await asyncio.sleep(RETRY_S)
        self.market.gave_up.append(f"{self.account} at {url}")
        raise GaveUpError

    async def pay(self, url: str, card: str = GOOD_CARD) -> None:
        """Type a card in, and pass 3-D Secure where the bank wants it."""
        answer = await self.at_page(url, action="pay", card_number=card, expiry="12/99", cvc="123")
        target = answer.headers.get("location", "")
        if "/3d_secure/" in target:
            await self.at_page(target, action="authenticate")

    async def spoil(self, method_id: str) -> None:
        """The bank refuses the saved card from now on."""
        with suppress(ConnectionLostError):
            await self.market.sandbox.request(
                "POST",
                f"/_sandbox/payment_methods/{method_id}",
                headers={"content-type": "application/json"},
                body=orjson.dumps({"decline": "insufficient_funds"}),
            )


def command_of(answer: Answer) -> str | None:
    """The id of the command that an answer names."""
    location = answer.headers.get("location", "")
    if location.startswith("/v1/commands/"):
        return location.rpartition("/")[2]
    if answer.status in {409, 422, 404}:
        problem = answer.json()
        if problem.get("code") != "idempotency_key_reused":
            found: str | None = problem.get("command_id")
            return found
    return None


async def buyer(me: Customer) -> None:
    """Buys films, pays, comes back for the same, and repeats the first request."""
    for price_id in me.dice.sample(FILMS, k=2):
        key = me.key()
        order = await me.order(price_id, key)
        if order is None:
            continue
        await me.pay(url) if (url := await me.page(order)) else None
        await me.order(price_id)  # already open, already entitled: either way nothing is charged
        await me.order(price_id, key)  # the same request again
        if me.dice.random() < 0.2:
            address = f"/v1/orders/{order['id']}"
            await me.until(address, lambda found: found["status"] == "fulfilled", patience_s=PAGE_PATIENCE_S)


async def subscriber(me: Customer) -> None:
    """Buys a subscription, with a card whose bank asks back or not; some stop it, some have a card that goes bad."""
    order = await me.order(PLAN)
    if order is None or not (url := await me.page(order)):
        return
    chance = me.dice.random()
    if chance < 0.2:
        await me.pay(url, AUTHENTICATED_CARD)
        return
    await me.pay(url)
    if chance < 0.5:
        await me.until(f"/v1/orders/{order['id']}", _is_fulfilled, patience_s=PAGE_PATIENCE_S)
        running = await me.until("/v1/subscriptions/current", lambda found: True, patience_s=PAGE_PATIENCE_S)
        if chance < 0.35:
            when = me.dice.choice(["now", "period_end"])
            await me.command(f"/v1/subscriptions/{running['id']}/cancel", {"at": when}, me.key())
        else:
            methods = await me.until("/v1/payment-methods", lambda found: found["items"], patience_s=PAGE_PATIENCE_S)
            await me.spoil(methods["items"][0]["id"])


async def refunder(me: Customer) -> None:
    """Pays and wants the money back: all of it three times at once, or more than half of a plan's price twice."""
    in_parts = me.dice.random() < 0.5
    order = await me.order(PLAN if in_parts else me.dice.choice([*FILMS, PLAN]))
    if order is None or not (url := await me.page(order)):
        return
    await me.pay(url)
    found = await me.until(f"/v1/orders/{order['id']}", _is_fulfilled, patience_s=PAGE_PATIENCE_S)
    path = f"/v1/payments/{found['payment']['id']}/refunds"
    part = order["total"]["amount"] * 6 // 10
    bodies: list[dict[str, Any]] = [{"amount": part}, {"amount": part}] if in_parts else [{}, {}, {}]
    await asyncio.gather(*(me.command(path, body, me.key()) for body in bodies))


def _is_fulfilled(order: Any) -> bool:
    return bool(order["status"] == "fulfilled")


async def decliner(me: Customer) -> None:
    """Has a bank that says no."""
    order = await me.order(me.dice.choice(FILMS))
    if order is not None and (url := await me.page(order)):
        await me.at_page(url, action="decline")


async def canceller(me: Customer) -> None:
    """Gives the order up at any moment."""
    order = await me.order(me.dice.choice(FILMS))
    if order is not None:
        if me.dice.random() < 0.5:
            await me.page(order)
        await me.command(f"/v1/orders/{order['id']}/cancel", {}, me.key())


async def undecided(me: Customer) -> None:
    """Pays and cancels in the same moment; whichever wins, the money and the order agree."""
    order = await me.order(me.dice.choice(FILMS))
    if order is not None and (url := await me.page(order)):
        await asyncio.gather(me.pay(url), me.command(f"/v1/orders/{order['id']}/cancel", {}, me.key()))


async def abandoner(me: Customer) -> None:
    """Never comes back, or leaves the page."""
    order = await me.order(me.dice.choice(FILMS))
    if order is not None:
        me.market.abandoned.add(order["id"])
        if me.dice.random() < 0.3 and (url := await me.page(order)):
            await me.at_page(url, action="abandon")


async def double_clicker(me: Customer) -> None:
    """Sends the same request many times at once, and the same wish under two keys."""
    price_id, key = me.dice.choice(FILMS), me.key()
    body = {"items": [{"price_id": price_id}]}
    await asyncio.gather(
        *(me.command("/v1/orders", body, key) for _ in range(8)), me.command("/v1/orders", body, me.key())
    )
    order = await me.order(price_id, key)
    if order is not None and (url := await me.page(order)):
        await asyncio.gather(*(me.pay(url) for _ in range(2)))


async def fool(me: Customer) -> None:
    """Asks for what is not there: many commands that are rejected, each once."""
    for _ in range(10):
        await me.order(f"nothing-{me.dice.randrange(1_000)}:usd")
        await me.command(f"/v1/orders/{'0' * 8}-0000-5000-8000-{'0' * 12}/cancel", {}, me.key())


async def enemy(me: Customer) -> None:
    """Sends what nobody should: it is refused at the door, and nothing of it is in the log."""
    film = {"items": [{"price_id": FILMS[0]}]}
    bodies: list[tuple[Any, str]] = [
        (b"{", me.key()),
        (b"", me.key()),
        (b"[" * 50_000, me.key()),
        (b'{"items":[{"price_id":"film-0:usd"}],"total":1}', me.key()),
        ({"items": [{"price_id": 7}]}, me.key()),
        ({"items": [{"price_id": FILMS[0]}], "expected_total": {"amount": 4.99, "currency": "USD"}}, me.key()),
        ({"items": [{"price_id": FILMS[0]}], "provider": "nobody"}, me.key()),
        (film, "k" * 256),
        (b"x" * 200_000, me.key()),
    ]
    for body, key in bodies:
        await me.command("/v1/orders", body, key)
    reused = me.key()
    await me.order("nothing:usd", reused)
    await me.command("/v1/orders", film, reused)


STORIES: list[tuple[Callable[[Customer], Awaitable[None]], int]] = [
    (buyer, 30),
    (subscriber, 32),
    (refunder, 12),
    (decliner, 10),
    (canceller, 10),
    (undecided, 8),
    (abandoner, 8),
    (double_clicker, 10),
    (fool, 10),
    (enemy, 4),
]
"""Stories by weight."""


async def shop(market: Market, dice: random.Random, name: str, *, is_over: Callable[[], bool]) -> int:
    """Let customers come one after another until it is over; how many came."""
    stories, weights = [story for story, _ in STORIES], [weight for _, weight in STORIES]
    served = 0
    while not is_over():
        story = dice.choices(stories, weights)[0]
        customer = Customer(market, f"{name}-{served}-{story.__name__}", dice)
        try:
            with suppress(GaveUpError):  # it is on the list
                await story(customer)
        except LeftError:
            market.left += 1
        served += 1
    return served


def _page_of(order: dict[str, Any]) -> str:
    payment = order["payment"] or {}
    return payment.get("confirmation_url") or ""
