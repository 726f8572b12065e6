"""Access that managers give: beside what is bought, for a time or until it is taken back, and never in its way."""

from __future__ import annotations

import pytest

from domain.errors import AlreadyEntitled, GrantInvalid, GrantUnknown
from domain.grants.commands import EndGrant, GiveGrant, RevokeGrant
from domain.grants.events import GrantEnded, GrantGiven, GrantRevoked
from domain.grants.state import Access, access_of
from domain.ids import Resource
from domain.policies.reactions import changes_access
from tests.domain.histories import FILM, ROLE, bought, place, subscribed, subscription
from tests.domain.spec import DAY, T0, given

FOR_A_DAY = GrantGiven(resource=FILM, until=T0 + DAY, reason="the player failed")
FOR_EVER = GrantGiven(resource=FILM, until=None, reason="a critic")


class TestGiving:
    def test_for_a_time(self) -> None:
        spec = given().when(GiveGrant(resource=FILM, until=T0 + DAY, reason="the player failed")).then(FOR_A_DAY)
        assert access_of(spec.account) == (Access(resource=FILM, until=T0 + DAY, reason="grant"),)
        assert changes_access(FOR_A_DAY)
        spec.then_waits_for({"EndGrant": T0 + DAY})

    def test_the_same_again_changes_nothing(self) -> None:
        asked = GiveGrant(resource=FILM, until=T0 + DAY, reason="the player failed")
        given(FOR_A_DAY).when(asked).then_nothing()

    def test_a_newer_one_replaces_it(self) -> None:
        spec = given(FOR_A_DAY).when(GiveGrant(resource=FILM, reason="a critic")).then(FOR_EVER)
        spec.then_waits_for({})
        spec.when(EndGrant(resource=FILM, until=T0 + DAY), at=T0 + DAY).then_nothing()

    @pytest.mark.parametrize(
        "asked",
        [
            GiveGrant(resource=Resource("solaris"), reason="?"),
            GiveGrant(resource=Resource("film:"), reason="?"),
            GiveGrant(resource=Resource("film:Solaris"), reason="?"),
            GiveGrant(resource=FILM, reason=""),
            GiveGrant(resource=FILM, reason="x" * 201),
            GiveGrant(resource=FILM, reason="?", until=T0),
        ],
    )
    def test_that_makes_no_sense(self, asked: GiveGrant) -> None:
        given().when(asked).then_rejected(GrantInvalid)

    def test_too_many(self) -> None:
        many = [GrantGiven(resource=Resource(f"film:f{number}"), until=None, reason="?") for number in range(100)]
        given(*many).when(GiveGrant(resource=FILM, reason="?")).then_rejected(GrantInvalid)


class TestTakingBack:
    def test_by_a_manager(self) -> None:
        revoke = RevokeGrant(resource=FILM, reason="a mistake")
        spec = given(FOR_EVER).when(revoke).then(GrantRevoked(resource=FILM, reason="a mistake"))
        assert access_of(spec.account) == ()
        spec.when(revoke).then_rejected(GrantUnknown, resource=FILM)

    def test_not_without_a_reason(self) -> None:
        given(FOR_EVER).when(RevokeGrant(resource=FILM, reason="")).then_rejected(GrantInvalid)

    def test_by_its_timer(self) -> None:
        end = EndGrant(resource=FILM, until=T0 + DAY)
        given(FOR_A_DAY).when(end, at=T0).then_nothing()
        spec = given(FOR_A_DAY).when(end, at=T0 + DAY).then(GrantEnded(resource=FILM, ended_at=T0 + DAY))
        assert access_of(spec.account) == ()
        spec.when(end, at=T0 + DAY).then_nothing()


class TestBesideWhatIsBought:
    def test_what_lasts_longer_counts(self) -> None:
        spec = subscribed()
        end = subscription(spec).access_end
        short = spec.and_given(GrantGiven(resource=ROLE, until=end - DAY, reason="sorry"))
        assert access_of(short.account) == (Access(resource=ROLE, until=end, reason="subscription"),)
        long = spec.and_given(GrantGiven(resource=ROLE, until=end + DAY, reason="sorry"))
        assert access_of(long.account) == (Access(resource=ROLE, until=end + DAY, reason="grant"),)

    def test_the_end_of_one_leaves_the_other(self) -> None:
        spec = bought().and_given(FOR_EVER, GrantRevoked(resource=FILM, reason="a mistake"))
        assert access_of(spec.account) == (Access(resource=FILM, until=None, reason="purchase"),)

    def test_what_is_lent_may_be_bought(self) -> None:
        events = given(FOR_A_DAY).when(place("solaris:own")).events
        assert type(events[0]).__name__ == "OrderPlaced"

    def test_what_is_given_for_good_is_not_sold(self) -> None:
        given(FOR_EVER).when(place("solaris:own")).then_rejected(AlreadyEntitled, resource=FILM)
