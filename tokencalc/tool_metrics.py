"""What `get_metrics` answers: how the tool itself fares.

In a file of its own because the cache of counts loads the tokenizer, which no
other answer needs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tokencalc.pricing.catalog import STALE_AFTER_DAYS
from tokencalc.pricing.own import price_folder, updates_of
from tokencalc.tokens.backends.installed import backends
from tokencalc.tokens.count import cache_info, loaded_encodings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tokencalc.engine import Engine
    from tokencalc.limits.breaker import Breaker
    from tokencalc.limits.limiter import Limiter


def metrics_answer(
    engine: Engine,
    *,
    counts: Mapping[tuple[str, str], int],
    limiter: Limiter,
    breakers: Mapping[str, Breaker],
    now: datetime,
) -> dict[str, Any]:
    """How the tool itself fares: operations, cost, caches, limiter, breakers, ledger, configuration."""
    operations: dict[str, dict[str, int]] = {}
    for (action, outcome), count in sorted(counts.items()):
        operations.setdefault(action, {"ok": 0, "failed": 0})[outcome] = count
    done, failed = sum(counts.values()), sum(values["failed"] for values in operations.values())
    total = engine.report(group_by=("provider",)).total
    cache, settings, permits = cache_info(), engine.settings, limiter.metrics()
    folder, age_days = price_folder(settings), engine.catalog.age_days(now)
    looked_up = cache.hits + cache.misses
    return {
        "operations": operations,
        "total_operations": done,
        "failed_operations": failed,
        "error_rate": _ratio(failed, done),
        "total_cost_usd": total.cost_usd,
        "calls": total.calls,
        "unpriced_calls": total.unpriced_calls,
        "cache": {
            "hits": cache.hits,
            "misses": cache.misses,
            "size": cache.size,
            "hit_ratio": _ratio(cache.hits, looked_up),
        },
        "limiter": {"fill": permits.fill, "permits_per_minute": limiter.requests_per_minute, "health": permits.health},
        "breakers": {action: breaker.state for action, breaker in breakers.items()},
        "tokenizers_loaded": list(loaded_encodings()),
        "token_backends": {
            backend.name: {
                "version": backend.version,
                "installed": backend.version is not None,
                "loaded": list(backend.loaded),
                "refused": list(backend.refused),
            }
            for backend in backends()
        },
        "ledger": {"path": engine.path, "size_bytes": engine.size_bytes},
        "configuration": {
            "settings_file": settings.file,
            "requests_per_minute": settings.requests_per_minute,
            "durability": settings.durability,
            "timezone": settings.timezone,
            "hold_lifetime_s": settings.hold_lifetime_s,
            "price_files": list(settings.prices),
            "price_folder": folder,
            "price_updates": list(updates_of(settings)),
            "price_table_checked_on": engine.catalog.checked_on,
            "price_table_age_days": age_days,
            "price_table_is_stale": age_days > STALE_AFTER_DAYS,
        },
    }


def _ratio(part: int, whole: int) -> Decimal:
    """A ratio to four places; 0 where nothing was done."""
    return Decimal(part * 10_000 // whole).scaleb(-4).normalize() if whole else Decimal(0)
