"""One provider's models out of both public sets: genai-prices first, litellm for what it lacks."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.sets.genai import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scripts.import_days import Days
    from tokencalc.pricing.sets import PriceSet

_LIMITS = ("context_window_tokens", "output_limit_tokens")
_REGION = re.compile(
    r"^(?P<region>eu|us|apac|global|global-standard|us-gov|[a-z]{2}(?:-gov)?-[a-z]+-\d)/(?P<model>.+)$"
)
_REGIONS = ("", "us.", "eu.", "apac.", "jp.", "au.", "ca.")
_WORLDWIDE = frozenset({"global", "global-standard"})
_LISTS = ("rates", "tiers", "variants", "multipliers")
_LONGEST_NAME = 120
# Dollars for a million tokens; the dearest that anybody sells is at 600.
_MOST_OF_TOKENS = 1000
_MOST_OF_EMBEDDINGS = 10


class Merge:
    """Collects one provider's models, and counts by reason what could not be taken over."""

    def __init__(  # noqa: PLR0913  # the two sets, and what is known of the provider
        self,
        provider: str,
        first: PriceSet,
        second: PriceSet,
        days: Days,
        *,
        days_are_of_checks: bool = False,
        request_is_for: Mapping[str, str] | None = None,
    ) -> None:
        """Merge for ``provider``; ``first`` wins over ``second`` where both have a model.

        ``days_are_of_checks``: the days in the sets are those on which somebody saw another price than before.
        ``request_is_for``: under which conditions the first set's one fee for a request holds, where it is not the
        ordinary one; the ordinary one is then the second set's.
        """
        self._request_is_for = request_is_for
        self._days_are_of_checks = days_are_of_checks
        self._provider = provider
        self._first, self._second, self._days = first, second, days
        self._names: dict[str, dict[str, Any]] = {}
        self._by_entry: dict[str, dict[str, Any]] = {}
        self.models: list[dict[str, Any]] = []
        self.left_out: Counter[str] = Counter()

    def reviewed(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Take models that people wrote; the sets add names and limits to them, never a price."""
        for model in models:
            entry = {key: value for key, value in model.items() if key != "provider"}
            entry["card"] = [self._by_people(card) for card in model["card"]]
            self._add(entry, model.get("aliases", ()), is_fixed=True)

    def earlier(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Put cards that people wrote before a set's first one; they end where it begins."""
        for model in models:
            known = self._names.get(model["id"])
            if known is not None:
                known["entry"]["card"][:0] = [self._by_people(card) for card in model["card"]]

    def more(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Add rates that neither set has to every card of a model."""
        for model in models:
            known = self._names.get(model["id"])
            for card in known["entry"]["card"] if known is not None else ():
                card["rates"] |= {key: price for key, price in model["rates"].items() if key not in card["rates"]}
                card["note"] = model["note"]

    def _by_people(self, card: Mapping[str, Any]) -> dict[str, Any]:
        # Empty text: of this table's cards, these were not taken over unseen.
        return {**card, "checked_on": card.get("checked_on", self._first.day), "imported": ""}

    def from_first(self, models: Iterable[Mapping[str, Any]]) -> None:
        """Take the models of the set that wins."""
        for theirs in models:
            self._note(theirs)
            name = theirs["id"]
            if not _is_name(name):
                self.left_out["a name with characters that names do not have"] += 1
                continue
            if name in self._names:
                continue
            cards = [card for card in theirs["card"] if card["rates"]]
            if not cards and name.endswith(":free"):
                # OpenRouter's own word for what it does not bill.
                cards = [{"effective_from": None, "rates": {"input_per_mtok": "0", "output_per_mtok": "0"}}]
            if not cards:
                self.left_out["a model without any price"] += 1
                continue
            entry = {
                "id": name,
                "dated": bool(theirs.get("dated")),
                "context_window_tokens": theirs.get("context_window_tokens"),
                "mode": "text" if "output_per_mtok" in cards[-1]["rates"] else "other",
                "card": self._dated([name, *theirs["aliases"]], cards, self._first),
            }
            self._add(entry, theirs["aliases"], match=theirs.get("match"))
        for known in list(self._names.values()):
            self._add_regions(known)

    def _add_regions(self, known: dict[str, Any]) -> None:
        """Add the names that Bedrock has for what the set lists as ``regional.NAME``, as far as the set takes them."""
        head, dot, name = known["entry"]["id"].partition(".")
        if head != "regional" or not dot:
            return
        for region in _REGIONS:
            candidate = f"{region}{name}"
            taking = (
                other for other in self._by_entry.values() if other["match"] and matches(other["match"], candidate)
            )
            if candidate not in self._names and next(taking, None) is known:
                self._claim(known, candidate)

    def from_second(self, models: Mapping[str, Mapping[str, Any]]) -> None:
        """Take what the other set adds: limits, rates that are missing, names, models."""
        regional = {name: found for name in models if (found := _REGION.match(name))}
        for name, theirs in models.items():
            if name not in regional:
                self._note(theirs)
                self._from_second(name, theirs)
        for name, found in regional.items():
            self._note(models[name])
            self._region(found["region"], found["model"], models[name])

    def _from_second(self, name: str, theirs: Mapping[str, Any]) -> None:
        (card,) = theirs["card"]
        known = self._names.get(name) or self._matching(name, card)
        if known is None:
            self._new_from_second(name, theirs, card)
            return
        entry = known["entry"]
        for key in _LIMITS:
            entry[key] = entry.get(key) or theirs.get(key)
        if not known["is_fixed"] and _agree(entry["card"][-1], card):
            _fill(entry["card"][-1], card)
            entry["mode"] = entry["mode"] if theirs["mode"] == "text" else theirs["mode"]
        elif not known["is_fixed"] and card["rates"]:
            self.left_out["a price of litellm beside another one of genai-prices"] += 1
        if name not in self._names and _is_name(name):
            self._claim(known, name)

    def _new_from_second(self, name: str, theirs: Mapping[str, Any], card: Mapping[str, Any]) -> None:
        if not card["rates"]:
            self.left_out["a model without any price"] += 1
        elif not _is_name(name):
            self.left_out["a name with characters that names do not have"] += 1
        elif not _is_sane(card, theirs["mode"]):
            self.left_out["a slip of the set: a thousand times what the like of it costs"] += 1
        else:
            entry = {"id": name, **{key: theirs.get(key) for key in (*_LIMITS, "mode")}}
            entry["card"] = self._dated([name], [card], self._second)
            self._add(entry, ())

    def _matching(self, name: str, card: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a model whose clause takes a name at the same price; else the name is a model of its own."""
        for known in self._names.values():
            if known["match"] and matches(known["match"], name) and _agree(known["entry"]["card"][-1], card):
                return known
        return None

    def _region(self, region: str, name: str, theirs: Mapping[str, Any]) -> None:
        known = self._names.get(name)
        (card,) = theirs["card"]
        if known is None or not card["rates"] or known["is_fixed"]:
            self.left_out["a region's price of a model that is not listed without it"] += 1
            return
        last = known["entry"]["card"][-1]
        if region in _WORLDWIDE:
            if not _agree(last, card):
                self.left_out["a second price for all regions"] += 1
            return
        same = {key for key, price in card["rates"].items() if last["rates"].get(key) == price}
        kept = sorted(key.rpartition("_per_")[0] for key in last["rates"] if key in same)
        variant: dict[str, Any] = {"when": {"region": region}}
        variant["rates"] = {key: price for key, price in card["rates"].items() if key not in same}
        variant["tiers"] = card["tiers"] if card["tiers"] != last.get("tiers") else []
        if variant["tiers"]:
            variant["rates"], kept = dict(card["rates"]), []
        variant["unchanged"] = kept
        variants = last.setdefault("variants", [])
        if all(item.get("when") != variant["when"] for item in variants):
            variants.append(variant)

    def _add(
        self, entry: dict[str, Any], aliases: Iterable[str], *, match: object = None, is_fixed: bool = False
    ) -> None:
        known = {"entry": entry, "match": match, "is_fixed": is_fixed}
        self.models.append(entry)
        entry["aliases"] = []
        self._names[entry["id"]] = self._by_entry[entry["id"]] = known
        for alias in aliases:
            if alias not in self._names and _is_name(alias):
                self._claim(known, alias)

    def _claim(self, known: dict[str, Any], name: str) -> None:
        known["entry"]["aliases"].append(name)
        self._names[name] = known

    def _dated(self, names: list[str], cards: list[Mapping[str, Any]], price_set: PriceSet) -> list[dict[str, Any]]:
        """Return cards as ours: in the order of their days, the first with the best day that we can back."""
        if self._days_are_of_checks and any(card["effective_from"] for card in cards):
            return self._seen(names, cards, price_set)
        dated: list[dict[str, Any]] = []
        known = sorted((card for card in cards if card["effective_from"]), key=lambda card: card["effective_from"])
        for card in [card for card in cards if not card["effective_from"]][-1:]:
            first = self._days.first(names, card) or price_set.day
            if known and first >= known[0]["effective_from"]:
                # It applied on the day before the change, and nobody says since when.
                first = known[0]["effective_from"] - timedelta(days=1)
            dated.append(self._card(card, min(first, price_set.day), price_set, is_known=False))
        dated += [self._card(card, card["effective_from"], price_set, is_known=True) for card in known]
        return dated

    def _seen(self, names: list[str], cards: list[Mapping[str, Any]], price_set: PriceSet) -> list[dict[str, Any]]:
        """Return cards whose days are of checks: an older price only on days on which it was the vendor's own."""
        known = sorted((card for card in cards if card["effective_from"]), key=lambda card: card["effective_from"])
        found: list[dict[str, Any]] = []
        for card in [card for card in cards if not card["effective_from"]][-1:]:
            span, following = self._days.span(names, card), known[0]["effective_from"]
            if span is None or span[0] >= following:
                self.left_out["an old price whose days nobody wrote down"] += 1
                continue
            found.append(self._card(card, span[0], price_set, is_known=False))
            found[-1]["effective_until"] = min(span[1] or following, following)
        for card in known:
            span, start = self._days.span(names, card), card["effective_from"]
            floor = found[-1].get("effective_until", start) if found else date.min
            if span is not None and span[1] is None and span[0] < start:
                start = max(span[0], floor)
            found.append(self._card(card, start, price_set, is_known=False))
        return found

    def _card(self, card: Mapping[str, Any], start: date, price_set: PriceSet, *, is_known: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"effective_from": start}
        if not is_known:
            found["effective_from_known"] = False
        found |= {key: list(card[key]) if key != "rates" else dict(card[key]) for key in _LISTS if card.get(key)}
        if price_set is self._first and self._request_is_for:
            _move_request(found, self._request_is_for)
        if price_set is not self._first:
            found |= {"imported": price_set.name, "checked_on": price_set.day}
        return found

    def _note(self, theirs: Mapping[str, Any]) -> None:
        self.left_out.update(theirs.get("left_out", ()))


def _is_name(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip().lower() and " " not in name


def _is_sane(card: Mapping[str, Any], mode: str) -> bool:
    tokens = [Decimal(price) for key, price in card["rates"].items() if key.endswith("_mtok")]
    return max(tokens, default=0) <= (_MOST_OF_EMBEDDINGS if mode == "embedding" else _MOST_OF_TOKENS)


def _agree(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Tell whether two cards have a rate in common, and no rate on which they differ."""
    shared = set(ours["rates"]) & set(theirs["rates"])
    return bool(shared) and all(ours["rates"][key] == theirs["rates"][key] for key in shared)


def _move_request(card: dict[str, Any], when: Mapping[str, str]) -> None:
    """Make the fee for a request one under conditions; the ordinary one is left to the other set."""
    fees = {key: price for key, price in card["rates"].items() if key.startswith("request_per_")}
    if fees:
        card["rates"] = {key: price for key, price in card["rates"].items() if key not in fees}
        unchanged = sorted(key.rpartition("_per_")[0] for key in card["rates"])
        variant = {"when": dict(when), "rates": fees, "tiers": [], "unchanged": unchanged}
        card["variants"] = [*card.get("variants", ()), variant]


def _fill(ours: dict[str, Any], theirs: Mapping[str, Any]) -> None:
    """Add the rates, tiers and conditions that the winning set lacks, where all that both have is the same."""
    meters = {key.rpartition("_per_")[0] for key in ours["rates"]}
    added = {key: price for key, price in theirs["rates"].items() if key.rpartition("_per_")[0] not in meters}
    if not ours.get("tiers") or not added:
        ours["rates"] |= added
    if not ours.get("tiers") and theirs["tiers"]:
        tokens = {key for key in ours["rates"] if key.endswith("_mtok")}
        if all(tokens <= set(tier["rates"]) for tier in theirs["tiers"]):
            ours["tiers"] = theirs["tiers"]
    said = [variant.get("when") for variant in ours.get("variants", ())]
    more = [variant for variant in theirs["variants"] if variant["when"] not in said]
    if more:
        ours["variants"] = [*ours.get("variants", ()), *more]
    if theirs.get("multipliers") and not ours.get("multipliers"):
        ours["multipliers"] = theirs["multipliers"]
