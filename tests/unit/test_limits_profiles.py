"""Limits from the settings: named profiles, the nearest table, and errors that name the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.travel import in_threads
from tokencalc.clock import ManualClock
from tokencalc.config import Settings, load_settings
from tokencalc.errors import ConfigInvalid
from tokencalc.limits.profiles import PROFILES, Limiters, LimitProfile, limiter_for, profile_for

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
requests_per_minute = 42

[limits.openai]
profile = "high_volume"

[limits."openai/gpt-4o"]
requests_per_minute = 500
burst = 50
input_tokens_per_minute = 200_000
output_tokens_per_minute = 80_000
concurrency = 8
strict = true

[limits."anthropic/claude-opus-4-8"]
profile = "low"
burst = 1
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Give the settings of the file above."""
    (tmp_path / "tokencalc.toml").write_text(FILE, encoding="utf-8")
    return load_settings(tmp_path, {})


def test_there_are_five_profiles_by_name() -> None:
    assert sorted(PROFILES.values()) == [2, 5, 15, 60, 300]


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        (
            "openai",
            "gpt-4o",
            LimitProfile(
                requests_per_minute=500,
                burst=50,
                input_tokens_per_minute=200_000,
                output_tokens_per_minute=80_000,
                concurrency=8,
                strict=True,
            ),
        ),
        ("openai", "gpt-5", LimitProfile(requests_per_minute=60)),
        ("anthropic", "claude-opus-4-8", LimitProfile(requests_per_minute=5, burst=1)),
        ("anthropic", "claude-haiku-4-5", LimitProfile(requests_per_minute=42)),
        ("groq", "x", LimitProfile(requests_per_minute=42)),
    ],
)
def test_the_nearest_table_holds(settings: Settings, provider: str, model: str, expected: LimitProfile) -> None:
    assert expected == profile_for(settings, provider, model)


def test_a_limiter_is_made_by_its_table(settings: Settings) -> None:
    limiter = limiter_for(settings, "openai", "gpt-4o", clock=ManualClock())
    assert (limiter.name, limiter.requests_per_minute, limiter.strict) == ("openai/gpt-4o", 500, True)
    limiter.acquire(50, 200_000, 80_000).release()


def test_without_settings_it_is_300_a_minute() -> None:
    assert profile_for(Settings(), "openai", "gpt-4o") == LimitProfile(requests_per_minute=300)


def test_all_who_ask_share_one_limiter_for_each_model(settings: Settings) -> None:
    limiters = Limiters(settings, clock=ManualClock())
    found = in_threads(8, lambda: limiters.get("openai", "gpt-4o"))
    assert len({id(one) for one in found}) == 1
    other = limiters.get("openai", "gpt-5")
    assert limiters.all() == (found[0], other)


def test_none_is_dropped_to_make_room() -> None:
    limiters = Limiters(Settings(), clock=ManualClock())
    first = limiters.get("openai", "model-0")
    for number in range(3000):
        limiters.get("openai", f"model-{number}")
    assert limiters.get("openai", "model-0") is first


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ('profile = "fast"', r"profile: expected one of trickle, low, medium, high_volume, standard, found"),
        ("requests_per_minut = 5", r"requests_per_minut: unknown setting; did you mean requests_per_minute\? "),
        ("requests_per_minute = 0", r"requests_per_minute: expected a whole number from 1 to \d+, found 0"),
        ("burst = 1.5", r"burst: expected a whole number"),
        ("concurrency = true", r"concurrency: expected a whole number"),
        ('strict = "yes"', r"strict: expected true or false, found 'yes'"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, table: str, match: str) -> None:
    (tmp_path / "tokencalc.toml").write_text(f"[limits.openai]\n{table}\n", encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=rf"tokencalc\.toml: limits\.openai\.{match}"):
        profile_for(load_settings(tmp_path, {}), "openai", "gpt-4o")


@pytest.mark.parametrize(
    ("text", "match"),
    [("limits = 5", r"limits: expected tables by provider, \[limits\.openai\]"),
     ("[limits]\nopenai = 60", r"limits\.openai: expected a table, \[limits\.openai\]")],
)  # fmt: skip
def test_limits_are_tables(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "tokencalc.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=match):
        load_settings(tmp_path, {})


def test_limits_do_not_fit_in_a_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r"tables do not fit in a variable; write \[limits\.openai\]"):
        load_settings(tmp_path, {"TOKENCALC_LIMITS": "5"})
