"""Health over HTTP."""

from __future__ import annotations

from typing import Literal

from schemas.http.fields import AnswerModel


class LiveAnswer(AnswerModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadyAnswer(AnswerModel):
    """Each thing that is needed, with `ok` or what is wrong with it."""

    status: Literal["ok"] = "ok"
    checks: dict[str, str]
