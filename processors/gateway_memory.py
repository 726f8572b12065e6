"""What the gateway remembers, so that a backlog does not feed itself.

The engine repeats a call that has no answer in time. Where many charges wait at once, most of these repeats come to
the gateway after it has made the first call, and each would cost another call, which makes the backlog longer, which
makes more repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.effects import AnswerStatus, ChargeMethod
from domain.payments.commands import AnswerCall

if TYPE_CHECKING:
    from domain.effects import Effect
    from domain.ids import EffectId
    from domain.refunds.commands import AnswerRefund

REMEMBERED_MAX = 100_000
"""Charges that are remembered, the newest; together they take about 20 MB. One that is forgotten is asked for again."""


class PaidCharges:
    """Charges that brought money, by the name of their effect, each noted once its answer was in the log for sure.

    Nothing else is remembered. Every other answer may be another one when the provider is asked again; that the money
    of an effect arrived cannot, and the engine takes it from whichever attempt it comes.
    """

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._effects: dict[EffectId, None] = {}

    def note(self, effect: Effect, answered: AnswerCall | AnswerRefund) -> None:
        """Remember the effect, if its money arrived. Its answer must have been acknowledged by the broker."""
        if not isinstance(effect, ChargeMethod) or not isinstance(answered, AnswerCall):
            return
        if answered.answer.status is not AnswerStatus.SUCCEEDED:
            return
        self._effects[effect.effect_id] = None
        if len(self._effects) > self._remembered_max:
            del self._effects[next(iter(self._effects))]

    def has(self, effect: Effect) -> bool:
        """Tell whether the effect is a charge whose money is known to have arrived."""
        return isinstance(effect, ChargeMethod) and effect.effect_id in self._effects
