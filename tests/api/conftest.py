"""One running product for all tests of the API; each test works with accounts and products of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.managing import Manager
from tests.api.product import Product, running_product
from tests.api.subscribing import Subscriber
from tests.stack import scratch_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stack import Stack


@pytest.fixture(scope="session")
async def product(stack: Stack) -> AsyncIterator[Product]:
    """Broker, database, engine, projector, gateway with a provider in memory, and two APIs."""
    with scratch_dir() as data_dir:
        async with running_product(stack, data_dir) as running:
            yield running


@pytest.fixture
def manager(product: Product) -> Manager:
    """Somebody with the role."""
    return Manager(product)


@pytest.fixture
def subscriber(product: Product) -> Subscriber:
    """Somebody with an account of their own."""
    return Subscriber(product)
