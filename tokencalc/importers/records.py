"""What an importer hands over: one record for each model call, and a summary of what it left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from tokencalc.usage import Usage

_EXAMPLES_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedCall:
    """One model call found in a log.

    ``idempotency_key`` is the same for the same call on every import. ``cost_usd``
    is what the log itself claims, None where it claims nothing. ``notional`` means
    that nobody was billed by the call, as under a subscription. ``source`` is
    ``file:line`` below the project's folder.
    """

    provider: str | None
    model: str
    usage: Usage
    at: datetime
    idempotency_key: str
    agent_id: str
    operation: str
    project: str | None
    tags: Mapping[str, str]
    notional: bool
    source: str
    cost_usd: Decimal | None = None

    def as_record(self) -> dict[str, object]:
        """Return the arguments of the engine's ``record``."""
        return {
            "provider": self.provider,
            "model": self.model,
            "usage": self.usage,
            "at": self.at,
            "idempotency_key": self.idempotency_key,
            "agent_id": self.agent_id,
            "operation": self.operation,
            "project": self.project,
            "tags": dict(self.tags),
            "notional": self.notional,
            "source": self.source,
            "cost_usd": self.cost_usd,
        }


@dataclass(slots=True, kw_only=True)
class ImportSummary:
    """What was read and what was left out; complete once the calls were iterated to their end.

    ``skipped`` counts by reason; ``problems`` has the first twenty places of what
    was damaged, as ``file:line: what``, with the file's path below the folder that
    was looked into.
    """

    files: int = 0
    lines: int = 0
    bytes_read: int = 0
    calls: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def skip(self, reason: str, problem: str | None = None) -> None:
        """Count one thing that was left out; ``problem`` says where and what, when it was damaged."""
        self.skipped[reason] += 1
        if problem is not None and len(self.problems) < _EXAMPLES_MAX:
            self.problems.append(problem)
