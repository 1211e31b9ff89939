"""From a checked table to cards and facts, one model at a time, when somebody asks for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.card import ModelFacts, Multiplier, Rate, RateCard, Tier, Variant
from tokencalc.pricing.discounts import discounts_of
from tokencalc.pricing.units import instant_of, units_of
from tokencalc.pricing.windows import window_of
from tokencalc.usage import TOKEN_METERS, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping


class ProviderTable:
    """One provider's part of one table: its names, and its models as they were written.

    Cards are built when a model is first asked for: a program that uses one model
    does not pay for three hundred.
    """

    is_update = False
    """Whether the table was accepted from `prices update`: it then holds until the list below it has news."""

    def __init__(self, raw: Mapping[str, Any], file: str | None = None) -> None:
        """Keep a table that passed the checker; ``file`` is the user's own file that it came from."""
        self.provider: str = raw["provider"]
        self.aliases: tuple[str, ...] = tuple(raw.get("aliases", ()))
        self.families: tuple[str, ...] = tuple(raw.get("families", ()))
        self.standard: Mapping[str, list[str]] = raw.get("standard", {})
        self.means: Mapping[str, Mapping[str, Mapping[str, str]]] = raw.get("means", {})
        self.priced_as: Mapping[str, str] = raw.get("priced_as", {})
        self.file = file
        self.discounts = discounts_of(raw, file)
        self._imported: str | None = raw.get("imported")
        self._checked_on: object = raw.get("checked_on")
        self._sources: Mapping[str, str] = raw.get("sources", {})
        self._models: dict[str, Mapping[str, Any]] = {model["id"]: model for model in raw.get("model", ())}
        self._aliases = {model: list(item.get("aliases", ())) for model, item in self._models.items()}
        self._dated = {model for model, item in self._models.items() if item.get("dated", False)}
        self.names: dict[str, str] = {
            name: model for model, aliases in self._aliases.items() for name in (model, *aliases)
        }
        self.moving: dict[str, list[Mapping[str, Any]]] = {
            item["name"]: item["target"] for item in raw.get("alias", ())
        }
        self._cards: dict[str, tuple[RateCard, ...]] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The ids of all models, in the order of the file."""
        return tuple(self._models)

    def takes_dates(self, model: str) -> bool:
        """Tell whether a dated suffix of this model is the same model."""
        return model in self._dated

    def has(self, model: str) -> bool:
        """Tell whether the table lists a model under this id."""
        return model in self._models

    def says(self, model: str, key: str) -> bool:
        """Tell whether the table states this fact of a model."""
        return key in self._models[model]

    def facts(self, model: str) -> ModelFacts:
        """Return what the table knows about a model besides its price."""
        raw = self._models[model]
        moving = [name for name, targets in self.moving.items() if targets[-1]["model"] == model]
        return ModelFacts(
            provider=self.provider,
            model=model,
            aliases=(*self._aliases[model], *moving),
            tokenizer=raw.get("tokenizer"),
            encoding=raw.get("encoding"),
            encoding_verified=raw.get("encoding_verified", False),
            context_window_tokens=raw.get("context_window_tokens"),
            output_limit_tokens=raw.get("output_limit_tokens"),
            mode=raw.get("mode", "text"),
            reasoning=raw.get("reasoning"),
            cacheable_from_tokens=raw.get("cacheable_from_tokens"),
        )

    def inherit(self, below: ProviderTable) -> None:
        """Take over from the table below what this one, a user's own, does not state.

        That is the provider's rules, and the other names of each model that both list under one id:
        a contracted price holds by whatever name the model is asked for.
        """
        self.standard = self.standard or below.standard
        self.means = self.means or below.means
        self.priced_as = self.priced_as or below.priced_as
        self.families = self.families or below.families
        for name, model in below.names.items():
            if model in self._models and self.names.setdefault(name, model) == model and name != model:
                self._aliases[model].append(name)
        self._aliases = {model: list(dict.fromkeys(aliases)) for model, aliases in self._aliases.items()}
        silent = {model for model, raw in self._models.items() if "dated" not in raw}
        self._dated |= {model for model in silent if below.has(model) and below.takes_dates(model)}
        for name, targets in below.moving.items():
            if name not in self.names and any(target["model"] in self._models for target in targets):
                self.moving.setdefault(name, targets)

    def cards(self, model: str) -> tuple[RateCard, ...]:
        """Return the model's cards, oldest first; none for a model that only the table below has."""
        found = self._cards.get(model)
        if found is None:
            raw = self.raw_cards(model)
            until = [card.get("effective_until") for card in raw]
            for index, following in enumerate(raw[1:]):
                until[index] = until[index] or following["effective_from"]
            found = tuple(self._card(model, card, end) for card, end in zip(raw, until, strict=True))
            self._cards[model] = found
        return found

    def raw_cards(self, model: str) -> tuple[Mapping[str, Any], ...]:
        """Return the model's cards as they were written, in the order of `cards`."""
        return tuple(self._models[model]["card"]) if model in self._models else ()

    def own_cards(self, model: str) -> tuple[RateCard, ...]:
        """Return the model's cards with the ends that they state themselves, not those that the next one gives them."""
        ends = [raw.get("effective_until") for raw in self.raw_cards(model)]
        return tuple(
            replace(card, effective_until=None if end is None else instant_of(end))
            for card, end in zip(self.cards(model), ends, strict=True)
        )

    @property
    def checked_on(self) -> date:
        """The day of the newest check among the cards; the first day there is where none says one."""
        days = (card.get("checked_on", self._checked_on) for model in self._models.values() for card in model["card"])
        return max((instant_of(day).date() for day in days if day), default=date.min)

    def _card(self, model: str, raw: Mapping[str, Any], end: object) -> RateCard:
        start = instant_of(raw["effective_from"])
        day = start.date().isoformat() if start == instant_of(start.date()) else start.isoformat()
        source = raw.get("source", ())
        merged = {**self.priced_as, **raw.get("priced_as", {})}
        imported = raw.get("imported", self._imported) or None
        source = source or ((imported,) if imported else ())
        checked_on = raw.get("checked_on", self._checked_on)
        return RateCard(
            card_id=f"{self.provider}/{model}@{day}",
            provider=self.provider,
            model=model,
            effective_from=start,
            effective_from_known=raw.get("effective_from_known", True),
            effective_until=None if end is None else instant_of(end),
            rates=_rates(raw["rates"]),
            tiers=_tiers(raw.get("tiers", ())),
            variants=tuple(_variant(item) for item in raw.get("variants", ())),
            multipliers=tuple(_multiplier(item) for item in raw.get("multipliers", ())),
            priced_as=MappingProxyType({Meter(meter): Meter(other) for meter, other in merged.items()}),
            minimums=MappingProxyType({Meter(meter): least for meter, least in raw.get("minimums", {}).items()}),
            imported=imported,
            source=tuple(self._sources.get(item, item) for item in ([source] if isinstance(source, str) else source)),
            checked_on=instant_of(checked_on).date() if checked_on else None,
            note=raw.get("note"),
        )


def _rates(raw: Mapping[str, str]) -> Mapping[Meter, Rate]:
    rates = {}
    for key, price in raw.items():
        meter, _, unit = key.rpartition("_per_")
        rates[Meter(meter)] = Rate(usd=Decimal(price), per=units_of(meter)[unit])
    return MappingProxyType(rates)


def _tiers(raw: list[Mapping[str, Any]]) -> tuple[Tier, ...]:
    return tuple(
        Tier(
            min_input_tokens=tier["over_input_tokens"] + 1
            if "over_input_tokens" in tier
            else tier["from_input_tokens"],
            rates=_rates(tier["rates"]),
        )
        for tier in raw
    )


def _variant(raw: Mapping[str, Any]) -> Variant:
    start, end = raw.get("effective_from"), raw.get("effective_until")
    return Variant(
        when=tuple(sorted(raw.get("when", {}).items())),
        rates=_rates(raw["rates"]),
        tiers=_tiers(raw.get("tiers", ())),
        unchanged=frozenset(Meter(meter) for meter in raw.get("unchanged", ())),
        effective_from=None if start is None else instant_of(start),
        effective_from_known=raw.get("effective_from_known", True),
        effective_until=None if end is None else instant_of(end),
        during=window_of(raw["during"]) if "during" in raw else None,
    )


def _multiplier(raw: Mapping[str, Any]) -> Multiplier:
    meters = raw["meters"]
    return Multiplier(
        when=tuple(sorted(raw["when"].items())),
        factor=Decimal(raw["factor"]),
        meters=TOKEN_METERS if meters == "tokens" else frozenset(Meter(meter) for meter in meters),
    )
