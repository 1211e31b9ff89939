"""The limiter collector: success, blocks, waits, fill and the state of breakers, for each provider and model.

What is handed in as a function is asked anew each time, so that limiters made later are seen, too::

    limiters = Limiters(engine.settings)
    Monitor(engine, limiters=limiters.all, breakers=lambda: {"openai/gpt-4o": breaker})
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol, TypeAlias

from tokencalc.monitor.samples import LONGEST_NAME, Sample, Told, bounded, failure_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

BREAKER_STATES = ("closed", "half_open", "open")
"""States of a breaker; `breaker.state` is the place in this row."""

_TWIN_NAME = LONGEST_NAME - 10


class Sampled(Protocol):
    """A limiter, or whatever gives its own figures as (name, value, labels)."""

    def samples(self) -> Iterable[tuple[str, float, Mapping[str, str]]]:
        """Give the figures of now."""


class HasState(Protocol):
    """A breaker."""

    @property
    def state(self) -> str:
        """closed, open or half_open."""


SomeLimiters: TypeAlias = "Iterable[Sampled] | Callable[[], Iterable[Sampled]]"
SomeBreakers: TypeAlias = "Mapping[str, HasState] | Callable[[], Mapping[str, HasState]]"


class LimiterCollector:
    """The figures of the limiters and breakers of this process.

    A name as "provider/model" also gives the labels ``provider`` and ``model``. The second limiter of a
    name is recorded as "name (2)".
    """

    name = "limiter"
    is_host = False

    def __init__(self, limiters: SomeLimiters = (), breakers: SomeBreakers | None = None) -> None:
        """Ask these, or functions that give them, at each collection."""
        self._limiters = limiters
        self._breakers: SomeBreakers = {} if breakers is None else breakers
        self._told = Told()

    @property
    def problems(self) -> tuple[str, ...]:
        """Limiters that give no figures, one text each."""
        return self._told.texts

    def collect(self) -> list[Sample]:
        """Return the figures of now."""
        return [*self._of_limiters(), *self._of_breakers()]

    def _of_limiters(self) -> Iterator[Sample]:
        seen: Counter[str] = Counter()
        for place, limiter in enumerate(self._limiters() if callable(self._limiters) else self._limiters):
            try:
                figures = list(limiter.samples())
                # Two of one name would be one series, whose counts go up and down.
                seen.update({labels["limiter"] for _, _, labels in figures})
                found = [_sample(*one, twin=seen[one[2]["limiter"]]) for one in figures]
            except Exception as error:  # noqa: BLE001  # bulk: one broken limiter must not hide the others
                self._told.tell(str(place), f"a limiter gives no figures: {failure_text(error)}; told once")
                continue
            self._told.works(str(place))
            yield from found

    def _of_breakers(self) -> Iterator[Sample]:
        breakers = self._breakers() if callable(self._breakers) else self._breakers
        for name, breaker in breakers.items():
            state = breaker.state
            yield Sample("breaker.state", BREAKER_STATES.index(state), _labels("breaker", name))


def _sample(name: str, value: float, labels: Mapping[str, str], *, twin: int) -> Sample:
    # Its health is a figure already; as a label it would begin a new series with every change.
    kept = {key: bounded(text) for key, text in labels.items() if key not in {"limiter", "health"}}
    whose = _labels("limiter", labels["limiter"])
    if twin > 1:
        whose["limiter"] = f"{whose['limiter'][:_TWIN_NAME]} ({twin})"
    return Sample(name.replace("limiter_", "limiter.", 1), value, {**whose, **kept})


def _labels(kind: str, name: str) -> dict[str, str]:
    provider, slash, model = bounded(name).partition("/")
    return {kind: bounded(name), **({"provider": provider, "model": model} if slash and provider and model else {})}
