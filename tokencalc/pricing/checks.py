"""The single checks that a table's reading is made of: each refuses one value, with its path and what is allowed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from tokencalc.errors import MoneyInvalid, PriceTableInvalid, TimeInvalid
from tokencalc.money import decimal_from
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal

_LONGEST_NAME = 200


class Checks:
    """What any part of a table needs checked; raises PriceTableInvalid at the first fault."""

    def __init__(self, file: str) -> None:
        """Check for ``file``, as messages name it."""
        self._file = file

    def _sources(self, raw: object, path: str) -> None:
        for source in [raw] if isinstance(raw, str) else self._list(raw, path):
            if not isinstance(source, str) or not source.strip():
                self._refuse(path, source, "expected text that names the source")

    def _claim(self, name: str, path: str, taken: dict[str, str]) -> None:
        if name in taken:
            self._refuse(path, name, f"is taken by {taken[name]}")
        taken[name] = path

    def _decimal(self, value: object, path: str) -> Decimal:
        if not isinstance(value, str):
            self._refuse(path, value, 'expected a quoted decimal, for example "0.15", because a bare one is a float')
        try:
            return decimal_from(value, name=path)
        except MoneyInvalid as error:
            self._refuse(path, value, str(error))

    def _instant(self, value: object, path: str) -> datetime:
        try:
            return instant_of(value)
        except TimeInvalid:
            self._refuse(path, value, "expected a date, or an instant with a time zone")

    def _name(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not value or value != value.strip().lower() or len(value) > _LONGEST_NAME:
            self._refuse(path, value, "expected a name in lower case, without spaces around it")
        if not value.isprintable():
            self._refuse(path, value, "expected printable characters")
        return value

    def _names(self, raw: object, path: str) -> list[str]:
        return [self._name(value, path) for value in self._list(raw, path)]

    def _texts(self, raw: object, path: str) -> None:
        for key, value in self._dict(raw, path).items():
            if not isinstance(value, str):
                self._refuse(f"{path}.{key}", value, "expected text")

    def _notes(self, table: dict[str, Any], path: str, keys: tuple[str, ...]) -> None:
        self._texts({key: table[key] for key in keys if key in table}, path or "table")

    def _flag(self, value: object, path: str) -> None:
        if not isinstance(value, bool):
            self._refuse(path, value, "expected true or false")

    def _count(self, value: object, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            self._refuse(path, value, "expected a whole number of at least 1")
        return value

    def _one_of(self, value: object, allowed: Iterable[str], path: str) -> str:
        known = sorted(allowed)
        if not isinstance(value, str) or value not in known:
            self._refuse(path, value, "is not known", allowed=known)
        return value

    def _dict(self, raw: object, path: str) -> dict[str, Any]:
        if not isinstance(raw, dict):
            self._refuse(path, raw, "expected a table")
        return raw

    def _list(self, raw: object, path: str) -> list[Any]:
        if not isinstance(raw, list):
            self._refuse(path, raw, "expected a list")
        return raw

    def _some(self, raw: object, path: str) -> list[Any]:
        if not self._list(raw, path):
            self._refuse(path, raw, "expected at least one")
        return self._list(raw, path)

    def _keys(self, raw: object, allowed: set[str], path: str, *, required: tuple[str, ...]) -> dict[str, Any]:
        table = self._dict(raw, path or "table")
        for key in table:
            if key not in allowed:
                self._refuse(f"{path}.{key}".lstrip("."), key, "is no key here", allowed=sorted(allowed))
        for key in required:
            if key not in table:
                self._refuse(f"{path}.{key}".lstrip("."), None, f"{key} is missing")
        return table

    def _refuse(self, path: str, found: object, why: str, allowed: list[str] | None = None) -> NoReturn:
        nearest = get_close_matches(str(found), allowed, n=1, cutoff=0.5) if allowed else []
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        listed = f"; allowed: {', '.join(allowed)}" if allowed else ""
        raise PriceTableInvalid(
            f"{self._file}: {path}: {found!r:.80} {why}{hint}{listed}",
            file=self._file,
            path=path,
            found=found,
            allowed=tuple(allowed or ()),
            nearest=tuple(nearest),
        )
