"""The authorities whose certificates HTTP clients accept, read once for a process.

Reading them takes 25 ms, and httpx reads them anew for each client, even for one that only ever speaks plain HTTP.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from ssl import SSLContext


@cache
def authorities() -> SSLContext:
    """What to pass to httpx as `verify`."""
    return httpx.create_ssl_context()
