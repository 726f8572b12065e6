"""Why: from a charge, a refund, a discount or a refusal back to the request, step by step, each with its event.

Pure: it is given the events of the account and those of the catalogue's entries that the account agreed to, and reads
nothing. What it says follows from the log alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from domain.balance.state import BALANCE
from domain.catalog.events import PriceAdded
from domain.ids import MONTHS_DISCOUNTS_KEY, derive, product_key, product_of, promo_key
from domain.orders.events import OrderPlaced
from domain.pricing.events import MonthsDiscountsDefined, PersonalDiscountGranted
from domain.pricing.state import DiscountKind
from domain.promo.events import PromoCodeDefined
from domain.refunds.events import RefundRequested
from projections.audit.selection import SUBJECTS, chosen_for, ids_of, is_renewal
from projections.audit.sentences import INTENTS, SENTENCES
from projections.audit.words import Names, amount, moment
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from projections.account_events import StoredEvent

OUTCOMES = (CommandAccepted, CommandRejected)
CATALOGUE_EVENTS = (PriceAdded, PromoCodeDefined, MonthsDiscountsDefined)
"""What of the catalogue's events an explanation tells: the versions of what was agreed to."""


class StepKind(StrEnum):
    """What a step of an explanation tells."""

    REQUEST = "request"
    """Somebody asked for something."""
    TIMER = "timer"
    """Something was due."""
    ANSWER = "answer"
    """A provider or a promo code told something."""
    AGREEMENT = "agreement"
    """What was agreed: order, price, renewals by themselves."""
    PRICE = "price"
    """The version of the price in the catalogue."""
    DISCOUNT = "discount"
    """The discount that won, and where it comes from."""
    CALL = "call"
    """A provider or a promo code was asked something."""
    EVENT = "event"
    """What followed."""
    REFUSAL = "refusal"
    """A rule said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One sentence with its evidence. What was asked for has a command and no event, if it was refused."""

    kind: StepKind
    at: datetime
    text: str
    actor: str
    event_id: str
    event_type: str
    command_id: str
    correlation_id: str
    position: str
    """`<partition>:<offset>` of the event in the log."""
    effect_id: str | None
    """The idempotency key of the call that the step is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The chain, the request first. `noun` and `subject` are what is explained."""

    account: str
    noun: str
    subject: str
    steps: tuple[Step, ...]


class FullNames(Names):
    """Ids in full: an explanation is read by itself, without a table beside it."""

    def short(self, kind: str, identifier: str) -> str:
        """Return the id as it is."""
        return identifier


@dataclass(frozen=True, slots=True)
class Chapter:
    """One command: its events in their order, the outcome last."""

    events: tuple[StoredEvent, ...]

    @property
    def outcome(self) -> StoredEvent | None:
        """What became of the command."""
        last = self.events[-1]
        return last if isinstance(last.data, OUTCOMES) else None

    @property
    def command_type(self) -> str:
        """What was asked."""
        outcome = self.outcome
        return "" if outcome is None else outcome.data.command_type


def keys_needed(events: Iterable[StoredEvent], subject: str) -> set[str]:
    """Return the keys of the catalogue whose events an explanation of the subject speaks about."""
    keys: set[str] = set()
    events = tuple(events)
    chosen = {id(event) for event in chosen_for(events, subject)}
    for event in events:
        if isinstance(event.data, OrderPlaced) and id(event) in chosen:
            keys |= {product_key(product_of(line.price_id)) for line in event.data.lines}
            applied = event.data.applied
            if applied is not None and applied.kind is DiscountKind.PROMO:
                keys.add(promo_key(applied.reference))
            if applied is not None and applied.kind is DiscountKind.MONTHS:
                keys.add(MONTHS_DISCOUNTS_KEY)
    return keys


def explain(
    events: Sequence[StoredEvent],
    catalogue: Mapping[str, Sequence[StoredEvent]],
    subject: str,
    *,
    names_staff: bool = True,
) -> Explanation | None:
    """Return the chain of a payment, order, refund or command of the account, or None where it has no such thing.

    `names_staff` says whether managers are named: a customer reads that a manager did it, and not who.
    """
    noun = _noun(events, subject)
    if noun is None:
        return None
    chosen = chosen_for(events, subject)
    teller = _Teller(events, catalogue, names_staff=names_staff)
    steps: list[Step] = []
    for chapter in _chapters(events, chosen):
        steps += teller.tell(chapter, {id(event) for event in chosen})
    return Explanation(account=events[0].account, noun=noun, subject=subject, steps=tuple(steps))


def _noun(events: Sequence[StoredEvent], subject: str) -> str | None:
    """Tell what the id names: a command only where it names nothing else."""
    for event in events:
        for attribute in SUBJECTS:
            if getattr(event.data, attribute, None) == subject:
                return attribute.removesuffix("_id")
    return "command" if any(event.command_id == subject for event in events) else None


def _chapters(events: Sequence[StoredEvent], chosen: Sequence[StoredEvent]) -> list[Chapter]:
    """Return the commands of the chosen events, each with all that followed from it."""
    wanted = {event.command_id for event in chosen}
    grouped: dict[str, list[StoredEvent]] = {}
    for event in events:
        if event.command_id in wanted:
            grouped.setdefault(event.command_id, []).append(event)
    return [Chapter(tuple(group)) for group in grouped.values()]


class _Teller:
    """Tells chapters; it knows the whole account, so that a timer can be led back to what set it."""

    def __init__(
        self, events: Sequence[StoredEvent], catalogue: Mapping[str, Sequence[StoredEvent]], *, names_staff: bool
    ) -> None:
        self._events = events
        self._catalogue = catalogue
        self._names_staff = names_staff
        self._names = FullNames()
        self._calls = _calls(events)

    def tell(self, chapter: Chapter, chosen: set[int]) -> list[Step]:
        """Who asked or what was due, and then what followed."""
        steps = [self._heading(chapter)]
        for event in chapter.events:
            if isinstance(event.data, CommandRejected):
                detail = f"It was refused by the rule {event.data.code}: {event.data.detail}"
                steps.append(self._step(StepKind.REFUSAL, event, detail))
            elif id(event) in chosen and not isinstance(event.data, OUTCOMES):
                steps.append(self._step(_kind(event), event, self._said(event)))
                if isinstance(event.data, OrderPlaced):
                    steps += self._agreed(event, event.data)
        return steps

    def _heading(self, chapter: Chapter) -> Step:
        event = chapter.outcome or chapter.events[-1]
        intent = INTENTS.get(chapter.command_type, chapter.command_type)
        match event.actor.partition(":")[0]:
            case "timer":
                return self._step(StepKind.TIMER, event, f"It was time {intent}{self._due(chapter)}.")
            case "gateway":
                call = self._calls.get(event.command_id)
                what = "" if call is None else f" to the call {call[0]}, attempt {call[1]}"
                effect_id = None if call is None else call[0]
                return self._step(StepKind.ANSWER, event, f"An answer came{what}.", effect_id=effect_id)
            case "provider":
                told = event.actor.partition(":")[2]
                return self._step(StepKind.ANSWER, event, f"{told} told by itself how it stands.")
            case _:
                return self._step(StepKind.REQUEST, event, _capitalised(f"{self._who(event.actor)} asked {intent}."))

    def _who(self, actor: str) -> str:
        """A customer reads their own name, and that it was a manager, not which one."""
        role, _, name = actor.partition(":")
        if role == "user":
            return f"the customer {name}"
        return f"{role} {name}".strip() if self._names_staff else "a manager"

    def _due(self, chapter: Chapter) -> str:
        """When the timer was due, and which event had set it: the newest before it that names a moment for it."""
        first = chapter.events[0]
        named = {getattr(event.data, "subscription_id", None) for event in chapter.events} - {None}
        ids = {identifier for event in chapter.events for identifier in ids_of(event)} | named
        wanted = _DUE.get(chapter.command_type, ())
        for event in reversed(self._events):
            if event.sequence >= first.sequence or event.command_id == first.command_id:
                continue
            if not ids & (ids_of(event) | {getattr(event.data, "subscription_id", None)}):
                continue
            for attribute in wanted:
                due_at = getattr(event.data, attribute, None)
                if due_at is not None and due_at <= first.at:
                    return f", due at {moment(due_at)} as {event.type} (event {event.id}) had said"
        return ""

    def _agreed(self, event: StoredEvent, placed: OrderPlaced) -> list[Step]:
        steps = [step for line in placed.lines for step in self._price(event, placed, line)]
        if placed.applied is not None:
            steps.append(self._discount(event, placed))
        total = (
            f"{amount(placed.subtotal)} less {amount(placed.discount)} is {amount(placed.total)}: "
            "that was agreed, and nothing else is charged."
        )
        return [*steps, self._step(StepKind.AGREEMENT, event, total)]

    def _price(self, event: StoredEvent, placed: OrderPlaced, line: Any) -> list[Step]:
        listed = self._catalogue.get(product_key(product_of(line.price_id)), ())
        added = [
            each
            for each in listed
            if isinstance(each.data, PriceAdded) and each.data.price.id == line.price_id and each.at <= event.at
        ]
        if not added:
            return []
        if is_renewal(placed):
            text = f"The price {line.price_id} is the one of the subscription: {amount(line.unit_price)}, as agreed."
        else:
            text = f"The price {line.price_id} was {amount(line.unit_price)}."
        since = added[-1]
        text += f" It has been on sale since {moment(since.at)}, put there by {self._who(since.actor)}."
        return [self._step(StepKind.PRICE, since, text)]

    def _discount(self, event: StoredEvent, placed: OrderPlaced) -> Step:
        applied = placed.applied
        assert applied is not None
        source = self._source(event, applied.kind, applied.reference)
        text = f"The discount that won: {applied.reason}"
        if source is None:
            return self._step(StepKind.DISCOUNT, event, text)
        by = self._who(source.actor)
        return self._step(StepKind.DISCOUNT, source, f"{text} It comes from {by}, at {moment(source.at)}.")

    def _source(self, event: StoredEvent, kind: DiscountKind, reference: str) -> StoredEvent | None:
        """Return the event that gave the discount, as it stood when the order was placed."""
        match kind:
            case DiscountKind.PERSONAL:
                given = [
                    each
                    for each in self._events
                    if isinstance(each.data, PersonalDiscountGranted) and each.data.discount.id == reference
                ]
            case DiscountKind.MONTHS:
                tables = self._catalogue.get(MONTHS_DISCOUNTS_KEY, ())
                given = [each for each in tables if isinstance(each.data, MonthsDiscountsDefined)]
            case DiscountKind.PROMO:
                codes = self._catalogue.get(promo_key(reference), ())
                given = [each for each in codes if isinstance(each.data, PromoCodeDefined)]
        earlier = [each for each in given if each.at <= event.at]
        return earlier[-1] if earlier else None

    def _said(self, event: StoredEvent) -> str:
        say = SENTENCES.get(type(event.data))
        if say is None:
            return f"{event.type.removeprefix('billing.').replace('.', ' ').replace('_', ' ').capitalize()}."
        return _capitalised(say(event.data, self._names))

    def _step(self, kind: StepKind, event: StoredEvent, text: str, *, effect_id: str | None = None) -> Step:
        actor = event.actor
        if not self._names_staff and not actor.startswith("user:"):
            actor = actor.partition(":")[0]
        return Step(
            kind=kind,
            at=event.at,
            text=text,
            actor=actor,
            event_id=event.id,
            event_type=event.type,
            command_id=event.command_id,
            correlation_id=event.correlation_id,
            position=event.position,
            effect_id=effect_id or (getattr(event.data, "effect_id", None) if kind is StepKind.CALL else None),
        )


_DUE: dict[str, tuple[str, ...]] = {
    "billing.subscription.renew": ("retry_at", "renew_at"),
    "billing.subscription.end_period": ("period_end",),
    "billing.subscription.end_grace": ("access_end",),
    "billing.payment.repeat_call": ("repeat_at",),
    "billing.refund.repeat": ("repeat_at",),
    "billing.promo_use.repeat_call": ("repeat_at",),
    "billing.payment.sweep": ("sweep_at",),
    "billing.refund.sweep": ("sweep_at",),
    "billing.payment.expire": ("expires_at",),
    "billing.order.expire": ("expires_at",),
}
"""The field of an event that says when each timer is due."""


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _kind(event: StoredEvent) -> StepKind:
    if isinstance(event.data, OrderPlaced):
        return StepKind.AGREEMENT
    if isinstance(event.data, RefundRequested) and event.data.provider == BALANCE:
        return StepKind.EVENT  # nobody is asked about the balance
    return StepKind.CALL if getattr(event.data, "repeat_at", None) is not None else StepKind.EVENT


def _calls(events: Iterable[StoredEvent]) -> dict[str, tuple[str, int]]:
    """Return the call and attempt that an answer's command is about, by the id that such a command has."""
    found: dict[str, tuple[str, int]] = {}
    for event in events:
        effect_id = getattr(event.data, "effect_id", None)
        if effect_id is not None and getattr(event.data, "repeat_at", None) is not None:
            attempt = getattr(event.data, "attempt", 1)
            found[derive(effect_id, f"answer {attempt}")] = (effect_id, attempt)
            # A promo code's answer is a word of its own, which the gateway relays.
            found[derive(derive(effect_id, "answer"), f"relay {attempt}")] = (effect_id, attempt)
    return found
