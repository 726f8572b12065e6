"""What Stripe told by webhooks, asked for again.

`GET /v1/events` is Stripe's own way to make up for webhooks that were not delivered
(https://docs.stripe.com/webhooks/process-undelivered-events); it knows the last 30 days.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.reports import ProviderReport, ReportPage
from infra.stripe.disputes import Owner, OwnerUnknownError, owner_of
from infra.stripe.names import SWEPT_EVENTS
from infra.stripe.webhooks import DisputeWebhook, report_of

if TYPE_CHECKING:
    from datetime import datetime

    import stripe
    from stripe.params import EventListParams

OWNERS_AT_ONCE = 8
OWNERS_KEPT_MAX = 10_000


class Reports:
    """Pages of Stripe's events as reports. `page` raises what `within_deadline` takes."""

    def __init__(self, client: stripe.StripeClient, *, step_timeout_s: float, page_length: int) -> None:
        self._client = client
        self._step_timeout_s = step_timeout_s
        self._page_length = page_length
        self._owners: dict[str, Owner | None] = {}
        """Whose payment intents are, which never changes: a dispute is told of several times."""

    async def page(self, since: datetime | None, cursor: str | None) -> ReportPage:
        """Tell what Stripe told, the newest first."""
        params: EventListParams = {"types": [*SWEPT_EVENTS], "limit": self._page_length}
        if since is not None:
            params["created"] = {"gte": int(since.timestamp())}
        if cursor is not None:
            params["starting_after"] = cursor
        events = await self._client.v1.events.list_async(params)
        found = [report_of(event.to_dict()) for event in events.data]
        unknown = await self._find_owners({each.intent for each in found if isinstance(each, DisputeWebhook)})
        reports: list[ProviderReport] = []
        for each in found:
            if isinstance(each, DisputeWebhook):
                owner = self._owners.get(each.intent)
                if owner is not None:
                    reports.append(each.report_for(owner))
            elif each is not None:
                reports.append(each)
        return ReportPage(
            reports=tuple(reports),
            next_cursor=events.data[-1].id if events.has_more and events.data else None,
            trouble=f"Stripe did not say whose {unknown} disputed payment(s) are" if unknown else None,
        )

    async def _find_owners(self, intents: set[str]) -> int:
        """Ask for those that are not known yet, and return of how many Stripe did not say."""
        while len(self._owners) > OWNERS_KEPT_MAX:
            self._owners.pop(next(iter(self._owners)))
        room = asyncio.Semaphore(OWNERS_AT_ONCE)

        async def find(intent: str) -> bool:
            async with room:
                try:
                    self._owners[intent] = await owner_of(self._client, intent, self._step_timeout_s)
                except OwnerUnknownError:
                    return False
                return True

        asked = sorted(intents - self._owners.keys())
        return (await asyncio.gather(*map(find, asked))).count(False)
