"""The sample week that the package ships: what the script makes, with every trap, and the right sums."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from scripts.make_sample_logs import sample_files
from tokencalc.importers.claude_code import ClaudeCodeLogs
from tokencalc.importers.found import find_logs, sample_folder

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_sample_is_what_the_script_makes() -> None:
    folder = sample_folder()
    shipped = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.jsonl")}
    made = sample_files()
    assert sorted(shipped) == sorted(made)
    assert [path for path in made if made[path] != shipped[path]] == []


def test_the_sample_is_a_week_of_several_agents_small_enough_to_ship(tmp_path: Path) -> None:
    found = find_logs("sample", home=tmp_path, environ={})
    assert 100_000 < found.size_bytes < 600_000
    logs = ClaudeCodeLogs(found.files)
    calls = list(logs)
    assert [call.at.date().isoformat() for call in (calls[0], calls[-1])] == ["2026-11-09", "2026-11-15"]
    assert len({call.at.date() for call in calls}) == 7
    assert len({call.project for call in calls}) == 4
    assert {call.agent_id for call in calls} == {"claude-code", "claude-code/subagent"}
    assert Counter(call.model for call in calls)["claude-orion-preview"] == 3
    assert len({call.idempotency_key for call in calls}) == len(calls) == logs.summary.calls


def test_the_sample_holds_every_trap(tmp_path: Path) -> None:
    logs = ClaudeCodeLogs(find_logs("sample", home=tmp_path, environ={}).files)
    calls = list(logs)
    skipped = logs.summary.skipped
    assert {"duplicates", "non_usage", "synthetic", "malformed_lines"} == set(skipped)
    assert skipped["malformed_lines"] == 1
    assert {call.usage.speed for call in calls} == {None, "fast"}
    assert {call.usage.region for call in calls} == {None, "us"}
    assert max(call.usage.web_searches for call in calls) == 3
    assert sum(call.usage.cache_write_1h_tokens for call in calls) > 0
    assert [len(call.usage.parts) for call in calls if call.usage.parts] == [2]
    text = b"".join(sample_files().values())
    assert b'"requestId":"req_replay_0"' in text
    assert text.count(b'"usage"') > text.count(b'"requestId"')
