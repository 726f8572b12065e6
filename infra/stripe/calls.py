"""What every call to Stripe needs: a deadline, an end that is always an answer, and things that are made once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeVar

import stripe
import structlog

from infra.stripe.currencies import AmountNotRepresentableError
from infra.stripe.declines import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = structlog.get_logger(__name__)

Json = dict[str, Any]
T = TypeVar("T")

KEY_LIFETIME = timedelta(hours=23)
"""Stripe forgets idempotency keys after 24 hours. When a call is older than this, we look before we repeat it."""

KEY_GENERATIONS_MAX = 3
DETAIL_LENGTH_MAX = 200
LOOKUP_PAGES_MAX = 10
LOOKUP_PAGE_LENGTH = 100

GONE_METHOD_CODES = frozenset({"payment_method_unexpected_state", "payment_method_customer_mismatch"})
"""The saved method was detached, or is another customer's. (A method or a customer that Stripe does not know at all may
as well be a mistake in our configuration, which a later try would not suffer from.)"""


class UnsureError(Exception):
    """It cannot be told what happened; the message says why."""


class Kind(Enum):
    """What an error means for the payment or refund that it is about."""

    REFUSED = auto()
    DECLINED = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a call has no answer of its own. `reason` and `hard` belong to DECLINED."""

    kind: Kind
    detail: str
    request_id: str | None = None
    reason: str | None = None
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An object as Stripe told it, and the request's name, by which Stripe's support finds it."""

    body: Json
    request_id: str | None


def told(answer: stripe.StripeObject) -> Told:
    """The object of an answer of the SDK."""
    return Told(answer.to_dict(), request_id_of(answer))


def request_id_of(answer: object) -> str | None:
    """The request that an answer of the SDK came by."""
    return getattr(getattr(answer, "last_response", None), "request_id", None)


def intent_in(error: stripe.CardError) -> Told | None:
    """The payment intent that an error about a card carries: declined charges are told as errors."""
    body = error_body(error).get("payment_intent")
    return Told(body, error.request_id) if isinstance(body, dict) else None


def error_body(error: stripe.StripeError) -> Json:
    """Stripe's `error` object; empty where the answer had none."""
    body = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    return body if isinstance(body, dict) else {}


async def within_deadline(call: Awaitable[T], deadline_s: float) -> T | Trouble:
    """What the call returns, or why it does not. Never raises.

    What it takes from a call: StripeError, UnsureError, AmountNotRepresentableError; all else is a surprise.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await call
    except TimeoutError:
        return Trouble(kind=Kind.UNKNOWN, detail="no answer within the deadline")
    except AmountNotRepresentableError as error:
        return Trouble(kind=Kind.REFUSED, detail=str(error)[:DETAIL_LENGTH_MAX])
    except UnsureError as error:
        return Trouble(kind=Kind.UNKNOWN, detail=str(error)[:DETAIL_LENGTH_MAX])
    except stripe.StripeError as error:
        return trouble_of(error)
    except Exception as error:
        # An answer in a shape that nobody knows. Its text is not logged: nobody knows what stands in it.
        log.error("stripe.answer_unreadable", error=type(error).__name__)  # noqa: TRY400 - see above
        return Trouble(kind=Kind.UNKNOWN, detail="an answer that could not be read")


async def once(
    name: str,
    make: Callable[[str], Awaitable[T]],
    find: Callable[[], Awaitable[T | None]],
    *,
    look_first: bool,
) -> T:
    """Makes a thing at Stripe once, and returns it: made now, or before. Raises StripeError, UnsureError.

    `make` gets the idempotency key; `find` asks Stripe for what an earlier call made. `look_first` when the call is so
    old that Stripe may have forgotten its key.
    """
    if look_first and (found := await find()) is not None:
        return found
    for generation in range(KEY_GENERATIONS_MAX):
        try:
            return await make(f"billing-{name}" + (f"-{generation}" if generation else ""))
        except (stripe.IdempotencyError, stripe.InvalidRequestError):
            # Refused, perhaps because of what an earlier call did: one with other parameters (an older version of us)
            # or one whose key Stripe has forgotten.
            if (found := await find()) is not None:
                return found
            raise
        except stripe.StripeError as error:
            if not _is_finished_failure(error):
                raise
            # Stripe repeats its own 5xx for as long as it knows the key. The first call is over, so look what it did;
            # only if it did nothing, begin again with another key.
            if (found := await find()) is not None:
                return found
            log.warning("stripe.key_spent", name=name, generation=generation)
    raise UnsureError("Stripe keeps answering with server errors")


def trouble_of(error: stripe.StripeError) -> Trouble:
    """What an error of the SDK means. Only an outright refusal of the request is one; all else is not known."""
    detail = f"{type(error).__name__}: {error.user_message or error.code or 'no details'}"[:DETAIL_LENGTH_MAX]
    if isinstance(error, stripe.CardError):
        reason, hard = reason_of(error_body(error))
        return Trouble(kind=Kind.DECLINED, detail=detail, request_id=error.request_id, reason=reason, hard=hard)
    if error.code in GONE_METHOD_CODES:
        return Trouble(kind=Kind.DECLINED, detail=detail, request_id=error.request_id, reason=error.code, hard=True)
    # 401 and 403 are mistakes in our configuration: the payment is not refused, it has to wait until they are mended.
    if isinstance(error, stripe.InvalidRequestError) and error.http_status in {400, 404}:
        return Trouble(kind=Kind.REFUSED, detail=detail, request_id=error.request_id)
    log.warning("stripe.unknown", error=type(error).__name__, http_status=error.http_status, code=error.code)
    return Trouble(kind=Kind.UNKNOWN, detail=detail, request_id=error.request_id)


def _is_finished_failure(error: stripe.StripeError) -> bool:
    """A 5xx that Stripe repeats from its memory: the call itself is over."""
    replayed = (error.headers or {}).get("idempotent-replayed") == "true"
    return replayed and (error.http_status or 0) >= 500  # noqa: PLR2004 - HTTP's server errors


async def search_intents(client: stripe.StripeClient, payment_id: str) -> list[stripe.PaymentIntent]:
    """The payment intents with our name of a payment in their metadata. The index is about a minute behind."""
    if not payment_id.replace("-", "").isalnum():
        return []
    try:
        found = await client.v1.payment_intents.search_async(
            {"query": f"metadata['payment_id']:'{payment_id}'", "limit": 10}
        )
    except stripe.InvalidRequestError:
        return []  # Stripe does not offer searching to merchants of every country
    return found.data


def id_of(value: Any) -> str | None:
    """The id of a reference, expanded or not."""
    if isinstance(value, str):
        return value
    return value.get("id") if isinstance(value, dict) else getattr(value, "id", None)
