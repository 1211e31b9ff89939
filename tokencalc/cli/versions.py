"""The version that is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def tokencalc_version() -> str:
    """Return the installed version, or "unknown" where the package runs without its metadata."""
    try:
        return version("tokencalc-engine")
    except PackageNotFoundError:
        return "unknown"
