"""Which limits hold for a (provider, model): named profiles, and ``[limits]`` in the settings.

::

    # tokencalc.toml
    [limits.openai]                          # every model of OpenAI without a table of its own
    profile = "high_volume"

    [limits."openai/gpt-4o"]
    requests_per_minute = 500
    input_tokens_per_minute = 200_000
    concurrency = 8
    strict = true

The nearest table holds, alone: "provider/model", then "provider", then the setting
requests_per_minute. A table is for each of its models by itself, as providers count.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from tokencalc.errors import ConfigInvalid
from tokencalc.limits.gates import MAX_PERMITS
from tokencalc.limits.limiter import DEFAULT_REQUESTS_PER_MINUTE, Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from tokencalc.clock import Clock
    from tokencalc.config import Settings
    from tokencalc.limits.metrics import HealthThresholds, LimiterMetrics

PROFILES: dict[str, int] = {
    "trickle": 2,
    "low": 5,
    "medium": 15,
    "high_volume": 60,
    "standard": DEFAULT_REQUESTS_PER_MINUTE,
}
"""Requests a minute, by name."""

_NUMBERS = ("requests_per_minute", "burst", "input_tokens_per_minute", "output_tokens_per_minute", "concurrency")
_KEYS = ("profile", *_NUMBERS, "strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitProfile:
    """The limits of one (provider, model); None is no limit, or one minute's permits for ``burst``."""

    requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE
    burst: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    concurrency: int | None = None
    strict: bool = False


def profile_for(settings: Settings, provider: str, model: str) -> LimitProfile:
    """Return the limits that the settings give a model; ConfigInvalid names the file and the key of a mistake."""
    for name in (f"{provider}/{model}", provider):
        table = settings.limits.get(name)
        if table is not None:
            return _profile(table, name=name, file=str(settings.file))
    return LimitProfile(requests_per_minute=settings.requests_per_minute)


def limiter_for(  # noqa: PLR0913  # the model, and what a limiter is handed
    settings: Settings,
    provider: str,
    model: str,
    *,
    clock: Clock | None = None,
    monitoring_callback: Callable[[LimiterMetrics], object] | None = None,
    thresholds: HealthThresholds | None = None,
    random: Random | None = None,
) -> Limiter:
    """Return a new limiter for a model by the settings, named "provider/model"; see `Limiters` for shared ones."""
    limits = profile_for(settings, provider, model)
    return Limiter(
        limits.requests_per_minute,
        burst=limits.burst,
        input_tokens_per_minute=limits.input_tokens_per_minute,
        output_tokens_per_minute=limits.output_tokens_per_minute,
        concurrency=limits.concurrency,
        strict=limits.strict,
        name=f"{provider}/{model}",
        clock=clock,
        monitoring_callback=monitoring_callback,
        thresholds=thresholds,
        random=random,
    )


class Limiters:
    """One limiter for each (provider, model), made when it is first asked for and kept as long as this is.

    None is ever dropped to make room: a limiter that is made anew would be full.
    """

    def __init__(self, settings: Settings, **handed_in: Any) -> None:
        """Make limiters by these settings, with the other arguments of `limiter_for`."""
        self._settings = settings
        self._handed_in = handed_in
        self._made: dict[tuple[str, str], Limiter] = {}

    def get(self, provider: str, model: str) -> Limiter:
        """Return the model's limiter, the same one for all who ask."""
        found = self._made.get((provider, model))
        if found is None:
            made = limiter_for(self._settings, provider, model, **self._handed_in)
            # Of two that were made at once, all get the first: setdefault is one step.
            found = self._made.setdefault((provider, model), made)
        return found

    def all(self) -> tuple[Limiter, ...]:
        """Return those made so far."""
        return tuple(self._made.values())


def _profile(table: Mapping[str, object], *, name: str, file: str) -> LimitProfile:
    def refused(key: str, allowed: str) -> ConfigInvalid:
        path = f"limits.{name}.{key}"
        return ConfigInvalid(
            f"{file}: {path}: expected {allowed}, found {table[key]!r:.80}", file=file, path=path, found=table[key]
        )

    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _KEYS:
            near = get_close_matches(key, _KEYS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            path = f"limits.{name}.{key}"
            raise ConfigInvalid(
                f"{file}: {path}: unknown setting; {hint}known: {', '.join(_KEYS)}", file=file, path=path, found=key
            )
        if key == "profile":
            if not isinstance(value, str) or value not in PROFILES:
                raise refused(key, "one of " + ", ".join(PROFILES))
        elif key == "strict":
            if not isinstance(value, bool):
                raise refused(key, "true or false")
            values[key] = value
        elif isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_PERMITS:
            raise refused(key, f"a whole number from 1 to {MAX_PERMITS}")
        else:
            values[key] = value
    if "profile" in table:
        values.setdefault("requests_per_minute", PROFILES[str(table["profile"])])
    return LimitProfile(**values)
