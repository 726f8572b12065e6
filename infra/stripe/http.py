"""The SDK's connection to the network: httpx with bounds, by the SDK's documented way to bring one's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECTIONS_MAX = 100


class BoundedHttpClient(stripe.HTTPClient):
    """Asynchronous, with a timeout for each step and a bounded pool; whatever breaks is a connection error.

    The SDK's own httpx client hands bodies over in a way that httpx has deprecated, and its pool has no bounds to set.
    """

    name = "httpx"

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__()
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._client = httpx.AsyncClient(timeout=timeout_s, limits=limits, follow_redirects=False)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Sends one request; raises `stripe.APIConnectionError` where no whole answer came back."""
        try:
            answer = await self._client.request(method.upper(), url, headers=dict(headers), content=post_data or None)
        except httpx.HTTPError as error:
            message = f"{type(error).__name__} on the way to Stripe"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]  # the SDK's
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        """Releases connections."""
        await self._client.aclose()
