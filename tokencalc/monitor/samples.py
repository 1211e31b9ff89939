"""What collectors hand over: samples, and the two shapes that a collector needs to have."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tokencalc.reports.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

NO_LABELS: Mapping[str, str] = {}

LONGEST_NAME = 200
"""Characters of a foreign name that are kept: names come from callers, and a series is no place for a document."""


_MOST_TOLD = 100


class Sample(NamedTuple):
    """One figure at one instant; the name ends in its unit, shares are from 0 to 1."""

    name: str
    value: float
    labels: Mapping[str, str] = NO_LABELS


class Collector(Protocol):
    """Gives the samples of one moment; what it raises is told once, and the others go on.

    ``is_host`` says that its figures are the machine's: one process of a machine records them.
    """

    name: str
    is_host: bool

    def collect(self) -> Iterable[Sample]:
        """Return the samples of now."""


class MetricSink(Protocol):
    """Where samples go: an engine."""

    def record_metric(
        self,
        name: str,
        value: float,
        *,
        at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> bool:
        """Queue one sample; False where it was dropped because the ledger is under pressure."""


class Told:
    """What went wrong with whom, told once each; what works again is told again when it breaks anew."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self._texts: dict[str, str] = {}

    @property
    def texts(self) -> tuple[str, ...]:
        """What is broken or missing now, one text each."""
        return tuple(self._texts.values())

    def tell(self, who: str, text: str) -> None:
        """Log the text as a warning, unless the same one is broken already; from the hundredth on, keep silent."""
        if who not in self._texts:
            if len(self._texts) >= _MOST_TOLD:
                return
            logging.getLogger("tokencalc").warning("%s", text)
        self._texts[who] = text

    def works(self, who: str) -> None:
        """Forget that it was broken."""
        self._texts.pop(who, None)


def sample_of(found: object) -> Sample | None:
    """Return what a foreign collector gave, where it is a sample; None for anything else."""
    if not isinstance(found, Sample) or not isinstance(found.name, str) or not isinstance(found.labels, Mapping):
        return None
    texts = (*found.labels, *found.labels.values())
    is_number = isinstance(found.value, int | float) and not isinstance(found.value, bool)
    return found if is_number and abs(found.value) < math.inf and all(isinstance(one, str) for one in texts) else None


def failure_text(error: BaseException) -> str:
    """Return what an error says in one bounded line: its kind, and the beginning of its text."""
    try:
        text = str(error)[:LONGEST_NAME]
    except Exception:  # noqa: BLE001  # bulk: the text of a foreign error is foreign code
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def bounded(name: str) -> str:
    """Return a foreign name as a label may carry it: cut, printable, not blank."""
    text = safe_text(name, longest=LONGEST_NAME)
    return text if text.strip() else "(blank)"
