"""The SDK's connection to the network: httpx with bounds, by the SDK's documented way to bring one's own client."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import httpx
import stripe

from infra.trust import authorities

if TYPE_CHECKING:
    from collections.abc import Mapping

POOLS = 8
CONNECTIONS_MAX_PER_POOL = 13
"""In all a hundred. httpcore looks at every connection of its pool for each request, twice: small pools make short work
of that."""

# httpcore imports sniffio at every lock, a dozen times a request. Where that is not installed, each of these imports
# searches all folders of packages anew: so say once that it is not there.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # what the import system itself reads as "is not there"


@dataclass(slots=True)
class Pool:
    """Connections, and how many requests they carry now."""

    client: httpx.AsyncClient
    running: int = 0


class BoundedHttpClient(stripe.HTTPClient):
    """Asynchronous, with a timeout for each step and a bounded pool; whatever breaks is a connection error.

    The SDK's own httpx client hands bodies over in a way that httpx has deprecated, and its pool has no bounds to set.
    """

    name = "httpx"

    def __init__(self, *, timeout_s: float) -> None:
        super().__init__()
        limits = httpx.Limits(
            max_connections=CONNECTIONS_MAX_PER_POOL, max_keepalive_connections=CONNECTIONS_MAX_PER_POOL
        )
        self._pools = [
            Pool(httpx.AsyncClient(timeout=timeout_s, limits=limits, follow_redirects=False, verify=authorities()))
            for _ in range(POOLS)
        ]

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Sends one request; raises `stripe.APIConnectionError` where no whole answer came back."""
        pool = min(self._pools, key=lambda one: one.running)  # so that no request waits while another pool has room
        pool.running += 1
        try:
            answer = await pool.client.request(method.upper(), url, headers=dict(headers), content=post_data or None)
        except httpx.HTTPError as error:
            message = f"{type(error).__name__} on the way to Stripe"
            raise stripe.APIConnectionError(message) from error  # type: ignore[no-untyped-call]  # the SDK's
        finally:
            pool.running -= 1
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        """Releases connections."""
        for pool in self._pools:
            await pool.client.aclose()
