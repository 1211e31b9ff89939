"""Where a public price set is: a file that was given, or the files of its distribution, which is never imported."""

from __future__ import annotations

import json
import re
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from tokencalc.errors import PriceTableInvalid
from tokencalc.pricing.sets.difference import PriceSet
from tokencalc.pricing.sets.genai import genai_facts
from tokencalc.pricing.sets.litellm import litellm_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from typing import Any

_READERS: Mapping[str, tuple[str, Callable[[Path], dict[str, dict[str, Any]]]]] = {
    "genai-prices": ("genai_prices/data.py", genai_facts),
    "litellm": ("litellm/model_prices_and_context_window_backup.json", litellm_facts),
}
_WHEEL = re.compile(r"-(?P<version>\d[\w.]*?)-[\w.]+-[\w.]+-[\w.]+\.whl$")

SET_NAMES = tuple(_READERS)
"""The sets that we can read."""


def price_set(name: str, *, file: Path | None, day: date) -> PriceSet:
    """Read a set by its name, from a wheel or data file, or else from where it is installed.

    ``day`` is the day for whose prices it stands. Raises PriceTableInvalid where the set is not there,
    or is not what its name says.
    """
    member, read = _READERS[name]
    found, version = (file, _version_in(file.name)) if file is not None else _installed(name, member)
    try:
        models = read(found)
    except FileNotFoundError:
        raise _unreadable(name, found, "does not exist") from None
    except OSError as error:
        raise _unreadable(name, found, f"cannot be read ({error.strerror})") from error
    except (
        zipfile.BadZipFile, UnicodeDecodeError, json.JSONDecodeError, SyntaxError, ValueError,
        KeyError, TypeError, AttributeError, ArithmeticError,
    ) as error:  # fmt: skip
        raise _unreadable(name, found, f"is no data of {name}: {type(error).__name__} {error}"[:200]) from error
    if not models:
        raise _unreadable(name, found, f"holds no model of {name}")
    return PriceSet(f"{name} {version}".rstrip(), day, models)


def _version_in(file: str) -> str:
    found = _WHEEL.search(file)
    return found["version"] if found else ""


def _installed(name: str, member: str) -> tuple[Path, str]:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        raise PriceTableInvalid(
            f"{name} is not installed here; give its wheel or data file (--file, or `wheel` in update_pricing): "
            f"pip download --no-deps {name}",
            file=name,
            path="",
            found=None,
        ) from None
    return Path(str(found.locate_file(member))), found.version


def _unreadable(name: str, path: Path, why: str) -> PriceTableInvalid:
    return PriceTableInvalid(f"{name}: {path} {why}", file=str(path), path="", found=None)
