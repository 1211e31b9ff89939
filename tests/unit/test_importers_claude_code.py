"""Claude Code's logs: each answer once, however often and in whatever order it was written down."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.importers import claude_code
from tokencalc.importers.claude_code import ClaudeCodeLogs
from tokencalc.importers.found import find_logs
from tokencalc.importers.lines import bounded_lines

if TYPE_CHECKING:
    from tokencalc.importers.records import ImportedCall

SHARED = Path(__file__).parents[2].parent / "shared" / "logs" / "claude_code"


def answer(message_id: str | None = "msg_1", request_id: str | None = "req_1", **more: Any) -> dict[str, Any]:
    """Return a line of an answer; ``usage`` fields and ``output`` may be given."""
    usage = {"input_tokens": 10, "output_tokens": more.pop("output", 5), **more.pop("usage", {})}
    message = {
        "model": more.pop("model", "claude-opus-4-7"),
        "usage": usage,
        "content": [{"type": "text", "text": "SECRET"}],
    }
    line = {"type": "assistant", "timestamp": "2026-07-01T10:00:00Z", "sessionId": "s1", "cwd": "/home/dev/hidden/shop"}
    if message_id is not None:
        message["id"] = message_id
    if request_id is not None:
        line["requestId"] = request_id
    return {**line, "message": message, **more}


def read(folder: Path, *lines: Any, name: str = "a.jsonl", **options: Any) -> tuple[list[ImportedCall], ClaudeCodeLogs]:
    """Write the lines into a log and read the folder."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    file.write_bytes(b"\n".join(texts) + b"\n")
    logs = ClaudeCodeLogs(find_logs(folder, home=folder / "nobody", environ={}).files, **options)
    return list(logs), logs


def outputs(calls: list[ImportedCall]) -> list[int]:
    """Return the output tokens of each call."""
    return [call.usage.output_tokens for call in calls]


def test_an_answer_becomes_a_call_with_what_it_needs(tmp_path: Path) -> None:
    (call,), _ = read(
        tmp_path, {"type": "user", "message": {"content": "x"}}, answer(usage={"cache_read_input_tokens": 90})
    )
    assert (call.provider, call.model, call.agent_id, call.operation) == (
        "anthropic",
        "claude-opus-4-7",
        "claude-code",
        "coding",
    )
    assert (call.project, call.tags, call.notional, call.cost_usd) == ("shop", {"session": "s1"}, True, None)
    assert (call.usage.input_tokens, call.usage.cache_read_tokens, call.usage.output_tokens) == (100, 90, 5)
    assert (call.at.isoformat(), call.source) == ("2026-07-01T10:00:00+00:00", "a.jsonl:2")
    assert call.as_record()["tags"] == {"session": "s1"}


def test_neither_content_nor_the_folders_path_is_kept(tmp_path: Path) -> None:
    calls, logs = read(tmp_path, answer(), b'{"usage": SECRET', name="projects/-home-dev-hidden-shop/s1.jsonl")
    assert "SECRET" not in repr((calls, logs.summary))
    assert "hidden" not in repr(calls)
    assert calls[0].source == "s1.jsonl:1"


def test_a_damaged_line_is_named_with_its_folder_so_that_it_can_be_found(tmp_path: Path) -> None:
    _, logs = read(tmp_path, b'{"usage": cut', b'{"usage": cut', name="projects/-home-dev-shop/s1.jsonl")
    assert [problem.split(": ")[0] for problem in logs.summary.problems] == [
        "projects/-home-dev-shop/s1.jsonl:1",
        "projects/-home-dev-shop/s1.jsonl:2",
    ]


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        # Snapshots grow while the answer streams: the largest counts.
        ([159], [answer(output=9), answer(output=9), answer(output=159)]),
        ([159], [answer(output=159), answer(output=9)]),
        # A line without a request id is the same answer.
        ([55], [answer(request_id=None, output=40), answer(request_id=None, output=55)]),
        ([55], [answer(request_id=None, output=40), answer(output=55)]),
        # A sub-agent replays its parent under another request id, even with a larger figure.
        ([5], [answer(), answer(request_id="req_side", isSidechain=True, output=99)]),
        # Replays whose original is not here count once.
        ([7], [answer(request_id=f"req_{n}", isSidechain=True, output=n) for n in (5, 6, 7)]),
        # One message id for two requests: a gateway that reuses ids.
        ([5, 6], [answer(request_id="req_1"), answer(request_id="req_2", output=6)]),
        # Without any id: the same answer twice is one, another time is another.
        ([5], [answer(None, None), answer(None, None)]),
        ([5, 5], [answer(None, None), answer(None, None, timestamp="2026-07-01T10:00:01Z")]),
    ],
)
def test_each_answer_counts_once_in_every_order_of_lines(expected: list[int], lines: list[Any], tmp_path: Path) -> None:
    keys = set()
    for number, order in enumerate(itertools.permutations(lines)):
        calls, logs = read(tmp_path / str(number), *order)
        assert sorted(outputs(calls)) == expected
        assert logs.summary.skipped["duplicates"] == len(lines) - len(expected)
        keys.add(tuple(sorted(call.idempotency_key for call in calls)))
    assert len(keys) == 1


def test_a_replay_and_its_original_have_one_key_so_that_imports_in_turn_book_once(tmp_path: Path) -> None:
    (replay,), _ = read(tmp_path / "1", answer(request_id="req_side", isSidechain=True))
    (original,), _ = read(tmp_path / "2", answer())
    assert replay.idempotency_key == original.idempotency_key


def test_the_same_answer_in_two_files_counts_once(tmp_path: Path) -> None:
    read(tmp_path, answer(), name="old.jsonl")
    calls, _ = read(tmp_path, answer(sessionId="s2"), answer("msg_2"), name="resumed.jsonl")
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("agent", "name", "line"),
    [
        ("claude-code", "a.jsonl", answer()),
        ("claude-code/subagent", "a.jsonl", answer(isSidechain=True)),
        ("claude-code/subagent", "s1/subagents/agent-1.jsonl", answer()),
    ],
)
def test_sub_agents_are_told_from_the_main_conversation(agent: str, name: str, line: Any, tmp_path: Path) -> None:
    (call,), _ = read(tmp_path, line, name=name)
    assert call.agent_id == agent


@pytest.mark.parametrize(
    ("reason", "problem", "line"),
    [
        ("synthetic", None, answer(model="<synthetic>")),
        ("api_errors", None, answer(isApiErrorMessage=True)),
        ("non_usage", None, {"type": "user", "message": {"content": "x"}}),
        ("non_usage", None, {"type": "progress", "data": answer()}),
        ("non_usage", None, {"type": "assistant", "message": {"id": "x", "usage": None}}),
        ("malformed_lines", "a.jsonl:1: not a JSON object", b'{"type":"assistant","message":{"usage":{"input_tok'),
        ("malformed_lines", "a.jsonl:1: not a JSON object", b'"usage"'),
        ("malformed_lines", "a.jsonl:1: not a JSON object", b'\xff\xfe{"usage"'),
        ("malformed_lines", "a.jsonl:1: not a JSON object", b'{"usage":' + b"[" * 100_000),
        ("bad_records", "a.jsonl:1: timestamp: expected an instant", answer(timestamp="2026-07-01T10:00:00")),
        ("bad_records", "a.jsonl:1: timestamp: expected an instant", answer(timestamp=7)),
        ("bad_records", "a.jsonl:1: usage.output_tokens: expected an integer", answer(output=True)),
        ("bad_records", "a.jsonl:1: usage.output_tokens: expected an integer", answer(output=-1)),
        ("bad_records", "a.jsonl:1: message.model: expected a name, found None", answer(model=None)),
        ("bad_records", "a.jsonl:1: message.model: expected a name, found 'a\\x1bb'", answer(model="a\x1bb")),
    ],
)  # fmt: skip
def test_what_is_no_call_is_skipped_and_counted(reason: str, problem: str | None, line: Any, tmp_path: Path) -> None:
    calls, logs = read(tmp_path, line, answer())
    assert outputs(calls) == [5]
    assert dict(logs.summary.skipped) == {reason: 1, "duplicates": 0}
    assert [found[: len(problem or "")] for found in logs.summary.problems] == ([problem] if problem else [])


def test_cache_writes_keep_their_lifetimes(tmp_path: Path) -> None:
    hour = {
        "cache_creation_input_tokens": 2241,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 2241},
    }
    nested_only = {"cache_creation": {"ephemeral_1h_input_tokens": 7}}
    calls, _ = read(tmp_path, answer("msg_1", usage=hour), answer("msg_2", usage=nested_only))
    assert sorted(call.usage.cache_write_1h_tokens for call in calls) == [7, 2241]


def test_how_a_call_was_served_is_kept(tmp_path: Path) -> None:
    (call,), _ = read(tmp_path, answer(usage={"speed": "fast", "inference_geo": "us", "service_tier": "standard"}))
    assert (call.usage.speed, call.usage.region, call.usage.service_tier) == ("fast", "us", "standard")


@pytest.mark.parametrize(
    ("cost", "claimed"), [(0.000375, "0.000375"), ("1.5", "1.5"), (0, "0"), (True, None), ("free", None)]
)
def test_what_an_old_log_claims_is_the_callers_cost(cost: Any, claimed: str | None, tmp_path: Path) -> None:
    line = answer(costUSD=cost)
    del line["type"]  # old files have none
    (call,), logs = read(tmp_path, line)
    assert call.cost_usd == (None if claimed is None else Decimal(claimed))
    assert logs.summary.skipped["bad_claims"] == (claimed is None)


@pytest.mark.parametrize(
    ("expected", "cwd"),
    [("shop", "/home/dev/shop/"), ("shop", "C:\\Users\\ada\\shop"), (None, "/"), (None, 7), (None, "/a/b\x07")],
)
def test_the_project_is_the_last_part_of_the_working_folder(expected: str | None, cwd: Any, tmp_path: Path) -> None:
    (call,), _ = read(tmp_path, answer(cwd=cwd))
    assert call.project == expected


def test_a_line_without_a_folder_has_the_one_before_it(tmp_path: Path) -> None:
    line = answer("msg_2")
    del line["cwd"]
    calls, _ = read(tmp_path, answer(), line)
    assert [call.project for call in calls] == ["shop", "shop"]


def test_another_providers_model_is_not_said_to_be_anthropics(tmp_path: Path) -> None:
    (call,), _ = read(tmp_path, answer(model="glm-5"))
    assert (call.provider, call.model) == (None, "glm-5")


def test_the_caller_may_say_that_calls_were_billed(tmp_path: Path) -> None:
    (call,), _ = read(tmp_path, answer(), notional=False)
    assert call.notional is False


def test_an_unreadable_file_is_survived_with_a_message(tmp_path: Path) -> None:
    read(tmp_path, answer(), name="a.jsonl")
    read(tmp_path, answer("msg_2"), name="b.jsonl")
    files = find_logs(tmp_path, home=tmp_path, environ={}).files
    (tmp_path / "a.jsonl").unlink()
    logs = ClaudeCodeLogs(files)
    assert len(list(logs)) == 1
    assert logs.summary.problems == ["a.jsonl: cannot be read: No such file or directory"]


def test_a_huge_line_is_skipped_and_empty_ones_are_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claude_code, "bounded_lines", partial(bounded_lines, line_bytes_max=2_000))
    calls, logs = read(tmp_path, b"", answer(), b'{"usage":"' + b"x" * 3_000 + b'"}', b"  ", answer("msg_2"))
    assert len(calls) == 2
    assert logs.summary.skipped["huge_lines"] == 1
    assert logs.summary.problems == ["a.jsonl:3: line is too long, skipped"]


def test_progress_is_told_in_bytes_and_ends_at_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    padding = {"type": "user", "message": {"content": "x" * 700_000}}
    read(tmp_path, *[padding] * 5, progress=lambda done, whole: told.append((done, whole)))
    size = (tmp_path / "a.jsonl").stat().st_size
    assert told[-1] == (size, size)
    assert len(told) == 3
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_iterating_again_reads_again(tmp_path: Path) -> None:
    calls, logs = read(tmp_path, answer())
    assert list(logs) == calls
    assert logs.summary.calls == 1


@pytest.mark.skipif(not SHARED.is_dir(), reason="the trap file is not beside this checkout")
def test_the_trap_file_has_its_expected_calls() -> None:
    expected = json.loads((SHARED / "session_traps_synthetic.expected.json").read_text(encoding="utf-8"))
    found = find_logs(SHARED / "session_traps_synthetic.jsonl", home=SHARED, environ={})
    logs = ClaudeCodeLogs(found.files)
    calls = list(logs)
    assert len(calls) == expected["entries"]
    assert dict(logs.summary.skipped) == expected["skipped"]
    assert [
        sum(getattr(call.usage, name) for call in calls)
        for name in ("output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    ] == [2786, 129_931, 14_103, 2241]
