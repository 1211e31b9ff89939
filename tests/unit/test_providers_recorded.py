"""Recorded answers of every provider: each number is mapped or listed, nothing is zero in silence, errors are free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.recorded import FOLDERS, RECORDED, changed, forgotten, numbers, payloads
from tests.unit.streams import COMPLETE
from tokencalc.errors import UsageMissing
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokencalc.usage import Usage

recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded answers are not beside this checkout")

ANSWERS = 536
SESSIONS = 50
ERRORS = 51
STREAMS = 41
SAYS_NOTHING = frozenset({"google_vertex/test_google_model_armor_prompt_template_text_gets_blocked_1"})
"""A prompt that was blocked before a model saw it: its usage says the traffic and no count."""
SAYS_ZERO = frozenset({"openai_responses/test_openai_responses_model_retry_0", "openai_responses/test_responses_0"})
"""Bodies that have an answer and say 0 of everything: read as they say it, with a note."""
DO_NOT_ADD_UP = frozenset(
    {
        # The last chunk leaves out candidates that an earlier one said.
        "google/test_native_output_with_builtin_tools_stream_0",
        # The Live API leaves its thoughts out of the total.
        "realtime/test_google_ws_test_audio_in_server_vad_turn",
        "realtime/test_google_ws_test_message_history_seeding",
        "realtime/test_google_ws_test_text_in_audio_out_turn",
        "realtime/test_parity_ws_test_history_seeding_parity-google-previous-",
        "realtime/test_parity_ws_test_text_tool_round_parity-google-previous-",
    }
)
"""Answers whose own total is not the sum of its parts."""
RESTARTED = frozenset(
    {
        "google/test_google_model_file_search_grounding_gemini_3-true_3",
        "google/test_google_model_stream_0",
        "google/test_native_output_with_builtin_tools_stream_0",
    }
)
"""Streams of Gemini whose counters go down."""
SAY_IT_AT_THEIR_END = 12
"""Of the streams that were sorted out as saying no usage: those that say one, in one of their last two events."""

OWN: list[dict[str, Any]] = [
    {
        "usage": {
            "prompt_tokens": 90,
            "completion_tokens": 40,
            "total_tokens": 130,
            "prompt_tokens_details": {
                "cached_tokens": 20,
                "cache_write_tokens": 5,
                "audio_tokens": 0,
                "text_tokens": 90,
            },
            "completion_tokens_details": {"reasoning_tokens": 8, "accepted_prediction_tokens": 3},
        }
    },
    {
        "type": "message",
        "usage": {
            "input_tokens": 9,
            "output_tokens": 40,
            "cache_creation_input_tokens": 12,
            "cache_read_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
            "output_tokens_details": {"thinking_tokens": 6},
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2},
        },
    },
    {
        "usageMetadata": {
            "promptTokenCount": 90,
            "candidatesTokenCount": 30,
            "thoughtsTokenCount": 4,
            "cachedContentTokenCount": 12,
            "toolUsePromptTokenCount": 3,
            "totalTokenCount": 127,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 60}, {"modality": "IMAGE", "tokenCount": 30}],
            "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        }
    },
]


@pytest.mark.parametrize("payload", [*OWN, *COMPLETE.values()], ids=["chat body", "message", "gemini body", *COMPLETE])
def test_every_number_of_our_own_payloads_is_mapped_or_listed(payload: Any) -> None:
    assert list(numbers(payload))
    assert forgotten(payload) == []
    assert read_usage(payload).notes == ()


def test_a_forgotten_number_would_be_found() -> None:
    payload = {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "details": {"n": 1}}}
    assert list(numbers(payload))[-1] == ("usage", "details", "n")
    assert changed(payload, ("usage", "details", "n"))["usage"]["details"] == {"n": 2}
    assert forgotten(payload) == []
    assert forgotten([payload | {"meta": {"billed": 2}}]) == ["0.meta.billed"]


def answers(folders: tuple[str, ...] = (*FOLDERS, "realtime")) -> Iterator[tuple[str, Any]]:
    """Yield every recorded answer and session that says a usage."""
    for folder in folders:
        for name, payload in payloads(folder):
            if name not in SAYS_NOTHING:
                yield name, payload


@recorded
def test_all_recordings_are_walked() -> None:
    assert sum(1 for folder in FOLDERS for _ in payloads(folder)) == ANSWERS
    assert sum(1 for _ in payloads("realtime")) == SESSIONS


@recorded
@pytest.mark.parametrize("folder", [*FOLDERS, "realtime"])
def test_every_number_of_every_recorded_answer_is_mapped_or_listed(folder: str) -> None:
    missing = {name: found for name, payload in answers((folder,)) if (found := forgotten(payload))}
    assert missing == {}


@recorded
def test_a_prompt_that_no_model_saw_says_no_usage() -> None:
    found = [payload for name, payload in payloads("google_vertex") if name in SAYS_NOTHING]
    assert len(found) == 1
    with pytest.raises(UsageMissing, match="nothing to price"):
        read_usage(found[0])


def _read() -> dict[str, Usage]:
    return {name: read_usage(payload) for name, payload in answers()}


@recorded
def test_no_recorded_answer_is_zero_in_silence() -> None:
    read = _read()
    assert {name for name, usage in read.items() if not usage.leaves} == SAYS_ZERO
    assert {name for name, usage in read.items() if _has(usage, "although the body has an answer")} == SAYS_ZERO
    assert {name for name, usage in read.items() if usage.is_interrupted} == {
        "openrouter/test_openrouter_stream_error_0"
    }


@recorded
def test_recorded_totals_add_up_and_no_number_is_unknown() -> None:
    read = _read()
    assert {name for name, usage in read.items() if _has(usage, " is not prompt + candidates")} == DO_NOT_ADD_UP
    assert {name for name, usage in read.items() if _has(usage, "counters were restarted")} == RESTARTED
    assert [name for name, usage in read.items() if _has(usage, "is not known to this reader")] == []


def _has(usage: Usage, words: str) -> bool:
    return any(words in note for note in usage.notes)


@recorded
def test_recorded_errors_cost_nothing_and_say_so() -> None:
    read = [read_usage(payload) for _, payload in payloads("errors")]
    assert len(read) == ERRORS
    assert all(usage.leaves == () and _has(usage, "nothing was used") for usage in read)


@recorded
def test_recorded_streams_without_usage_say_so() -> None:
    silent, said = 0, []
    for _, payload in payloads("streams_without_usage"):
        try:
            said.append((read_usage(payload), payload))
        except UsageMissing:
            silent += 1
    assert (silent, len(said)) == (STREAMS - SAY_IT_AT_THEIR_END, SAY_IT_AT_THEIR_END)
    # These say one after all: reading it is right, and refusing it would lose it.
    assert all(list(numbers(payload[-2:])) and not usage.is_interrupted for usage, payload in said)


@recorded
@pytest.mark.parametrize("folder", [*FOLDERS, "realtime"])
def test_a_recorded_stream_that_is_cut_never_looks_whole_with_other_figures(folder: str) -> None:
    for name, payload in answers((folder,)):
        if isinstance(payload, list):
            whole = read_usage(payload)
            for kept in sorted({len(payload) // 2, len(payload) - 2, len(payload) - 1} - {-1}):
                assert _is_honest(payload[:kept], whole), (name, kept)


def _is_honest(events: list[Any], whole: Usage) -> bool:
    try:
        cut = read_usage(events)
    except UsageMissing:
        return True
    # A session or an agent that stops between two calls is a shorter one.
    return cut.is_interrupted or cut.leaves == whole.leaves or len(cut.calls) < len(whole.calls)
