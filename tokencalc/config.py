"""Settings: tokencalc.toml or [tool.tokencalc] in pyproject.toml, with TOKENCALC_* variables on top.

::

    # tokencalc.toml
    ledger = "usage.db"                  # relative to this file
    prices = ["our-models.toml"]
    timezone = "Europe/Berlin"

    [[budgets]]
    name = "daily"
    limit_usd = "10"

    [limits."openai/gpt-4o"]
    requests_per_minute = 60

The table is checked by hand and not by pydantic: importing pydantic and making
one model takes 70 to 100 ms of the 150 ms in which a first price should be on
the screen, and there are fourteen keys. Nothing is ignored in silence: an unknown key,
an unknown TOKENCALC_* variable and an empty one are errors that name the place.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokencalc.errors import ConfigInvalid, TimeInvalid
from tokencalc.periods import zone_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Durability = Literal["full", "normal"]

FILE_NAME = "tokencalc.toml"
VARIABLE_PREFIX = "TOKENCALC_"

_YEAR_S = 366 * 24 * 3600
_SHORTEST_SUSPECT_S = 60
_MOST_REQUESTS = 1_000_000
_LONGEST_RETENTION_DAYS = 3660
_LONGEST_RUN_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be set outside the code; ``file`` is the settings file that was read, or None.

    ``ledger`` is an absolute path, ":memory:", or None for `default_ledger_path`.
    ``price_folder`` holds the tables that were accepted from `tokencalc prices update`,
    None for `default_price_folder`.
    ``budgets``, ``limits`` (by "provider" or "provider/model"), ``alert`` and ``channel`` (by name) are the raw
    tables; their own rooms check them.
    """

    ledger: str | None = None
    prices: tuple[Path, ...] = ()
    price_folder: Path | None = None
    durability: Durability = "full"
    timezone: str = "UTC"
    requests_per_minute: int = 300
    hold_lifetime_s: int = 600
    suspect_close_after_s: int = 24 * 3600
    sample_retention_days: int = 30
    run: str | None = None
    budgets: tuple[Mapping[str, object], ...] = ()
    limits: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    alert: tuple[Mapping[str, object], ...] = ()
    channel: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    file: Path | None = None


def load_settings(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings that hold in folder ``start`` (the working folder if None).

    Raises ConfigInvalid, with the key and the file or variable, for anything
    unreadable, unknown or out of range.
    """
    variables = os.environ if environ is None else environ
    folder = _working_folder() if start is None else start.absolute()
    values: dict[str, object] = {}
    file, table = _find_table(folder, home=variables.get("HOME"))
    for name, found in table.items():
        place = _Place(file=str(file), path=name, folder=file.parent if file else folder)
        values[name] = _key(name, place).read(found, place)
    for variable, text in variables.items():
        if variable.startswith(VARIABLE_PREFIX):
            name, found = _variable_value(variable, text, folder)
            values[name] = found
    return Settings(**values, file=file)  # type: ignore[arg-type]  # each key's reader returns its field's type


def default_ledger_path() -> Path:
    """Return where the ledger lives when nobody says otherwise: in the user's data folder."""
    return _user_folder() / "ledger.db"


def default_price_folder() -> Path:
    """Return where accepted price tables live when nobody says otherwise: beside the ledger."""
    return _user_folder() / "prices"


def _user_folder() -> Path:
    import platformdirs  # noqa: PLC0415  # 5 ms that only the defaults need

    return platformdirs.user_data_path("tokencalc", appauthor=False)


class _Place(NamedTuple):
    """Where a value stands: the file or the variable, the key in it, and what relative paths start from."""

    file: str
    path: str
    folder: Path

    def at(self, index: int) -> _Place:
        return self._replace(path=f"{self.path}[{index}]")

    def refused(self, found: object, allowed: str) -> ConfigInvalid:
        return self.error(f"expected {allowed}, found {found!r:.80}", found)

    def error(self, text: str, found: object) -> ConfigInvalid:
        named = self.file if self.file == self.path else f"{self.file}: {self.path}"
        return ConfigInvalid(f"{named}: {text}", file=self.file, path=self.path, found=found)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigInvalid(
            "the working folder does not exist any more; change to one that does, or pass settings",
            file=".",
            path=".",
            found=None,
        ) from None


def _find_table(folder: Path, *, home: str | None) -> tuple[Path | None, dict[str, object]]:
    """Return the nearest settings file and its table; tokencalc.toml wins over pyproject.toml beside it."""
    for candidate in _folders(folder, home=home):
        own = candidate / FILE_NAME
        table = _read_toml(own)
        if table is not None:
            return own, table
        shared = candidate / "pyproject.toml"
        # Another project's file is parsed only if it can name us: its mistakes are not ours to report.
        tools = (_read_toml(shared, only_with="tokencalc") or {}).get("tool")
        section = tools.get("tokencalc") if isinstance(tools, dict) else None
        if isinstance(section, dict):
            return shared, section
        if section is not None:
            raise _Place(str(shared), "tool.tokencalc", candidate).refused(section, "a table")
    return None, {}


def _folders(start: Path, *, home: str | None) -> Iterator[Path]:
    # Upwards only as far as the files are the same person's or project's: to the repository's root, else to the
    # home folder. Outside both we look nowhere else, because in a shared place such as a temporary folder a
    # stranger's file above us could send our bookings to a ledger of theirs.
    top = Path(home).absolute() if home else None
    visited = []
    for folder in (start, *start.parents):
        visited.append(folder)
        if (folder / ".git").exists() or (folder == top and folder != Path(folder.anchor)):
            yield from visited
            return
    yield start


def _read_toml(file: Path, *, only_with: str = "") -> dict[str, object] | None:
    try:
        text = file.read_bytes().decode()
        if only_with not in text:
            return None
        import tomllib  # noqa: PLC0415  # several ms that only a present file needs

        return tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Both decode errors, of UTF-8 and of TOML, are ValueErrors.
    except (OSError, ValueError) as error:
        raise ConfigInvalid(f"{file}: cannot be read as TOML: {error}", file=str(file), path="", found=None) from error


def _variable_value(variable: str, text: str, folder: Path) -> tuple[str, object]:
    place = _Place(file=variable, path=variable, folder=folder)
    name = variable.removeprefix(VARIABLE_PREFIX).lower()
    key = _key(name, place, shown=_variable_name)
    if key.from_text is None:
        raise place.error(f"tables do not fit in a variable; write {key.allowed} in {FILE_NAME}", text)
    if not text.strip():
        # Taken as "not set", an empty TOKENCALC_LEDGER would send bookings to another ledger without a word.
        raise place.refused(text, f"{key.allowed}; unset the variable to use the default")
    return name, key.read(key.from_text(text), place)


def _variable_name(name: str) -> str:
    return VARIABLE_PREFIX + name.upper()


def _key(name: str, place: _Place, *, shown: Callable[[str], str] = str) -> _Key:
    known = _KEYS.get(name)
    if known is None:
        names = [shown(key) for key in _KEYS]
        near = get_close_matches(shown(name), names, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise place.error(f"unknown setting; {hint}known: {', '.join(names)}", shown(name))
    return known


def _ledger(found: object, place: _Place) -> str:
    if isinstance(found, str) and found.strip() and "://" not in found and "\0" not in found:
        return found if found == ":memory:" else str(_absolute(found, place))
    raise place.refused(found, _LEDGER)


def _folder(found: object, place: _Place) -> Path:
    if isinstance(found, str) and found.strip() and "\0" not in found:
        return _absolute(found, place)
    raise place.refused(found, _FOLDER)


def _prices(found: object, place: _Place) -> tuple[Path, ...]:
    if not isinstance(found, list):
        raise place.refused(found, _PRICES)
    return tuple(_price_file(item, place.at(index)) for index, item in enumerate(found))


def _price_file(found: object, place: _Place) -> Path:
    if isinstance(found, str) and "\0" not in found and (file := _absolute(found, place)).is_file():
        return file
    raise place.refused(found, "the path of a price table that exists")


def _absolute(text: str, place: _Place) -> Path:
    try:
        return place.folder / Path(text).expanduser()
    except RuntimeError:
        raise place.refused(text, "a path whose ~ is a known home folder") from None


def _durability(found: object, place: _Place) -> str:
    if isinstance(found, str) and found in {"full", "normal"}:
        return found
    raise place.refused(found, _DURABILITY)


def _timezone(found: object, place: _Place) -> str:
    try:
        return zone_from(found).key
    except TimeInvalid:
        raise place.refused(found, _TIMEZONE) from None


def _run(found: object, place: _Place) -> str:
    if isinstance(found, str) and 0 < len(found.strip()) <= _LONGEST_RUN_NAME and found.isprintable():
        return found
    raise place.refused(found, _RUN)


def _list_of_tables(allowed: str) -> _Key:
    def read(found: object, place: _Place) -> tuple[Mapping[str, object], ...]:
        if not isinstance(found, list):
            raise place.refused(found, f"a list of tables, {allowed}")
        for index, item in enumerate(found):
            if not isinstance(item, dict):
                raise place.at(index).refused(item, "a table")
        return tuple(found)

    return _Key(read, allowed, from_text=None)


def _named_tables(by: str, allowed: str) -> _Key:
    def read(found: object, place: _Place) -> Mapping[str, Mapping[str, object]]:
        if not isinstance(found, dict):
            raise place.refused(found, f"tables by {by}, {allowed}")
        for name, table in found.items():
            if not isinstance(table, dict):
                raise place._replace(path=f"{place.path}.{name}").refused(table, f"a table, {allowed}")
        return found

    return _Key(read, allowed, from_text=None)


def _whole(minimum: int, maximum: int) -> _Key:
    allowed = f"a whole number from {minimum} to {maximum}"

    def read(found: object, place: _Place) -> int:
        if isinstance(found, int) and not isinstance(found, bool) and minimum <= found <= maximum:
            return found
        raise place.refused(found, allowed)

    return _Key(read, allowed, _number_or_text)


def _number_or_text(text: str) -> object:
    digits = text.strip()
    # Text that is no plain number goes on as it is, so that the key's reader refuses it as it stands.
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < len(str(2**63)) else text


def _listed(text: str) -> object:
    return text.split(os.pathsep)


class _Key(NamedTuple):
    """One setting: its reader, what it allows in words, and how a variable's text becomes what a file would hold."""

    read: Callable[[object, _Place], object]
    allowed: str
    from_text: Callable[[str], object] | None = str


_LEDGER = 'the path of a ledger file, or ":memory:"'
_FOLDER = "the path of a folder for accepted price tables; it need not exist"
_PRICES = "a list of paths of price tables"
_DURABILITY = '"full" (every answer is on disk) or "normal" (the last moments may be lost with the power)'
_TIMEZONE = "an IANA time zone such as UTC or Europe/Berlin"
_LIMITS = '[limits.openai] or [limits."openai/gpt-4o"]'
_RUN = f"a printable name of 1 to {_LONGEST_RUN_NAME} characters"

_KEYS: dict[str, _Key] = {
    "ledger": _Key(_ledger, _LEDGER),
    "prices": _Key(_prices, f"{_PRICES}, separated by {os.pathsep!r}", _listed),
    "price_folder": _Key(_folder, _FOLDER),
    "durability": _Key(_durability, _DURABILITY),
    "timezone": _Key(_timezone, _TIMEZONE),
    "requests_per_minute": _whole(1, _MOST_REQUESTS),
    "hold_lifetime_s": _whole(1, _YEAR_S),
    "suspect_close_after_s": _whole(_SHORTEST_SUSPECT_S, _YEAR_S),
    "sample_retention_days": _whole(1, _LONGEST_RETENTION_DAYS),
    "run": _Key(_run, _RUN),
    "budgets": _list_of_tables("[[budgets]]"),
    "limits": _named_tables("provider", _LIMITS),
    "alert": _list_of_tables("[[alert]]"),
    "channel": _named_tables("name", "[channel.ops]"),
}
