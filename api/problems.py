"""The one table from what went wrong to what a client is told: RFC 9457, with a stable code."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError

CONTENT_TYPE = "application/problem+json"

STATUS_BY_CODE: dict[str, int] = {
    # What the client wrote.
    "idempotency_key_missing": 400,
    "idempotency_key_invalid": 400,
    "request_malformed": 400,
    "body_malformed": 400,
    "query_invalid": 400,
    "cursor_invalid": 400,
    "position_invalid": 400,
    "header_repeated": 400,
    "webhook_invalid": 400,
    "body_too_slow": 408,
    "body_too_large": 413,
    "content_type_unsupported": 415,
    "head_too_large": 431,
    "body_invalid": 422,
    "moment_out_of_range": 422,
    "idempotency_key_reused": 422,
    "payment_provider_unknown": 422,
    # Who the client is.
    "token_missing": 401,
    "token_malformed": 401,
    "token_algorithm_not_allowed": 401,
    "token_key_unknown": 401,
    "token_signature_invalid": 401,
    "token_claims_invalid": 401,
    "token_issuer_wrong": 401,
    "token_audience_wrong": 401,
    "token_expired": 401,
    "token_not_yet_valid": 401,
    "token_subject_invalid": 401,
    "role_missing": 403,
    # What there is not.
    "not_found": 404,
    "method_not_allowed": 405,
    "command_unknown": 404,
    "overdue_unknown": 404,
    "command_expired": 409,
    "subscription_unknown": 404,
    "not_entitled": 404,
    "webhook_provider_unknown": 404,
    # Rules of the business: codes of domain.errors, which arrive as text from the read model.
    "order_unknown": 404,
    "payment_unknown": 404,
    "product_unknown": 404,
    "payment_method_unknown": 404,
    "refund_unknown": 404,
    "dispute_unknown": 404,
    "already_entitled": 409,
    "nothing_to_refund": 409,
    "payment_disputed": 409,
    "payment_not_refundable": 409,
    "plan_change_needed": 409,
    "refund_exceeds_payment": 409,
    "refund_partial_unavailable": 409,
    "renewal_method_missing": 409,
    "subscription_not_running": 409,
    "subscription_not_pausable": 409,
    "subscription_is_paused": 409,
    "pause_limit_reached": 409,
    "plan_unchanged": 409,
    "plan_change_refused": 409,
    "migration_invalid": 422,
    "trial_used": 409,
    "trial_unavailable": 422,
    "extension_invalid": 422,
    "refund_amount_invalid": 422,
    "order_cancelled": 409,
    "order_not_cancellable": 409,
    "order_is_renewal": 409,
    "price_changed": 409,
    "price_immutable": 409,
    "amount_out_of_range": 422,
    "currency_mismatch": 422,
    "currency_unknown": 422,
    "dispute_invalid": 422,
    "item_repeated": 422,
    "months_invalid": 422,
    "order_empty": 422,
    "paid_amount_mismatch": 422,
    "price_invalid": 422,
    "price_unknown": 422,
    "product_invalid": 422,
    "product_terms_invalid": 422,
    "promo_code_unknown": 422,
    "promo_code_expired": 422,
    "promo_code_not_yet_valid": 422,
    "promo_code_not_applicable": 422,
    "promo_code_invalid": 422,
    "promo_code_used": 409,
    "promo_code_used_up": 409,
    "discount_invalid": 422,
    "discount_unknown": 404,
    "credit_exceeds_balance": 409,
    "balance_too_large": 409,
    "grant_invalid": 422,
    "grant_unknown": 404,
    "order_open": 409,
    "reference_mismatch": 422,
    "too_many_items": 422,
    "too_many_open_orders": 409,
    # What is wrong with us.
    "internal_error": 500,
    "decision_failed": 500,
    "command_misplaced": 500,
    "broker_unavailable": 503,
    "catalogue_unavailable": 503,
    "database_unavailable": 503,
    "identity_provider_unavailable": 503,
    "payment_provider_unavailable": 503,
    "overloaded": 503,
    "not_ready": 503,
    "position_not_reached": 504,
}
_STATUS_OF_OTHER_REJECTIONS = 422
ERRORS_MAX = 20
"""More faults than these are counted, not listed: a hostile request gets no huge answer."""


class Problem(Exception):  # noqa: N818  the word of RFC 9457
    """What a client is told instead of what it asked for."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """`extra` are fields of the answer beside the standard ones."""
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = STATUS_BY_CODE.get(code, _STATUS_OF_OTHER_REJECTIONS)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    def body(self, request_id: str) -> dict[str, Any]:
        """The answer as RFC 9457 has it."""
        return {
            **self.extra,
            "type": f"urn:billing:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }

    def encoded(self, request_id: str) -> bytes:
        """The answer's body; whatever cannot be UTF-8 in what a client sent is replaced."""
        body = self.body(request_id)
        try:
            return orjson.dumps(body)
        except (TypeError, orjson.JSONEncodeError):
            detail = self.detail.encode("utf-8", "replace").decode()
            return orjson.dumps({**Problem(self.code, detail).body(request_id)})


def unauthorized(code: str, detail: str) -> Problem:
    """A token that is missing or proves nothing, with the challenge that RFC 6750 asks for."""
    challenge = 'Bearer realm="billing"'
    if code != "token_missing":
        description = detail.replace("\\", "").replace('"', "'")
        challenge += f', error="invalid_token", error_description="{description}"'
    return Problem(code, detail, headers={"WWW-Authenticate": challenge})


def of_validation(error: ValidationError) -> Problem:
    """What is wrong with a JSON body: malformed, or each field that is not as it must be.

    A check of ours may have a code of its own (PydanticCustomError), which is told where nothing else is wrong.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if found and found[0]["type"] == "json_invalid":
        return Problem("body_malformed", f"The body is no JSON that can be read. {found[0]['msg']}.")
    listed = [{"pointer": pointer(entry["loc"]), "detail": f"{entry['msg']}."} for entry in found[:ERRORS_MAX]]
    detail = f"{len(found)} field(s) of the body are not as they must be."
    kinds = {entry["type"] for entry in found}
    code = kinds.pop() if len(kinds) == 1 and kinds <= STATUS_BY_CODE.keys() else "body_invalid"
    return Problem(code, detail, extra={"errors": listed})


def pointer(location: tuple[int | str, ...]) -> str:
    """The JSON pointer (RFC 6901) of a place in the body."""
    return "".join(f"/{str(part)[:100].replace('~', '~0').replace('/', '~1')}" for part in location)
