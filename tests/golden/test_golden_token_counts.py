"""Counts beside recorded bills: on plain text to the token, and in every family no worse than what is written down.

The recorded requests lie beside the repository. Floors are those of the base install, a little below what
docs/tokens.md reports, on the part that no constant was fitted on.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tokencalc import TokenCount, count

SHARED = Path(__file__).parents[2].parent / "shared" / "tokens" / "calibration.jsonl.gz"
PROVIDERS = {"openai-chat": "openai", "openai-responses": "openai", "gemini": "google"}
TEST_FROM_BYTE = 0x60

pytestmark = pytest.mark.skipif(not SHARED.is_file(), reason="the recorded requests are not beside the repository")


@cache
def _records() -> tuple[dict[str, Any], ...]:
    with gzip.open(SHARED, "rt", encoding="utf-8") as lines:
        return tuple(record for record in map(json.loads, lines) if record["inp"] > 0 and record["M"])


def _is_test_part(record: dict[str, Any]) -> bool:
    return hashlib.sha256(f"{record['repo']}|{record['path']}".encode()).digest()[0] >= TEST_FROM_BYTE


def _counted(record: dict[str, Any]) -> TokenCount:
    interface = "vertex" if record["prov"] == "vertex" else "responses" if record["kind"] == "responses" else None
    return count(
        record["model"],
        messages=record["M"],
        provider=PROVIDERS.get(record["fam"], record["fam"]),
        tools=record["tools"] or None,
        tool_choice=record["tc"],
        response_format=record["rf"],
        thinking=record["think"],
        interface=interface,
    )


def _is_plain_text(record: dict[str, Any]) -> bool:
    calls = any(message.get("tool_calls") or message["role"] == "tool" for message in record["M"])
    return not (calls or record["tools"] or record["rf"] or record["flags"])


def test_plain_text_to_openai_is_counted_as_it_was_billed() -> None:
    plain = [record for record in _records() if record["fam"] == "openai-chat" and _is_plain_text(record)]
    assert len(plain) > 100
    exact = sum(_counted(record).tokens == record["inp"] for record in plain)
    assert exact >= 0.95 * len(plain)


@pytest.mark.parametrize(
    ("family", "median_error", "near", "covered"),
    [
        ("openai-chat", 0.0, 0.92, 0.93),
        ("openai-responses", 0.0, 0.82, 0.88),
        ("anthropic", 0.015, 0.72, 0.85),
        ("gemini", 0.03, 0.80, 0.88),
    ],
)
def test_what_is_whole_is_counted_as_near_as_the_docs_say(
    family: str, median_error: float, near: float, covered: float
) -> None:
    records = [
        record for record in _records() if record["fam"] == family and not record["flags"] and _is_test_part(record)
    ]
    counted = [(record["inp"], _counted(record)) for record in records]
    errors = [abs(found.tokens - billed) / billed for billed, found in counted]
    assert median(errors) <= median_error
    assert sum(error <= 0.05 for error in errors) >= near * len(errors)
    assert sum(found.low <= billed <= found.high for billed, found in counted) >= covered * len(counted)


def test_no_recorded_request_is_refused_or_counted_as_nothing() -> None:
    for record in _records():
        found = _counted(record)
        assert 0 < found.low <= found.tokens <= found.high
