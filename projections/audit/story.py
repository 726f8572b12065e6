"""The history of one account, command by command: who asked, what followed, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from projections.audit.sentences import INTENTS, sentence
from projections.audit.words import Names, moment
from schemas.messages import CommandAccepted, CommandRejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.envelope import EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event with its place in the log and its sentence."""

    position: str
    event: EventRecord
    text: str


@dataclass(slots=True)
class Chapter:
    """One command: what followed from it, its outcome last."""

    heading: str = ""
    told: list[Told] = field(default_factory=list)


def chapters(events: Iterable[tuple[str, EventRecord]], names: Names) -> Iterator[Chapter]:
    """Group the events of an account, each with its position, by the command that caused them."""
    chapter = Chapter()
    for position, event in events:
        if chapter.told and chapter.told[-1].event.command_id != event.command_id:
            yield _headed(chapter, names)
            chapter = Chapter()
        chapter.told.append(Told(position=position, event=event, text=_capitalised(sentence(event.data, names))))
        if isinstance(event.data, CommandAccepted | CommandRejected):
            yield _headed(chapter, names)
            chapter = Chapter()
    if chapter.told:
        yield _headed(chapter, names)


def _headed(chapter: Chapter, names: Names) -> Chapter:
    """The heading names who asked for what, and what caused it, so that every charge leads back to its request."""
    event = chapter.told[-1].event
    outcome = event.data
    intent = "something"
    if isinstance(outcome, CommandAccepted | CommandRejected):
        intent = INTENTS.get(outcome.command_type, outcome.command_type)
    cause = "" if event.causation_id == event.command_id else f", caused by {names.short('cause', event.causation_id)}"
    origin = ""
    if event.correlation_id not in {event.command_id, event.causation_id}:
        origin = f", in the course of {names.short('request', event.correlation_id)}"
    command = names("command", event.command_id)
    chapter.heading = f"{moment(event.time)}  {event.actor} asked {intent} ({command}{cause}{origin})"
    return chapter


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
