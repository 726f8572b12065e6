"""Policies that a product may have of its own, and the terms that were agreed with an order.

A product says what it wants otherwise than the settings. What holds when an order is placed, by product and settings
together, is copied into its lines as their terms, and from there into the period that they pay. So neither a later
change of the product nor one of the settings changes what was agreed: it begins to hold with the next order, and for a
subscription that runs with the order of its next period.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from domain.calendar import PeriodUnit
from domain.policies.settings import LEAD_MAX, PoliciesInvalidError, require_sound
from domain.records import dataclass, replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from domain.calendar import Period
    from domain.policies.settings import Policies


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Some of the policies, for one product: what is absent is as in the settings. See them for what each means."""

    grace: timedelta | None = None
    refund_window: timedelta | None = None
    refund_unused: bool | None = None
    renewal_offsets: tuple[timedelta, ...] | None = None

    @property
    def named(self) -> dict[str, Any]:
        """What is said, by the name of the policy."""
        said = ((name, getattr(self, name)) for name in TERMS)
        return {name: value for name, value in said if value is not None}


TERMS = tuple(field.name for field in fields(Terms))
OF_FILMS = frozenset({"refund_window"})
"""What a thing that is bought once may say: there is nothing to renew, and no period that could be used in part."""


def under(terms: Terms | None, policies: Policies) -> Policies:
    """Return the policies as they are under terms; without terms, or where they say nothing, the settings hold."""
    return policies if terms is None else replace(policies, **terms.named)


def agreed(own: Terms | None, policies: Policies, *, is_plan: bool) -> Terms:
    """Return everything that holds for an order that is placed now."""
    held = under(own, policies)
    if not is_plan:
        return Terms(refund_window=held.refund_window)
    return Terms(
        grace=held.grace,
        refund_window=held.refund_window,
        refund_unused=held.refund_unused,
        renewal_offsets=held.renewal_offsets,
    )


def problems_of(
    own: Terms | None, policies: Policies, *, is_plan: bool, periods: Iterable[Period] = ()
) -> tuple[str, ...]:
    """Return what is wrong with a product's own policies together with the settings, by the rules of the settings.

    Besides, a renewal may not be tried before its period: the lead, also that of the settings, is at most as long as
    the shortest of the product's `periods`.
    """
    named = {} if own is None else own.named
    problems = [f"{name} is for subscriptions; a film has no period" for name in named if name not in OF_FILMS]
    if not is_plan and problems:
        return tuple(problems)
    days = (timedelta(days=period.count) for period in periods if period.unit is PeriodUnit.DAY)
    try:
        require_sound(under(own, policies), lead_max=min((LEAD_MAX, *days)))
    except PoliciesInvalidError as error:
        return error.problems
    return ()
