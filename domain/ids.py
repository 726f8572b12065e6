"""Names of things. Every id is derived from the command that made the thing, so that a repeat makes the same id."""

from __future__ import annotations

import hashlib
import uuid
from typing import NewType

AccountId = NewType("AccountId", str)
ProductId = NewType("ProductId", str)
PriceId = NewType("PriceId", str)
OrderId = NewType("OrderId", str)
PaymentId = NewType("PaymentId", str)
SubscriptionId = NewType("SubscriptionId", str)
RefundId = NewType("RefundId", str)
DiscountId = NewType("DiscountId", str)
CommandId = NewType("CommandId", str)
EffectId = NewType("EffectId", str)
Resource = NewType("Resource", str)
"""What may be watched: `film:<product id>` or `role:<role>`."""

CATALOG_PREFIX = "catalog/"
"""Keys of the catalogue begin with it; an account id may not, so that no customer can write to the catalogue."""

_NAMESPACE = uuid.UUID("6f1c9b1e-7a52-5a0e-9d53-0f6f5a1f3b11").bytes
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The first digit of the fourth group with the two bits that RFC 9562 asks for."""


def derive(parent: str, name: str) -> str:
    """Return the UUID (version 5) that `name` always has under `parent`."""
    # The same as str(uuid.uuid5(...)), without making an object of it: every event of the engine pays for this.
    text = hashlib.sha1(_NAMESPACE + f"{parent}\n{name}".encode(), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def product_key(product_id: ProductId) -> str:
    """Return the Kafka key of a product and its prices."""
    return f"{CATALOG_PREFIX}product/{product_id}"


MONTHS_DISCOUNTS_KEY = f"{CATALOG_PREFIX}months-discounts"
"""The Kafka key of the table of discounts by months."""
PROMO_PREFIX = f"{CATALOG_PREFIX}promo/"


def promo_key(code: str) -> str:
    """Return the Kafka key of a promo code, as it is spelled by `spelled`."""
    return f"{PROMO_PREFIX}{code}"


def spelled(code: str) -> str:
    """Return the one spelling of a promo code: customers may write it as they like."""
    return code.strip().upper()


def product_of(price_id: PriceId) -> ProductId:
    """Return the product that a price id names: a price id is `<product id>:<name>`, unique by construction."""
    return ProductId(price_id.partition(":")[0])
