"""Bodies of requests: bounded while they arrive, and read strictly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from api.problems import Problem, of_validation
from schemas.http.fields import RequestModel

if TYPE_CHECKING:
    from starlette.types import Receive

JSON_BYTES_MAX = 64 * 1024
_DEADLINE_S = 15.0
_CLOSE = {"Connection": "close"}
"""The rest of such a body is not read: the connection ends with the answer."""

Model = TypeVar("Model", bound=RequestModel)


async def read_body(receive: Receive, headers: dict[bytes, bytes], bytes_max: int) -> bytes:
    """Return the whole body. Raises Problem as soon as it is too large, whatever its head promised."""
    promised = headers.get(b"content-length", b"0")
    if not promised.isdigit() or int(promised[:12]) > bytes_max:
        raise _too_large(bytes_max)
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem("content_type_unsupported", "A compressed body is not read here.", headers=_CLOSE)
    message = await _next_message(receive)
    if not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        return body
    parts = bytearray(message.get("body", b""))
    deadline = asyncio.get_running_loop().time() + _DEADLINE_S
    while message.get("more_body", False):
        if len(parts) > bytes_max:
            raise _too_large(bytes_max)
        message = await _next_message(receive, deadline)
        parts += message.get("body", b"")
    if len(parts) > bytes_max:
        raise _too_large(bytes_max)
    return bytes(parts)


async def _next_message(receive: Receive, deadline: float | None = None) -> dict[str, bytes]:
    """The next part of the body; a client that stops sending does not hold the request for ever."""
    if deadline is None:
        deadline = asyncio.get_running_loop().time() + _DEADLINE_S
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError as error:
        raise Problem("body_too_slow", f"The body did not arrive in {_DEADLINE_S:g} s.", headers=_CLOSE) from error
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return dict(message)


def _too_large(bytes_max: int) -> Problem:
    return Problem("body_too_large", f"A body has at most {bytes_max} bytes here.", headers=_CLOSE)


async def read_json(receive: Receive, headers: dict[bytes, bytes], model: type[Model]) -> Model:
    """Return the JSON body as the model has it; no body at all is an empty object where the model allows that.

    Raises Problem: wrong content type, too large, malformed, not as the model has it.
    """
    content_type = headers.get(b"content-type")
    if content_type is not None and not _is_json(content_type):
        raise Problem("content_type_unsupported", "The body must be application/json.", headers=_CLOSE)
    body = await read_body(receive, headers, JSON_BYTES_MAX)
    if body and content_type is None:
        raise Problem("content_type_unsupported", "Say Content-Type: application/json with a body.")
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise of_validation(error) from None


def _is_json(content_type: bytes) -> bool:
    """Application/json in UTF-8, however it is spelled."""
    media_type, _, parameters = content_type.partition(b";")
    if media_type.strip().lower() != b"application/json":
        return False
    charset = parameters.strip().lower()
    return charset in {b"", b"charset=utf-8", b'charset="utf-8"', b"charset=utf8"}
