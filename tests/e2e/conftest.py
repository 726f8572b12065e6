"""One `billing up` for a file or, in the folders below, for a folder: its start is the most expensive part of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.customer import Customer, client
from tests.e2e.running_up import billing, running_up, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.e2e.running_up import RunningUp


@pytest.fixture(scope="module")
def up() -> Iterator[RunningUp]:
    """The product with two engine workers and the demo catalogue."""
    with running_up("--workers", "2") as running:
        yield running


@pytest.fixture
def customer(up: RunningUp) -> Iterator[Customer]:
    """Somebody who has bought nothing yet."""
    found = Customer(up)
    yield found
    found.http.close()


@pytest.fixture
def subscriber(customer: Customer) -> Customer:
    """Somebody who bought a month of the plan, with a card that may be charged again."""
    order = customer.order("premium:monthly").json()
    customer.at_the_page("pay", order)
    customer.wait_for_status(order, "fulfilled")
    wait_until(lambda: bool(customer.http.get("/v1/payment-methods").json()["items"]), what="a saved card")
    return customer


@pytest.fixture
def manager(up: RunningUp) -> Iterator[httpx.Client]:
    """Somebody who looks after everything."""
    with client(up, "boss", "manager") as found:
        yield found


@pytest.fixture
def mended(up: RunningUp) -> Iterator[None]:
    """Whatever becomes of a test, the provider has no bad days after it."""
    yield
    billing("sandbox", "faults", "clear", data_dir=up.data_dir)
