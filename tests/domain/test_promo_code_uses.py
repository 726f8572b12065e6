"""A promo code at its own key: its definition, and whom it gives how many uses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from domain.effects import SendCommand
from domain.errors import AmountOutOfRange, CurrencyUnknown, PromoCodeInvalid, PromoCodeUnknown
from domain.ids import AccountId, EffectId, OrderId, ProductId, derive
from domain.money import Money
from domain.promo.commands import (
    AnswerPromoReservation,
    ArchivePromoCode,
    DefinePromoCode,
    PromoOutcome,
    ReleasePromoCode,
    ReservePromoCode,
    SettlePromoCode,
)
from domain.promo.events import (
    PromoCodeArchived,
    PromoCodeDefined,
    PromoCodeRefused,
    PromoCodeReleased,
    PromoCodeReserved,
    PromoCodeSettled,
)
from domain.promo.reactions import answer
from domain.promo.state import PromoCodeUses
from tests.domain.spec import HALF, LIMITED, T0, PromoSpec, usd

if TYPE_CHECKING:
    from domain.pricing.state import PromoCode


def asked(kind: Any, order: str, *, attempt: int = 1) -> Any:
    return kind(
        code="HALF",
        account=AccountId(f"account of {order}"),
        order_id=OrderId(order),
        effect_id=EffectId(f"effect of {order}"),
        attempt=attempt,
    )


def reserve(order: str, *, attempt: int = 1) -> ReservePromoCode:
    command: ReservePromoCode = asked(ReservePromoCode, order, attempt=attempt)
    return command


def release(order: str) -> ReleasePromoCode:
    command: ReleasePromoCode = asked(ReleasePromoCode, order)
    return command


def refused(order: str, reason: str) -> PromoCodeRefused:
    return PromoCodeRefused(
        code="HALF",
        account=AccountId(f"account of {order}"),
        order_id=OrderId(order),
        effect_id=EffectId(f"effect of {order}"),
        attempt=1,
        reason=reason,
    )


DEFINED = PromoCodeDefined(promo=LIMITED)


class TestAtItsOwnKey:
    def test_uses_are_given_until_none_is_left(self) -> None:
        spec = PromoSpec(DEFINED)
        for order in ("a", "b"):
            spec = spec.when(reserve(order)).then(asked(PromoCodeReserved, order))
        spec.when(reserve("c")).then(refused("c", "promo_code_used_up"))

    def test_asked_again_the_answer_is_the_same_and_takes_no_other_use(self) -> None:
        spec = PromoSpec(DEFINED).when(reserve("a")).happens()
        again = spec.when(reserve("a", attempt=2)).then(asked(PromoCodeReserved, "a", attempt=2))
        again.when(reserve("b")).then(asked(PromoCodeReserved, "b"))

    def test_what_is_given_back_may_be_had_by_another(self) -> None:
        spec = PromoSpec(DEFINED).when(reserve("a")).happens().when(reserve("b")).happens()
        spec = spec.when(release("a")).then(asked(PromoCodeReleased, "a"))
        spec = spec.when(release("a")).then(asked(PromoCodeReleased, "a"))
        spec = spec.when(reserve("c")).then(asked(PromoCodeReserved, "c"))
        spec.when(reserve("d")).then(refused("d", "promo_code_used_up"))

    def test_what_is_final_is_counted_and_cannot_be_given_back(self) -> None:
        settle = SettlePromoCode(code="HALF", order_id=OrderId("a"))
        spec = PromoSpec(DEFINED).when(reserve("a")).happens()
        spec = spec.when(settle).then(PromoCodeSettled(code="HALF", order_id=OrderId("a")))
        assert isinstance(spec.state, PromoCodeUses)
        assert (spec.state.settled, dict(spec.state.reserved)) == (1, {})
        spec.when(settle).then()
        spec = spec.when(release("a")).happens().when(reserve("b")).happens()
        spec.when(reserve("c")).then(refused("c", "promo_code_used_up"))

    def test_of_a_code_that_is_archived_not_valid_or_unknown(self) -> None:
        archived = PromoSpec(DEFINED, PromoCodeArchived(code="HALF"))
        archived.when(reserve("a")).then(refused("a", "promo_code_unknown"))
        over = PromoSpec(PromoCodeDefined(promo=replace(LIMITED, valid_until=T0)))
        over.when(reserve("a"), at=T0).then(refused("a", "promo_code_expired"))
        PromoSpec().when(reserve("a")).then(refused("a", "promo_code_unknown"))
        PromoSpec().when(release("a")).then(asked(PromoCodeReleased, "a"))
        PromoSpec().when(SettlePromoCode(code="HALF", order_id=OrderId("a"))).then()

    def test_the_answer_goes_to_the_account_that_asked(self) -> None:
        effect = EffectId(derive("effect of a", "answer"))
        for event, outcome, reason in (
            (asked(PromoCodeReserved, "a"), PromoOutcome.RESERVED, None),
            (asked(PromoCodeReleased, "a"), PromoOutcome.RELEASED, None),
            (refused("a", "promo_code_used_up"), PromoOutcome.REFUSED, "promo_code_used_up"),
        ):
            assert answer(event) == SendCommand(
                effect_id=effect,
                attempt=1,
                key="account of a",
                data=AnswerPromoReservation(
                    order_id=OrderId("a"),
                    effect_id=EffectId("effect of a"),
                    attempt=1,
                    outcome=outcome,
                    reason=reason,
                ),
            )
        assert answer(DEFINED) is None


class TestItsDefinition:
    def test_is_made_and_changed(self) -> None:
        spec = PromoSpec().when(DefinePromoCode(promo=LIMITED)).then(DEFINED)
        spec.when(DefinePromoCode(promo=LIMITED)).then()
        more = replace(LIMITED, uses_max=3)
        spec = spec.when(reserve("a")).happens().when(DefinePromoCode(promo=more)).then(PromoCodeDefined(promo=more))
        assert isinstance(spec.state, PromoCodeUses)
        assert set(spec.state.reserved) == {"a"}

    def test_a_lower_limit_takes_nothing_away(self) -> None:
        spec = PromoSpec(DEFINED).when(reserve("a")).happens().when(reserve("b")).happens()
        fewer = spec.when(DefinePromoCode(promo=replace(LIMITED, uses_max=1))).happens()
        fewer.when(reserve("a")).then(asked(PromoCodeReserved, "a"))
        fewer.when(release("a")).happens().when(reserve("c")).then(refused("c", "promo_code_used_up"))

    def test_is_archived_and_made_again(self) -> None:
        archive = ArchivePromoCode(code="HALF")
        spec = PromoSpec(DEFINED).when(archive).then(PromoCodeArchived(code="HALF"))
        spec.when(archive).then()
        spec.when(DefinePromoCode(promo=LIMITED)).then(DEFINED)
        PromoSpec().when(archive).then_rejected(PromoCodeUnknown, promo_code="HALF")

    @pytest.mark.parametrize(
        "promo",
        [
            replace(HALF, code="half"),
            replace(HALF, code="X"),
            replace(HALF, code=" HALF"),
            replace(HALF, code="A/B"),
            replace(HALF, code="A" * 64),
            replace(HALF, basis_points=None),
            replace(HALF, amount=usd(100)),
            replace(HALF, basis_points=0),
            replace(HALF, basis_points=10_001),
            replace(HALF, uses_max=0),
            replace(HALF, uses_max=10**7),
            replace(HALF, uses_per_account_max=0),
            replace(HALF, months_min=0),
            replace(HALF, months_min=121),
            replace(HALF, products=tuple(ProductId(f"p{number}") for number in range(101))),
            replace(HALF, valid_from=T0, valid_until=T0),
            replace(HALF, active=False),
        ],
    )
    def test_that_makes_no_sense(self, promo: PromoCode) -> None:
        PromoSpec().when(DefinePromoCode(promo=promo)).then_rejected(PromoCodeInvalid, promo_code=promo.code)

    def test_of_an_amount_that_makes_no_sense(self) -> None:
        nothing = replace(HALF, basis_points=None, amount=usd(0))
        PromoSpec().when(DefinePromoCode(promo=nothing)).then_rejected(AmountOutOfRange)
        unknown = replace(HALF, basis_points=None, amount=Money(amount=1, currency="XXX"))
        PromoSpec().when(DefinePromoCode(promo=unknown)).then_rejected(CurrencyUnknown)
