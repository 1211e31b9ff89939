"""The strict reading of a price table: every key known, every price quoted, no two cards at once.

A table that a person edited is refused as a whole at its first fault, with the
file, the key, what is allowed and the nearest spelling. The tables that the
package ships passed through here when they were compiled.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokencalc.errors import TimeInvalid
from tokencalc.periods import zone_from
from tokencalc.pricing.card import CONDITION_KEYS
from tokencalc.pricing.checks import Checks
from tokencalc.pricing.units import units_of
from tokencalc.pricing.windows import WEEKDAYS, hours_from
from tokencalc.usage import TOKEN_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_Span = tuple[datetime, datetime | None]

_TABLE_KEYS = {
    "schema", "provider", "name", "note", "aliases", "families", "sources", "standard", "means", "priced_as", "model",
    "alias", "imported", "checked_on", "discount",
}  # fmt: skip
_MODEL_KEYS = {
    "id", "aliases", "dated", "tokenizer", "encoding", "encoding_verified", "context_window_tokens",
    "output_limit_tokens", "mode", "reasoning", "cacheable_from_tokens", "card", "note",
}  # fmt: skip
_CARD_KEYS = {
    "effective_from", "effective_from_known", "effective_until", "rates", "tiers", "variants", "multipliers",
    "priced_as", "minimums", "source", "checked_on", "imported", "note", "differs_because",
}  # fmt: skip
_TIER_KEYS = {"over_input_tokens", "from_input_tokens", "rates"}
_VARIANT_KEYS = {
    "when", "during", "effective_from", "effective_from_known", "effective_until", "rates", "tiers", "unchanged",
    "note",
}  # fmt: skip
_DURING_KEYS = {"hours", "weekdays", "timezone"}
_MULTIPLIER_KEYS = {"when", "factor", "meters"}
_DISCOUNT_KEYS = {"factor", "effective_from", "effective_until", "models", "meters", "note"}
_ALIAS_KEYS = {"name", "target"}
_TARGET_KEYS = {"model", "effective_from", "effective_from_known", "note"}
_MODES = ("text", "embedding", "other")
_REASONING = ("never", "on_request", "by_default")
_TOKENIZERS = ("openai", "claude", "claude_4_7", "gemini", "mistral", "llama", "qwen", "deepseek", "kimi", "gpt_oss")
_ENCODINGS = (
    "o200k_base",
    "cl100k_base",
    "gemma_4",
    "mistral_v3",
    "llama_3",
    "qwen_3",
    "deepseek_v3",
    "kimi_k2",
)
_METERS = frozenset(str(meter) for meter in Meter)


class TableChecker(Checks):
    """Walks one table of one file; each method raises PriceTableInvalid at the first fault."""

    def __init__(self, file: str, *, packaged: bool) -> None:
        """Check for ``file``; ``packaged`` tables must also name a source and a check date on every card."""
        super().__init__(file)
        self._packaged = packaged
        self._provenance: list[str] = []

    def table(self, raw: dict[str, Any]) -> None:
        """Check a whole table."""
        # A contract may be a discount on a list and nothing else.
        needed = ("provider",) if isinstance(raw, dict) and raw.get("discount") else ("provider", "model")
        self._keys(raw, _TABLE_KEYS, "", required=needed)
        self._name(raw["provider"], "provider")
        self._names(raw.get("aliases", []), "aliases")
        self._names(raw.get("families", []), "families")
        self._texts(raw.get("sources", {}), "sources")
        self._notes(raw, "", ("name", "note", "imported"))
        if "checked_on" in raw:
            self._instant(raw["checked_on"], "checked_on")
        if raw.get("schema", 1) != 1:
            self._refuse("schema", raw["schema"], "expected 1; a newer tokencalc wrote this table")
        self._standard(raw.get("standard", {}))
        self._means(raw.get("means", {}))
        self._priced_as(raw.get("priced_as", {}), "priced_as")
        # An imported table says once where all of its cards come from, and when.
        shared = {"source"} if "imported" in raw else set()
        shared |= {"checked_on"} & set(raw)
        self._provenance = [key for key in ("source", "checked_on") if self._packaged and key not in shared]
        taken: dict[str, str] = {}
        for index, model in enumerate(self._list(raw.get("model", []), "model")):
            self._model(model, f"model[{index}]", taken)
        for index, alias in enumerate(self._list(raw.get("alias", []), "alias")):
            self._alias(alias, f"alias[{index}]", taken)
        self._discounts(raw.get("discount", []))

    def _model(self, raw: object, path: str, taken: dict[str, str]) -> None:
        model = self._keys(raw, _MODEL_KEYS, path, required=("id", "card"))
        path = f"model {self._name(model['id'], f'{path}.id')!r}"
        for name in (model["id"], *self._names(model.get("aliases", []), f"{path}.aliases")):
            self._claim(name, path, taken)
        self._notes(model, path, ("note",))
        for key in ("dated", "encoding_verified"):
            self._flag(model.get(key, False), f"{path}.{key}")
        for key in ("context_window_tokens", "output_limit_tokens", "cacheable_from_tokens"):
            self._count(model.get(key, 1), f"{path}.{key}")
        self._one_of(model.get("mode", "text"), _MODES, f"{path}.mode")
        self._one_of(model.get("reasoning", "never"), _REASONING, f"{path}.reasoning")
        self._one_of(model.get("tokenizer", "openai"), _TOKENIZERS, f"{path}.tokenizer")
        self._one_of(model.get("encoding", "o200k_base"), _ENCODINGS, f"{path}.encoding")
        cards = self._some(model["card"], f"{path}.card")
        spans = [self._card(card, f"{path}.card[{index}]") for index, card in enumerate(cards)]
        self._no_overlap(spans, f"{path}.card")

    def _card(self, raw: object, path: str) -> _Span:
        card = self._keys(raw, _CARD_KEYS, path, required=("effective_from", "rates", *self._provenance))
        start, end = self._span(card, path)
        rates = self._rates(card["rates"], f"{path}.rates")
        self._tiers(card.get("tiers", []), f"{path}.tiers", rates)
        self._priced_as(card.get("priced_as", {}), f"{path}.priced_as")
        self._sources(card.get("source", []), f"{path}.source")
        self._notes(card, path, ("note", "differs_because", "imported"))
        self._minimums(card.get("minimums", {}), f"{path}.minimums")
        if "checked_on" in card:
            self._instant(card["checked_on"], f"{path}.checked_on")
        multipliers = self._list(card.get("multipliers", []), f"{path}.multipliers")
        for index, multiplier in enumerate(multipliers):
            self._multiplier(multiplier, f"{path}.multipliers[{index}]")
        spans: dict[object, list[_Span]] = {}
        for index, variant in enumerate(self._list(card.get("variants", []), f"{path}.variants")):
            when, span = self._variant(variant, f"{path}.variants[{index}]", start, end)
            spans.setdefault(when, []).append(span)
        for same in spans.values():
            self._no_overlap(same, f"{path}.variants")
        return start, end

    def _variant(
        self, raw: object, path: str, card_start: datetime, card_end: datetime | None
    ) -> tuple[object, tuple[datetime, datetime | None]]:
        variant = self._keys(raw, _VARIANT_KEYS, path, required=("rates",))
        during = variant.get("during")
        if during is not None:
            self._during(during, f"{path}.during")
        when = self._when(variant.get("when", {}), f"{path}.when") if "when" in variant or during is None else ()
        start, end = self._span({"effective_from": card_start, "effective_until": card_end} | variant, path)
        if start < card_start or (card_end is not None and (end is None or end > card_end)):
            self._refuse(path, start, "expected an interval inside the card's own")
        rates = self._rates(variant["rates"], f"{path}.rates")
        self._tiers(variant.get("tiers", []), f"{path}.tiers", rates)
        for meter in self._list(variant.get("unchanged", []), f"{path}.unchanged"):
            if self._one_of(meter, _METERS, f"{path}.unchanged") in rates:
                self._refuse(f"{path}.unchanged", meter, "expected meters that the variant's own rates do not list")
        return (when, str(during)), (start, end)

    def _during(self, raw: object, path: str) -> None:
        during = self._keys(raw, _DURING_KEYS, path, required=())
        if not during.get("hours") and not during.get("weekdays"):
            self._refuse(path, raw, "expected hours, weekdays or both")
        for text in self._list(during.get("hours", []), f"{path}.hours"):
            try:
                hours_from(text if isinstance(text, str) else "")
            except ValueError:
                self._refuse(f"{path}.hours", text, 'expected a span such as "16:30-00:30"')
        for day in self._list(during.get("weekdays", []), f"{path}.weekdays"):
            self._one_of(day, WEEKDAYS, f"{path}.weekdays")
        try:
            zone_from(during.get("timezone", "UTC"))
        except TimeInvalid as error:
            self._refuse(f"{path}.timezone", during["timezone"], str(error))

    def _minimums(self, raw: object, path: str) -> None:
        for meter, least in self._dict(raw, path).items():
            self._count(least, f"{path}.{self._one_of(meter, _METERS, path)}")

    def _tiers(self, raw: object, path: str, base: Collection[str]) -> None:
        reached = 0
        for index, item in enumerate(self._list(raw, path)):
            tier = self._keys(item, _TIER_KEYS, f"{path}[{index}]", required=("rates",))
            sizes = [key for key in ("over_input_tokens", "from_input_tokens") if key in tier]
            if len(sizes) != 1:
                self._refuse(f"{path}[{index}]", sizes, "expected one of over_input_tokens and from_input_tokens")
            size = self._count(tier[sizes[0]], f"{path}[{index}].{sizes[0]}")
            if size <= reached:
                self._refuse(f"{path}[{index}].{sizes[0]}", size, f"expected more than the tier before it ({reached})")
            reached = size
            rates = self._rates(tier["rates"], f"{path}[{index}].rates")
            missing = sorted(meter for meter in base if meter in TOKEN_METERS and meter not in rates)
            if missing:
                self._refuse(f"{path}[{index}].rates", missing, "expected a rate for each token meter of the base")

    def _multiplier(self, raw: object, path: str) -> None:
        multiplier = self._keys(raw, _MULTIPLIER_KEYS, path, required=("when", "factor", "meters"))
        self._when(multiplier["when"], f"{path}.when")
        if self._decimal(multiplier["factor"], f"{path}.factor") <= 0:
            self._refuse(f"{path}.factor", multiplier["factor"], "expected a factor above zero")
        self._meters(multiplier["meters"], f"{path}.meters")

    def _meters(self, raw: object, path: str) -> frozenset[str]:
        if raw == "tokens":
            return frozenset(TOKEN_METERS)
        return frozenset(self._one_of(meter, _METERS, path) for meter in self._some(raw, path))

    def _discounts(self, raw: object) -> None:
        if raw and self._packaged:
            self._refuse("discount", raw, "expected none: a discount belongs into a table of one's own")
        seen: list[tuple[_Span, frozenset[str] | None, frozenset[str] | None]] = []
        for index, item in enumerate(self._list(raw, "discount")):
            path = f"discount[{index}]"
            discount = self._keys(item, _DISCOUNT_KEYS, path, required=("factor", "effective_from"))
            if not 0 < self._decimal(discount["factor"], f"{path}.factor") <= 1:
                why = 'expected a factor above 0 and at most 1 ("0.88" is 12 % off); write other prices as cards'
                self._refuse(f"{path}.factor", discount["factor"], why)
            span = self._span(discount, path)
            models, meters = None, None
            if "models" in discount:
                self._some(discount["models"], f"{path}.models")
                models = frozenset(self._names(discount["models"], f"{path}.models"))
            if "meters" in discount:
                meters = self._meters(discount["meters"], f"{path}.meters")
            self._notes(discount, path, ("note",))
            for other, other_models, other_meters in seen:
                if _meet(span, other) and _share(models, other_models) and _share(meters, other_meters):
                    why = "overlaps an earlier discount on the same models and meters; give one factor for both"
                    self._refuse(path, discount["effective_from"], why)
            seen.append((span, models, meters))

    def _alias(self, raw: object, path: str, taken: dict[str, str]) -> None:
        alias = self._keys(raw, _ALIAS_KEYS, path, required=("name", "target"))
        name = self._name(alias["name"], f"{path}.name")
        ids = {model for model, owner in taken.items() if owner == f"model {model!r}"}
        self._claim(name, f"alias {name!r}", taken)
        starts = []
        for index, item in enumerate(self._some(alias["target"], f"{path}.target")):
            target = self._keys(item, _TARGET_KEYS, f"{path}.target[{index}]", required=("model", "effective_from"))
            self._one_of(target["model"], ids, f"{path}.target[{index}].model")
            starts.append((self._instant(target["effective_from"], f"{path}.target[{index}].effective_from"), None))
        self._no_overlap(starts, f"{path}.target")

    def _span(self, raw: dict[str, Any], path: str) -> _Span:
        start = self._instant(raw["effective_from"], f"{path}.effective_from")
        self._flag(raw.get("effective_from_known", True), f"{path}.effective_from_known")
        end = raw.get("effective_until")
        until = None if end is None else self._instant(end, f"{path}.effective_until")
        if until is not None and until <= start:
            self._refuse(f"{path}.effective_until", end, "expected an instant after effective_from")
        return start, until

    def _no_overlap(self, spans: Sequence[_Span], path: str) -> None:
        for (start, end), (following, _) in pairwise(spans):
            if following <= start:
                self._refuse(path, following.date().isoformat(), "expected them in the order of effective_from")
            if end is not None and end > following:
                self._refuse(path, end.date().isoformat(), f"overlaps the one from {following.date().isoformat()}")

    def _rates(self, raw: object, path: str) -> set[str]:
        meters = set()
        for key, value in self._dict(raw, path).items():
            meter, _, unit = key.rpartition("_per_")
            if meter not in _METERS or unit not in units_of(meter):
                near = [meter] if meter in _METERS else sorted(_METERS)
                known = [f"{name}_per_{unit}" for name in near for unit in units_of(name)]
                self._refuse(f"{path}.{key}", key, "is no rate", allowed=known)
            if self._decimal(value, f"{path}.{key}") < 0:
                self._refuse(f"{path}.{key}", value, "expected a price of at least 0")
            if meter in meters:
                self._refuse(f"{path}.{key}", key, "expected one rate for a meter")
            meters.add(meter)
        return meters

    def _priced_as(self, raw: object, path: str) -> None:
        for meter, other in self._dict(raw, path).items():
            self._one_of(meter, _METERS, f"{path}.{meter}")
            if self._one_of(other, _METERS, f"{path}.{meter}") == meter:
                self._refuse(f"{path}.{meter}", other, "expected another meter")

    def _standard(self, raw: object) -> None:
        for key, values in self._dict(raw, "standard").items():
            self._one_of(key, CONDITION_KEYS, f"standard.{key}")
            self._names(values, f"standard.{key}")

    def _means(self, raw: object) -> None:
        for key, values in self._dict(raw, "means").items():
            self._one_of(key, CONDITION_KEYS, f"means.{key}")
            for value, condition in self._dict(values, f"means.{key}").items():
                self._when(condition, f"means.{key}.{value}")

    def _when(self, raw: object, path: str) -> tuple[tuple[str, str], ...]:
        when = self._dict(raw, path)
        if not when:
            self._refuse(path, raw, "expected at least one condition")
        for key, value in when.items():
            self._one_of(key, CONDITION_KEYS, f"{path}.{key}")
            self._name(value, f"{path}.{key}")
        return tuple(sorted(when.items()))


def _meet(one: _Span, other: _Span) -> bool:
    """Tell whether two half-open spans have an instant in common."""
    return (other[1] is None or one[0] < other[1]) and (one[1] is None or other[0] < one[1])


def _share(one: frozenset[str] | None, other: frozenset[str] | None) -> bool:
    """Tell whether two sets, None for everything, have something in common."""
    return one is None or other is None or bool(one & other)
