"""Which calls the gateway does not make again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.effects import AnswerStatus, ChargeMethod, ProviderAnswer
from domain.payments.commands import AnswerCall
from processors.gateway_memory import PaidCharges
from tests.integration.gateway_harness import charging, checkout


def answered(effect: ChargeMethod, status: AnswerStatus) -> AnswerCall:
    return AnswerCall(
        payment_id=effect.payment_id,
        effect_id=effect.effect_id,
        attempt=effect.attempt,
        answer=ProviderAnswer(status=status, reference="pi_1", amount=effect.amount),
    )


def test_every_repeat_of_a_paid_charge_is_known() -> None:
    paid, effect = PaidCharges(), charging("one")
    assert not paid.has(effect)
    paid.note(effect, answered(effect, AnswerStatus.SUCCEEDED))
    assert paid.has(replace(effect, attempt=2))
    assert not paid.has(charging("two"))


@pytest.mark.parametrize("status", [status for status in AnswerStatus if status is not AnswerStatus.SUCCEEDED])
def test_what_may_change_is_asked_for_again(status: AnswerStatus) -> None:
    paid, effect = PaidCharges(), charging("one")
    paid.note(effect, answered(effect, status))
    assert not paid.has(effect)


def test_a_page_is_never_taken_for_a_charge() -> None:
    paid, page = PaidCharges(), checkout("one")
    paid.note(page, answered(charging("one"), AnswerStatus.SUCCEEDED))
    assert not paid.has(page)


def test_the_oldest_are_forgotten() -> None:
    paid = PaidCharges(remembered_max=2)
    effects = [charging(name) for name in ("one", "two", "three")]
    for effect in effects:
        paid.note(effect, answered(effect, AnswerStatus.SUCCEEDED))
    assert [paid.has(effect) for effect in effects] == [False, True, True]
