"""Stripe's errors: each names its HTTP status, its `type` and `code`, and whether an idempotency key remembers it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DOCUMENTATION_URL = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer other than success that leaves no trace in the books.

    `remembered` follows Stripe: a result is kept for its idempotency key only if the endpoint had begun to work, so
    wrong parameters, wrong keys and collisions are not kept, and everything after that is.
    """

    status = 400
    type = "invalid_request_error"
    remembered = True

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.fields = fields

    def body(self) -> Json:
        """The JSON body by Stripe's `error` schema."""
        error: Json = {"type": self.type, "message": self.message}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = DOCUMENTATION_URL + self.code.replace("_", "-")
        if self.param is not None:
            error["param"] = self.param
        error.update(self.fields)
        return {"error": error}


class InvalidParameterError(ApiError):
    """A parameter is missing, unknown or of the wrong shape: nothing was begun, so nothing is remembered."""

    remembered = False


class StateError(ApiError):
    """The parameters are fine, but the object's state does not allow the call."""


class ResourceMissingError(ApiError):
    """No object of that id: 404 when it is in the path, 400 when it is a parameter."""

    def __init__(self, kind: str, identifier: str, *, param: str = "id") -> None:
        noun = kind.replace(".", " ").replace("_", "")
        super().__init__(f"No such {noun}: '{identifier[:100]}'", code="resource_missing", param=param)
        self.status = 404 if param in {"id", "intent"} else 400


class UnknownRouteError(ApiError):
    """Stripe answers 404 with the method and path in the message."""

    status = 404
    remembered = False


class AuthenticationError(ApiError):
    """No key, or not our key."""

    status = 401
    remembered = False


class IdempotencyMismatchError(ApiError):
    """The key was used with other parameters or for another path."""

    type = "idempotency_error"
    remembered = False


class IdempotencyInUseError(ApiError):
    """Another request with this key is being worked on right now."""

    status = 409
    type = "idempotency_error"
    remembered = False


class RateLimitError(ApiError):
    """The bounded queue in front of the books is full."""

    status = 429
    remembered = False


class CardDeclinedError(ApiError):
    """A card that may not even be saved or set up; a declined charge is an answer with a trace, not this."""

    status = 402
    type = "card_error"


class InjectedError(ApiError):
    """A fault that somebody switched on."""

    type = "api_error"

    def __init__(self, status: int, *, remembered: bool) -> None:
        super().__init__("An unexpected error occurred. (Switched on in the sandbox.)")
        self.status = status
        self.remembered = remembered


class BrokenError(ApiError):
    """A bug of the sandbox itself; its details are logged, never answered."""

    status = 500
    type = "api_error"

    def __init__(self) -> None:
        super().__init__("An unexpected error occurred.")
