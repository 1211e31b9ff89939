"""The version that is installed."""

from __future__ import annotations


def tokencalc_version() -> str:
    """Return the installed version, or "unknown" where the package runs without its metadata."""
    # 20 ms that no other answer needs.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("tokencalc-engine")
    except PackageNotFoundError:
        return "unknown"
