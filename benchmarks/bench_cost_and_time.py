"""Cost beside time: a benchmark of pytest-benchmark that asserts on both, as yours may.

Run by itself or with `pytest benchmarks/bench_cost_and_time.py`. The call answers from a recorded usage, so the cost
has no noise; a live call would be measured in the same way. The number of rounds is fixed, so that a budget means the
same each time; of a benchmark that chooses it, compare the cost per call.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tokencalc.gate.watching import LlmCost

RECORDED = {"model": "gpt-4o-mini", "usage": {"prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280}}


@pytest.mark.llm_budget(usd="0.05")
def test_a_booked_call_is_fast_and_cheap(benchmark: Any, llm_cost: LlmCost) -> None:
    """Book a recorded answer again and again: at most 20 ms and $0.0003 a call."""
    benchmark.pedantic(lambda: llm_cost.record(provider="openai", usage=RECORDED), rounds=100)
    if benchmark.enabled:
        assert benchmark.stats["median"] < 0.02  # noqa: PLR2004, S101  # seconds; pytest compares
    assert llm_cost.per_call_usd == Decimal("0.000228")  # noqa: S101  # 1200 x $0.15 + 80 x $0.60, for a million each


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(Path(__file__))]))
