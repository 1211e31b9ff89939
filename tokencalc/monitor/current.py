"""The figures of now for people: samples store bytes and shares, and here they become gigabytes and percent."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tokencalc.monitor.operations import Figures
    from tokencalc.monitor.samples import Sample

HEALTH = ("healthy", "degraded", "critical")
"""Words for a limiter's health; the sample `limiter.health` is the place in this row."""

_BYTES_PER_GB = 10**9
_PLACES = 6

_PERCENT = {
    "cpu_percent": "system.cpu_share",
    "memory_percent": "system.memory_share",
    "memory_available_percent": "system.memory_available_share",
    "swap_percent": "system.swap_share",
}
_GB = {
    f"{kind}_{part}_gb": f"system.{kind}_{part}_bytes"
    for kind in ("memory", "swap")
    for part in (("total", "used", "available", "free") if kind == "memory" else ("total", "used", "free"))
}
_PLAIN = {
    "cpu_limit_cores": "system.cpu_limit_cores",
    "cpu_logical_count": "system.cpu_logical_count",
    "cpu_physical_count": "system.cpu_physical_count",
    "cpu_frequency_mhz": "system.cpu_frequency_mhz",
    "load_1m": "system.load_1m",
    "load_5m": "system.load_5m",
    "load_15m": "system.load_15m",
    "process_count": "system.process_count",
    "network_sent_bytes_per_s": "system.network_sent_bytes_per_s",
    "network_received_bytes_per_s": "system.network_received_bytes_per_s",
    "process_cpu_cores": "process.cpu_cores",
    "process_memory_rss_bytes": "process.memory_rss_bytes",
}


def current_metrics(
    samples: Sequence[Sample],
    operations: Sequence[Figures],
    problems: Sequence[str],
    at: datetime | None,
) -> dict[str, Any]:
    """Return figures by group; each key of ``resource_metrics`` is there, None where it is not known. GB is 10**9."""
    return {
        "collected_at": at,
        "resource_metrics": resource_metrics(samples),
        "rate_limiter_metrics": limiter_metrics(samples),
        "rate_limiter_summary": limiter_summary(samples),
        "performance_metrics": [asdict(figures) for figures in operations],
        "problems": list(problems),
    }


def resource_metrics(samples: Iterable[Sample]) -> dict[str, Any]:
    """Return the machine's figures, and those of this process, under the names that people look for."""
    plain: dict[str, float] = {}
    cores: dict[int, float] = {}
    disks: dict[str, float] = {}
    cards: dict[str, dict[str, float]] = {}
    for name, value, labels in samples:
        # Anybody may write samples of these names, with other labels.
        if name == "system.cpu_core_share" and labels.get("core", "").isdecimal():
            cores[int(labels["core"])] = _percent(value)
        elif name == "system.disk_share" and "mount" in labels:
            disks[labels["mount"]] = _percent(value)
        elif name.startswith("gpu.") and "gpu" in labels:
            cards.setdefault(labels["gpu"], {})[name.removeprefix("gpu.")] = value
        elif not labels:
            plain[name] = value
    return {
        **{key: _percent(plain[name]) if name in plain else None for key, name in _PERCENT.items()},
        **{key: round(plain[name] / _BYTES_PER_GB, _PLACES) if name in plain else None for key, name in _GB.items()},
        **{key: plain.get(name) for key, name in _PLAIN.items()},
        "cpu_core_percent": [cores[core] for core in sorted(cores)],
        "disk_percent": disks,
        "gpus": cards,
    }


def limiter_metrics(samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """Return the figures of each limiter and breaker by its name."""
    found: dict[str, dict[str, Any]] = {}
    for name, value, labels in samples:
        kind, _, figure = name.partition(".")
        if kind == "limiter" and "limiter" in labels and "attempt" not in labels:
            found.setdefault(labels["limiter"], {})[figure] = value
        elif kind == "breaker" and "breaker" in labels:
            found.setdefault(labels["breaker"], {})["breaker"] = value
    return found


def limiter_summary(samples: Iterable[Sample]) -> dict[str, Any]:
    """Return how many limiters there are, and the worst health of any; None where there is none."""
    healths = [figures["health"] for figures in limiter_metrics(samples).values() if "health" in figures]
    known = [place for place in healths if 0 <= place < len(HEALTH)]
    return {"total_limiters": len(healths), "overall_health": HEALTH[int(max(known))] if known else None}


def _percent(share: float) -> float:
    return round(share * 100, _PLACES)
