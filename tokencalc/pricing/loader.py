"""Where tables come from: the package's compiled JSON, one provider at a time, and people's own TOML files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.build import ProviderTable

_TABLES = Path(__file__).with_name("tables")
_LARGEST_FILE_BYTES = 16 * 2**20


def packaged_index(name: str = "index") -> dict[str, Any]:
    """Return which provider lists which name, the providers' other names, and the newest check date.

    ``index`` is that of the curated tables, ``imported`` that of the tables taken over from public sets.
    """
    index: dict[str, Any] = json.loads(_packaged(name))
    return index


def packaged_table(provider: str) -> ProviderTable:
    """Return one provider's table as the package ships it; it was checked when it was compiled."""
    return ProviderTable(packaged_raw(provider))


def packaged_raw(provider: str) -> dict[str, Any]:
    """Return one provider's table as it was written, dates as text."""
    raw: dict[str, Any] = json.loads(_packaged(provider))
    return raw


def _packaged(name: str) -> str:
    return (_TABLES / f"{name}.json").read_text(encoding="utf-8")


def read_table(path: Path) -> ProviderTable:
    """Read and check one of the user's own price tables; PriceTableInvalid names file, key and what is allowed."""
    # Loaded when somebody has a table of their own: packaged ones were checked when they were compiled.
    from tokencalc.pricing.schema import TableChecker  # noqa: PLC0415  # see above

    raw = read_toml(path)
    TableChecker(str(path), packaged=False).table(raw)
    return ProviderTable(raw, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a price table's TOML without judging its content."""
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            raise _unreadable(path, f"is larger than {_LARGEST_FILE_BYTES} bytes")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _unreadable(path, "does not exist") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 text (byte {error.start})") from error
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, f"is not valid TOML: {error}") from error


def _unreadable(path: Path, why: str) -> PriceTableInvalid:
    return PriceTableInvalid(f"{path}: the price table {why}", file=str(path), path="", found=None)
