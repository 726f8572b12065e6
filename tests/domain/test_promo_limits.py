"""The limit of a promo code when its description changes: it is never exceeded, whatever it was before."""

from __future__ import annotations

from dataclasses import replace

from domain.errors import PromoCodeInvalid
from domain.ids import OrderId
from domain.promo.commands import ArchivePromoCode, DefinePromoCode, SettlePromoCode
from domain.promo.events import PromoCodeDefined
from tests.domain.spec import HALF, LIMITED, PromoSpec
from tests.domain.test_promo_code_uses import refused, reserve


def test_a_code_without_a_limit_gets_none_later() -> None:
    """Who used it before was not counted, and an engine that has not heard of the limit does not ask for a use."""
    free = PromoSpec(PromoCodeDefined(promo=HALF))
    free.when(DefinePromoCode(promo=LIMITED)).then_rejected(
        PromoCodeInvalid, reason="it had no limit, and what was used of it is not counted"
    )
    archived = free.when(ArchivePromoCode(code="HALF")).happens()
    archived.when(DefinePromoCode(promo=LIMITED)).then_rejected(PromoCodeInvalid)


def test_a_limit_may_be_taken_away_for_good() -> None:
    spec = PromoSpec(PromoCodeDefined(promo=LIMITED)).when(DefinePromoCode(promo=HALF)).happens()
    spec.when(DefinePromoCode(promo=LIMITED)).then_rejected(PromoCodeInvalid)


def test_what_was_paid_counts_against_a_lower_limit_and_a_higher_one_gives_the_difference() -> None:
    spec = PromoSpec(PromoCodeDefined(promo=LIMITED))
    for name in ("a", "b"):
        spec = spec.when(reserve(name)).happens().when(SettlePromoCode(code="HALF", order_id=OrderId(name))).happens()
    spec = spec.when(DefinePromoCode(promo=replace(LIMITED, uses_max=1))).happens()
    spec.when(reserve("c")).then(refused("c", "promo_code_used_up"))
    more = spec.when(DefinePromoCode(promo=replace(LIMITED, uses_max=3))).happens().when(reserve("c")).happens()
    more.when(reserve("d")).then(refused("d", "promo_code_used_up"))
