"""The building blocks of requests and answers: strict where clients write, plain where they read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Generic, LiteralString, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, core_schema

from domain.calendar import Period, PeriodUnit
from domain.money import Money

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidatorFunctionWrapHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

Item = TypeVar("Item")

LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
"""Text of one line: no control characters, so no zero character that no database can hold."""
TEXT_PATTERN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
"""Text of many lines."""

NameText = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=LINE_PATTERN)]
"""The name of something else: whether there is such a thing, the domain says."""
_DURATION = re.compile(r"-?P(?=[0-9T])([0-9]{1,6}D)?(T(?=[0-9])([0-9]{1,7}H)?([0-9]{1,8}M)?([0-9]{1,9}S)?)?")


def _as_iso(text: object) -> object:
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("a duration is written in days, hours, minutes and seconds, such as P2D, PT1H30M or -P3D")
    return text


Duration = Annotated[timedelta, Field(strict=False), BeforeValidator(_as_iso)]
"""A length of time as ISO 8601 has it; without months and years, whose lengths differ."""

WIDE_MAX = 2**63 - 1
"""What 64 bits hold. It only bounds a number: the domain has the last word, and a code of its own for each rule."""


@dataclass(frozen=True, slots=True)
class Wide:
    """Marks a whole number that is refused with this code where 64 bits do not hold it.

    It is the code that the domain has for those that it does not take.
    """

    code: LiteralString

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the number after it was read."""
        return core_schema.no_info_after_validator_function(self._held, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Say the bounds."""
        return {**handler(schema), "minimum": -WIDE_MAX, "maximum": WIDE_MAX}

    def _held(self, number: int) -> int:
        if abs(number) > WIDE_MAX:
            raise PydanticCustomError(self.code, "There is no place for such a number")
        return number


_MOMENT_SHAPE = re.compile(
    r"[0-9]{4,9}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _in_utc(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """The moment as the log has it. The calendar has no 30 February, and UTC ends with the year 9999."""
    if not isinstance(value, str) or not _MOMENT_SHAPE.fullmatch(value):
        raise ValueError("a moment is written as RFC 3339 has it, with its offset, such as 2030-01-31T12:00:00Z")
    try:
        return read(value).astimezone(UTC)
    except (ValidationError, OverflowError) as error:
        raise PydanticCustomError("moment_out_of_range", "There is no such moment in UTC") from error


Moment = Annotated[AwareDatetime, Field(strict=False), WrapValidator(_in_utc)]
"""A time of RFC 3339 with its offset, in UTC from here on."""


class RequestModel(BaseModel):
    """What a client writes: nothing is converted, and nothing that we do not know is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AnswerModel(BaseModel):
    """What a client reads."""

    model_config = ConfigDict(frozen=True)


class MoneyRequest(RequestModel):
    """An amount in minor units (cents, yen, fils) of an ISO 4217 currency."""

    amount: Annotated[int, Wide("amount_out_of_range")]
    currency: NameText

    def to_domain(self) -> Money:
        """The same as the domain has it."""
        return Money(amount=self.amount, currency=self.currency)


class PeriodRequest(RequestModel):
    """A length of time: so many days or calendar months."""

    count: Annotated[int, Wide("price_invalid")]
    unit: PeriodUnit

    def to_domain(self) -> Period:
        """The same as the domain has it."""
        return Period(count=self.count, unit=self.unit)


class MoneyAnswer(AnswerModel):
    """An amount in minor units (cents, yen, fils) of an ISO 4217 currency."""

    amount: int
    currency: str

    @classmethod
    def of(cls, money: Money) -> MoneyAnswer:
        """The same for clients."""
        return cls(amount=money.amount, currency=money.currency)


class PeriodAnswer(AnswerModel):
    """A length of time: so many days or calendar months."""

    count: int
    unit: PeriodUnit

    @classmethod
    def of(cls, period: Period) -> PeriodAnswer:
        """The same for clients."""
        return cls(count=period.count, unit=period.unit)


class PageAnswer(AnswerModel, Generic[Item]):
    """Some items, and the cursor of the next page where there is one."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class ItemsAnswer(AnswerModel, Generic[Item]):
    """All items at once."""

    items: tuple[Item, ...]


class HistoryEntryAnswer(AnswerModel):
    """One change of a thing: when, by whom, by which command, which event made it, and what it set."""

    event_id: str
    event_type: str
    sequence: int
    position: str
    """`<partition>:<offset>` of the event in the log."""
    at: datetime
    actor: str
    command_id: str
    changes: dict[str, Any]


class ProblemAnswer(BaseModel):
    """What went wrong, as RFC 9457 has it. `code` is stable; `detail` is for people. A problem may have more fields."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
