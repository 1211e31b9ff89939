"""What an attempt that raised has cost: nothing, nothing because it never went out, or nobody knows.

Providers bill no request that they refuse or fail, so an error with a status frees
the hold. A timeout, a cut connection or a cancelled task leaves the end unseen: the
provider may have generated and billed all of it. Such a hold stays, becomes suspect
when its lifetime is over, and is written off by the ledger's own rule.
"""

from __future__ import annotations

from typing import Literal

Fate = Literal["free", "unsent", "unknown"]

_UNKNOWN_STATUSES = frozenset({408, 499, 504, 524})
"""Gateways that gave up waiting: what stands behind them may go on, and bill."""

_UNSENT = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "InvalidURL",
        "LocalProtocolError",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "ClientConnectorError",
        "ClientConnectorDNSError",
        "ConnectionRefusedError",
    }
)
"""Errors, by the names of their classes in every HTTP library, after which nothing was sent."""

_CHAIN_MAX = 8


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an SDK's error carries; None where there was no answer."""
    for holder in (error, getattr(error, "response", None), getattr(error, "raw_response", None)):
        for name in ("status_code", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool) and status >= 100:  # noqa: PLR2004  # HTTP
                return status
    return None


def fate_of_status(status: int) -> Fate:
    """Tell what an attempt that was answered by an error may have cost."""
    return "unknown" if status in _UNKNOWN_STATUSES else "free"


def fate_of(error: BaseException) -> Fate:
    """Tell what an attempt that raised this may have cost."""
    if not isinstance(error, Exception):
        return "unknown"
    status = status_of(error)
    if status is not None:
        return fate_of_status(status)
    cause: BaseException | None = error
    for _ in range(_CHAIN_MAX):
        if cause is None:
            break
        if type(cause).__name__ in _UNSENT:
            return "unsent"
        # Only what it was raised from: an error that was merely being handled at the time may be of another attempt.
        cause = cause.__cause__
    return "unknown"
