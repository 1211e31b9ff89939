"""The best first day that we can back for an imported card whose set states none.

In this order: the days of our curated table for the same model, where its vendor's
rates say how long a price can have been this one; a day inside the model's name; a
day that any set writes behind the same name; a launch that people are sure of. What
is left begins on the set's own day.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.build import ProviderTable
from tokencalc.pricing.names import forms
from tokencalc.pricing.units import instant_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_DAY = re.compile(r"(?<!\d)(20[23]\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)")
_MONTH = re.compile(r"-(2[3-6])(0[1-9]|1[0-2])(?![\d.])")
_TAILS = re.compile(r"(:[\w-]+|-v\d+(:\d+)?(:\d+k|:mm)?|@[\w.-]+|-maas)$")
_CLAUDE = re.compile(r"^claude-(\d(?:[.-]\d)?)-(opus|sonnet|haiku|fable|mythos)")
_DOTTED = re.compile(r"(?<=\d)\.(?=\d)")
_RATES = ("input_per_mtok", "output_per_mtok")


class Days:
    """Knows when models were launched, and how long their vendors' prices have been what they are."""

    def __init__(
        self, curated: Iterable[Mapping[str, Any]], launches: Mapping[str, date], names: Iterable[str]
    ) -> None:
        """Learn from curated tables, from a list of launches by how a name begins, and from every name of the sets."""
        self._tables = [ProviderTable(raw) for raw in curated]
        self._models = {(raw["provider"], model["id"]): model["card"] for raw in curated for model in raw["model"]}
        self._launches = sorted(launches.items(), key=lambda item: -len(item[0]))
        self._named: dict[str, date] = {}
        for name in names:
            for plain in _plain_names(name):
                day, rest = _day_in(plain), _DAY.sub("", plain).strip("-@")
                if day is not None and rest != plain:
                    self._named[rest] = min(day, self._named.get(rest, day))

    def first(self, names: Iterable[str], card: Mapping[str, Any]) -> date | None:
        """Return the first day that can be backed for a model's earliest card; None where nothing backs one."""
        plain = list(dict.fromkeys(form for name in names for form in _plain_names(name)))
        upstream = next((cards for name in plain if (cards := self._upstream(name))), None)
        if upstream is not None:
            return _since(upstream, card)
        inside = [day for name in plain if (day := _day_in(name)) is not None]
        said = [self._named[name] for name in plain if name in self._named]
        if inside or said:
            return min(inside or said)
        return next((day for start, day in self._launches for name in plain if name.startswith(start)), None)

    def span(self, names: Iterable[str], card: Mapping[str, Any]) -> tuple[date, date | None] | None:
        """Return the days on which the vendor's own rates were exactly these; None where they never were."""
        plain = dict.fromkeys(form for name in names for form in _plain_names(name))
        cards = next((found for name in plain if (found := self._upstream(name))), [])
        same = [
            all(card["rates"][key] == other["rates"][key] for key in set(card["rates"]) & set(other["rates"]))
            for other in cards
        ]
        if True not in same:
            return None
        last = first = len(same) - 1 - same[::-1].index(True)
        while first and same[first - 1]:
            first -= 1
        until = instant_of(cards[last + 1]["effective_from"]).date() if last + 1 < len(cards) else None
        return instant_of(cards[first]["effective_from"]).date(), until

    def _upstream(self, name: str) -> list[Mapping[str, Any]] | None:
        for table in self._tables:
            for form in forms(name):
                if form.name in table.names and (not form.dated or table.takes_dates(table.names[form.name])):
                    return list(self._models[table.provider, table.names[form.name]])
        return None


def _plain_names(name: str) -> Iterator[str]:
    """Yield a name without its seller's path, its vendor before a dot, and what comes behind it."""
    tail = name.rpartition("/")[2].removeprefix("~")
    while True:
        yield tail
        claude = _CLAUDE.match(tail)
        if claude:
            rest = tail[claude.end() :]
            yield f"claude-{claude[2]}-{claude[1].replace('.', '-')}{rest}"
            yield _DOTTED.sub("-", tail)
        head, dot, rest = tail.partition(".")
        if dot and head.replace("-", "").isalpha():
            tail = rest
        elif _TAILS.search(tail):
            tail = _TAILS.sub("", tail)
        else:
            return


def _day_in(name: str) -> date | None:
    found = _DAY.search(name)
    if found:
        try:
            return date(int(found[1]), int(found[2]), int(found[3]))
        except ValueError:
            return None
    month = _MONTH.search(name)
    return date(2000 + int(month[1]), int(month[2]), 1) if month else None


def _since(upstream: list[Mapping[str, Any]], card: Mapping[str, Any]) -> date:
    """Return the day since which the vendor's own rates are those of today, or those that the seller asks."""
    rates = [tuple(item["rates"].get(key) for key in _RATES) for item in upstream]
    asked = tuple(card["rates"].get(key) for key in _RATES)
    # A seller with its own margin has changed its price with the vendor's, as far as anybody knows.
    index = max((at for at, found in enumerate(rates) if found == asked), default=len(rates) - 1)
    while index and rates[index - 1] == rates[index]:
        index -= 1
    return instant_of(upstream[index]["effective_from"]).date()
