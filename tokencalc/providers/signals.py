"""What an answer says beside its content: whether it failed, how, when to come back, what is left of a rate limit.

`read_signal` looks at the status, the headers, the body and the exception that an SDK raised, as
far as each is there. An error in the body goes before the status, because some
come with HTTP 200 (Anthropic's overload in a stream, OpenRouter's upstream errors). No SDK
is imported: exceptions are told by their attributes and the names of their classes. Never raises.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokencalc.errors import TokencalcError
from tokencalc.providers.headers import RateWindow, read_retry_after, read_windows, seconds_of

if TYPE_CHECKING:
    from datetime import datetime

SignalKind = Literal[
    "ok", "throttled", "quota_exhausted", "overloaded", "server_error", "timeout", "network", "conflict",
    "unauthorized", "invalid", "cancelled", "refused", "unknown",
]  # fmt: skip
"""What became of a call; ``refused`` is one of our own refusals, ``cancelled`` the caller's own doing."""

_RETRYABLE = frozenset({"throttled", "overloaded", "server_error", "timeout", "network", "conflict"})
_FAILURES = frozenset({"overloaded", "server_error", "timeout", "network"})

_OK_STATUS = range(200, 300)
_STATUS = range(100, 600)
_FIRST_CALLER_STATUS, _FIRST_SERVER_STATUS = 400, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSignal:
    """What became of one call.

    ``retry_after_s`` is how long the provider asks to wait, in seconds, None where it does not say or
    where the call went well. ``windows`` are its rate limits as the headers state them. ``detail`` is the
    provider's own code for an error, never its message, which may quote a prompt.
    """

    kind: SignalKind
    status: int | None = None
    retry_after_s: float | None = None
    windows: tuple[RateWindow, ...] = ()
    detail: str = ""
    should_retry: bool | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may go well later; the provider's own word decides, except about a used-up quota."""
        if self.kind in {"ok", "quota_exhausted", "cancelled", "refused"}:
            return False
        return self.kind in _RETRYABLE if self.should_retry is None else self.should_retry

    @property
    def is_failure(self) -> bool:
        """Whether the provider did not do its part: what breakers count."""
        return self.kind in _FAILURES

    @property
    def is_neutral(self) -> bool:
        """Whether it says nothing about the provider's health: limits, mistakes, cancellations, refusals of ours."""
        return self.kind != "ok" and not self.is_failure


def read_signal(  # noqa: PLR0913  # each is one thing that an answer may come with
    provider: str | None = None,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    error: BaseException | None = None,
    now: datetime | None = None,
) -> ProviderSignal:
    """Return what an answer or an exception says about the call and about rate limits.

    ``now`` is what dates in headers are compared with, the system's time if None. Retry-After counts only
    where the call failed: providers send it with good answers too.
    """
    if error is not None:
        own = _own_kind(error)
        if own is not None:
            return ProviderSignal(kind=own, detail=type(error).__name__)
        status = _status_of(error) if status is None else status
        headers = _headers_of(error) if headers is None else headers
        body = _body_of(error) if body is None else body
    lower = {str(name).lower(): str(value) for name, value in headers.items()} if headers else {}
    codes, fields = _error_codes(body)
    if not codes and "x-amzn-errortype" in lower:
        codes = _words(lower["x-amzn-errortype"].partition(":")[0])
    kind = _kind(status, codes, fields, error)
    if kind == "ok":
        retry_after_s = None
    else:
        retry_after_s = read_retry_after(lower, now)
        retry_after_s = _delay_in_body(fields) if retry_after_s is None else retry_after_s
    return ProviderSignal(
        kind=kind,
        status=status,
        retry_after_s=retry_after_s,
        windows=read_windows(provider, lower, now) if lower else (),
        detail=codes[0][:_DETAIL_MAX] if codes else "",
        should_retry={"true": True, "false": False}.get(lower.get("x-should-retry", "")),
    )


_DETAIL_MAX = 60

_BY_CODE: dict[str, SignalKind] = {
    # OpenAI's and of what speaks its format, the error's code or type
    "insufficient_quota": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "rate_limit_exceeded": "throttled",
    "rate_limit_error": "throttled",
    "requests": "throttled",
    "tokens": "throttled",
    "server_error": "server_error",
    "internal_server_error": "server_error",
    "engine_overloaded": "overloaded",
    "slow_down": "overloaded",
    "invalid_api_key": "unauthorized",
    # Anthropic's, the error's type
    "overloaded_error": "overloaded",
    "api_error": "server_error",
    "timeout_error": "timeout",
    "billing_error": "quota_exhausted",
    "authentication_error": "unauthorized",
    "permission_error": "unauthorized",
    "invalid_request_error": "invalid",
    "not_found_error": "invalid",
    "request_too_large": "invalid",
    # Google's, the error's status
    "resource_exhausted": "throttled",
    "unavailable": "overloaded",
    "internal": "server_error",
    "deadline_exceeded": "timeout",
    "unauthenticated": "unauthorized",
    "permission_denied": "unauthorized",
    "invalid_argument": "invalid",
    "not_found": "invalid",
    # Mistral, Groq, DeepSeek
    "service_tier_capacity_exceeded": "throttled",
    "rate_limited": "throttled",
    "over_capacity": "overloaded",
    "insufficient_balance": "quota_exhausted",
    # Amazon's exceptions
    "throttlingexception": "throttled",
    "toomanyrequestsexception": "throttled",
    "servicequotaexceededexception": "quota_exhausted",
    "serviceunavailableexception": "overloaded",
    "modelnotreadyexception": "overloaded",
    "internalserverexception": "server_error",
    "modelstreamerrorexception": "server_error",
    "modelerrorexception": "server_error",
    "modeltimeoutexception": "timeout",
    "accessdeniedexception": "unauthorized",
    "validationexception": "invalid",
    "resourcenotfoundexception": "invalid",
}
"""Providers' own codes, in lower case; what is not here goes by the status."""

_BY_STATUS: dict[int, SignalKind] = {
    401: "unauthorized",
    402: "quota_exhausted",
    403: "unauthorized",
    408: "timeout",
    409: "conflict",
    425: "conflict",
    429: "throttled",
    498: "overloaded",  # Groq's flex tier has no capacity
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_CODES_FIRST = frozenset({"quota_exhausted", "overloaded"})
"""Kinds that a code says more exactly than the status it comes with."""


def _kind(status: int | None, codes: tuple[str, ...], fields: Mapping[str, object], error: object) -> SignalKind:
    kinds = [_BY_CODE[code] for code in codes if code in _BY_CODE]
    precise = next((kind for kind in kinds if kind in _CODES_FIRST), None)
    if precise is not None:
        return precise
    # An error with a good status is an error all the same; a code that is a number is the status that it would have.
    inner = next((int(code) for code in codes if code.isdecimal() and len(code) == len("429")), None)
    failing = inner if status is None or status in _OK_STATUS else status
    # 400 is the vaguest status, and Amazon's throttling comes with it too.
    if failing is not None and failing not in _OK_STATUS and not (failing == _FIRST_CALLER_STATUS and kinds):
        return "quota_exhausted" if _is_daily(fields) else _kind_of_status(failing)
    if kinds:
        return kinds[0]
    if error is not None:
        return _kind_of_error(error)
    return "unknown" if codes or fields else "ok"


def _kind_of_status(status: int) -> SignalKind:
    kind = _BY_STATUS.get(status)
    if kind is not None:
        return kind
    if status >= _FIRST_SERVER_STATUS:
        return "server_error"
    return "invalid" if status >= _FIRST_CALLER_STATUS else "unknown"


def _is_daily(fields: Mapping[str, object]) -> bool:
    """Tell whether Google says that a day's quota is used up: waiting a minute does not help."""
    return any("PerDay" in str(part.get("quotaId", "")) for detail in _details(fields) for part in _parts(detail))


def _parts(detail: Mapping[str, object]) -> list[Mapping[str, object]]:
    violations = detail.get("violations")
    return [one for one in violations if isinstance(one, Mapping)] if isinstance(violations, list) else []


def _details(fields: Mapping[str, object]) -> list[Mapping[str, object]]:
    details = fields.get("details")
    return [one for one in details if isinstance(one, Mapping)] if isinstance(details, list) else []


def _delay_in_body(fields: Mapping[str, object]) -> float | None:
    """Return Google's RetryInfo, in seconds."""
    for detail in _details(fields):
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            return seconds_of(delay)
    return None


def _error_codes(body: object) -> tuple[tuple[str, ...], Mapping[str, object]]:
    """Return the codes of an error in a body, in lower case, the most telling first, and the error's fields."""
    found = _parsed(body)
    if isinstance(found, list):  # Google's streams send their error in a list
        found = next((one for one in found if isinstance(one, Mapping)), None)
    if not isinstance(found, Mapping):
        return (), {}
    # A response of OpenAI's whose generation failed carries the error inside.
    inner = found.get("response")
    error = found.get("error")
    if error is None and isinstance(inner, Mapping):
        error = inner.get("error")
    if isinstance(error, str) and error:
        return _words(error), {"error": error}
    if isinstance(error, Mapping) and error:
        metadata = error.get("Code")
        return _words(error.get("code"), error.get("type"), error.get("status"), metadata), error
    exceptions = tuple(str(name).lower() for name in found if str(name).lower().endswith("exception"))
    if exceptions:
        return exceptions, found
    # An error's own fields, as SDKs hand them over, and events of the kind "error".
    bare = isinstance(found.get("message"), str) and not any(
        name in found for name in ("choices", "content", "output", "usage")
    )
    if bare or found.get("type") == "error":
        return _words(found.get("code"), found.get("type"), found.get("__type"), found.get("status")), found
    return (), {}


def _words(*values: object) -> tuple[str, ...]:
    texts = (str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool))
    return tuple(text.rpartition("#")[2].lower() for text in texts if text and text != "error")


def _parsed(body: object) -> object:
    if not isinstance(body, str | bytes | bytearray):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _own_kind(error: BaseException) -> SignalKind | None:
    """Return the kind of what is no answer at all: a cancellation, or a refusal of ours."""
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return "cancelled"
    return "refused" if isinstance(error, TokencalcError) else None


_TIMEOUT_NAMES = frozenset(
    {"APITimeoutError", "TimeoutException", "Timeout", "ReadTimeoutError", "ConnectTimeoutError"}
)
_NETWORK_NAMES = frozenset(
    {"APIConnectionError", "TransportError", "NetworkError", "ClientConnectionError", "EndpointConnectionError"}
    | {"ConnectionClosedError", "HTTPClientError", "ProtocolError", "IncompleteRead", "RemoteProtocolError"}
)  # fmt: skip


def _kind_of_error(error: object) -> SignalKind:
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, TimeoutError) or not names.isdisjoint(_TIMEOUT_NAMES):
        return "timeout"
    if isinstance(error, ConnectionError | EOFError) or not names.isdisjoint(_NETWORK_NAMES):
        return "network"
    return "unknown"


def _status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an SDK's exception carries."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    candidates = [getattr(error, "status_code", None), getattr(error, "code", None), getattr(error, "status", None)]
    candidates.append(getattr(response, "status_code", None))
    if isinstance(metadata, Mapping):
        candidates.append(metadata.get("HTTPStatusCode"))
    return next((one for one in candidates if type(one) is int and one in _STATUS), None)


def _headers_of(error: BaseException) -> Mapping[str, str] | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        metadata = response.get("ResponseMetadata")
        headers = metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    else:
        headers = getattr(response, "headers", None)
        headers = getattr(error, "headers", None) if headers is None else headers
    return headers if isinstance(headers, Mapping) else None


def _body_of(error: BaseException) -> object:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return {"error": response.get("Error")}
    body = getattr(error, "body", None)
    return getattr(error, "details", None) if body is None else body
