"""What is not billed by tokens: seconds, pages, pieces; and searches beside Gemini's tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tokencalc.errors import UsageInvalid
from tokencalc.pricing.catalog import Catalog
from tokencalc.pricing.evaluate import evaluate
from tokencalc.providers.registry import read_usage

if TYPE_CHECKING:
    from tokencalc.usage import Usage


def counts(usage: Usage) -> dict[str, Any]:
    """Return the quantities by the names of their meters."""
    return {str(meter): quantity for meter, quantity in usage.leaves}


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        ("10", {"type": "duration", "seconds": 10.0}),
        ("9", {"text": "x", "usage": {"type": "duration", "seconds": 9}}),
        ("8.470000267028809", {"text": "x", "task": "transcribe", "duration": 8.470000267028809, "segments": []}),
        ("8.47", {"text": "x", "duration": "8.47", "x_groq": {"id": "r"}}),
        ("9", {"text": "x", "duration": 8.4, "usage": {"type": "duration", "seconds": 9}}),
    ],
)
def test_a_transcription_by_duration_is_exact_seconds(expected: str, body: dict[str, Any]) -> None:
    read = read_usage(body, "openai")
    assert ((("input_audio_second", Decimal(expected)),), ()) == (read.leaves, read.notes)


@pytest.mark.parametrize("duration", [True, "long", "NaN", -1, float("inf"), [1]])
def test_a_duration_that_is_no_number_is_refused(duration: object) -> None:
    with pytest.raises(UsageInvalid, match=r"duration: expected a number"):
        read_usage({"text": "x", "duration": duration})


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (
            {"input": 9, "input_image": 41, "output_image": 272},
            {
                "data": [{"b64_json": "x"}],
                "usage": {
                    "input_tokens": 50, "output_tokens": 272, "total_tokens": 322,
                    "input_tokens_details": {"text_tokens": 9, "image_tokens": 41},
                },
            },
        ),
        (
            {"input": 9, "output": 12, "output_image": 260},
            {
                "data": [{"b64_json": "x"}],
                "usage": {
                    "input_tokens": 9, "output_tokens": 272, "total_tokens": 281,
                    "input_tokens_details": {"text_tokens": 9, "image_tokens": 0},
                    "output_tokens_details": {"text_tokens": 12, "image_tokens": 260},
                },
            },
        ),
        ({"input": 9, "output_image": 5}, {"data": [{"url": "x"}], "usage": {"input_tokens": 9, "output_tokens": 5}}),
        ({"output_image_piece": 2}, {"created": 1, "data": [{"url": "x"}, {"url": "y"}]}),
        ({"output_image_piece": 1}, {"predictions": [{"bytesBase64Encoded": "x", "mimeType": "image/png"}]}),
        ({"output_video_second": 8}, {"object": "video", "model": "sora-2", "status": "completed", "seconds": "8"}),
    ],
)  # fmt: skip
def test_images_and_videos_are_tokens_where_said_and_pieces_or_seconds_where_not(
    expected: dict[str, Any], body: dict[str, Any]
) -> None:
    read = read_usage(body)
    assert (expected, ()) == (counts(read), read.notes)


@pytest.mark.parametrize(
    ("usd", "size"), [("0.3", None), ("0.3", "1280x720"), ("0.5", "1024x1792"), ("0.5", "1792x1024"), (None, "64x64")]
)
def test_a_videos_own_size_decides_its_rate(usd: str | None, size: str | None) -> None:
    body = {"object": "video", "model": "sora-2-pro", "status": "completed", "seconds": "4", "size": size}
    at, context = datetime(2026, 11, 1, tzinfo=UTC), {"video_resolution": "720p"}
    cost = evaluate(Catalog.packaged(), read_usage(body), model="sora-2-pro", provider="openai", at=at, context=context)
    assert [line.rate for line in cost.lines] == ([] if usd is None else [Decimal(usd)])
    assert (usd is None) is bool(cost.unpriced)


def test_a_video_that_is_not_done_costs_nothing_yet_and_says_so() -> None:
    read = read_usage({"object": "video", "status": "queued", "seconds": "8"})
    assert (read.leaves, len(read.notes)) == ((), 1)


@pytest.mark.parametrize(
    ("expected", "body"),
    [
        (
            {"input": 9, "output": 20, "input_audio_second": 12},
            {"usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 180, "prompt_audio_seconds": 12}},
        ),
        (
            {"input": 9, "output": 20},
            {"usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29, "prompt_audio_seconds": {}}},
        ),
        (
            {"input": 109, "output": 20, "web_search": 1, "code_execution": 2},
            {
                "usage": {
                    "prompt_tokens": 9,
                    "completion_tokens": 20,
                    "total_tokens": 129,
                    "connector_tokens": 100,
                    "connectors": {"web_search": 1, "code_interpreter": 2},
                }
            },
        ),
        (
            {"input_page": 29},
            {"pages": [], "model": "mistral-ocr-latest", "usage_info": {"pages_processed": 29, "doc_size_bytes": 4096}},
        ),
        (
            {"input_page": 3, "annotated_page": 2},
            {"usage_info": {"pages_processed": 3, "pages_processed_annotation": 2}},
        ),
        ({"input_page": 3}, {"pages_processed": 3, "doc_size_bytes": None}),
    ],
)
def test_mistral_bills_audio_connectors_and_pages_beside_tokens(expected: dict[str, Any], body: dict[str, Any]) -> None:
    read = read_usage(body, "mistral")
    assert (expected, ()) == (counts(read), read.notes)


def test_a_mistral_connector_that_is_new_is_noted() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "connectors": {"web_search_premium": 1}}
    assert [note[:39] for note in read_usage({"usage": usage}).notes] == ["usage.connectors.web_search_premium (1)"]


GEMINI = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}


def grounded(*queries: str, **fields: Any) -> list[dict[str, Any]]:
    """Return candidates with the given search queries."""
    return [{"groundingMetadata": {"webSearchQueries": list(queries), **fields}}]


MAPS = {"groundingChunks": [{"web": {}}, {"maps": {"title": "x"}}, {"maps": {"title": "y"}}]}


@pytest.mark.parametrize(
    ("expected", "notes", "model", "candidates"),
    [
        ({}, 0, "gemini-3-flash-preview", [{"content": {}}]),
        ({"web_search": 2}, 0, "gemini-3-flash-preview", grounded("", "weather", "news")),
        ({"web_search": 1}, 0, "gemini-2.5-pro", grounded("", "weather", "news")),
        ({"web_search": 2}, 1, None, grounded("weather", "news")),
        ({}, 0, None, grounded()),
        ({"maps_search": 1}, 0, "gemini-2.5-flash", grounded(**MAPS)),
        ({"web_search": 1}, 0, "gemini-3-pro-image", grounded(imageSearchQueries=["cats"])),
        ({}, 1, "gemini-2.5-pro", grounded(retrievalQueries=["x"])),
        ({}, 0, "gemini-3-pro", "text"),
    ],
)
def test_gemini_searches_are_billed_by_the_query_since_3_and_by_the_prompt_before(
    expected: dict[str, int], notes: int, model: str | None, candidates: Any
) -> None:
    read = read_usage({"modelVersion": model, "candidates": candidates, "usageMetadata": GEMINI})
    assert ({"input": 9, "output": 3, **expected}, notes) == (counts(read), len(read.notes))


@pytest.mark.parametrize(
    ("expected", "notes", "model", "tools"),
    [
        ({"web_search": 3}, 0, "gemini-3-flash", [{"type": "google_search", "count": 3}]),
        ({"web_search": 1}, 0, "gemini-2.5-flash", [{"type": "google_search", "count": 3}]),
        ({"maps_search": 2}, 0, "gemini-3-flash", [{"type": "google_maps", "count": 2}]),
        ({}, 1, "gemini-3-flash", [{"type": "retrieval", "count": 2}]),
        ({}, 0, "gemini-3-flash", [{"type": "retrieval", "count": 0}]),
    ],
)
def test_interactions_count_their_tools_themselves(
    expected: dict[str, int], notes: int, model: str, tools: list[dict[str, Any]]
) -> None:
    usage = {"total_input_tokens": 9, "total_output_tokens": 3, "total_tokens": 12, "grounding_tool_count": tools}
    read = read_usage({"model": model, "usage": usage})
    assert ({"input": 9, "output": 3, **expected}, notes) == (counts(read), len(read.notes))


def test_video_that_gemini_makes_has_a_meter() -> None:
    usage = {**GEMINI, "candidatesTokensDetails": [{"modality": "VIDEO", "tokenCount": 2}]}
    assert counts(read_usage({"usageMetadata": usage})) == {"input": 9, "output": 1, "output_video": 2}


def test_vertex_embeddings_are_tokens_and_their_characters_are_ignored() -> None:
    statistics = {"statistics": {"truncated": False, "token_count": 6}}
    body = {"predictions": [{"embeddings": statistics}] * 2, "metadata": {"billableCharacterCount": 26}}
    read = read_usage(body, "vertex")
    assert (counts(read), read.ignored) == ({"input": 12}, ("metadata.billableCharacterCount",))


def test_code_that_claude_ran_in_a_container_is_noted_because_time_is_billed() -> None:
    body = {
        "type": "message",
        "model": "claude-opus-4-8",
        "container": {"id": "container_1"},
        "content": [{"type": "server_tool_use"}, {"type": "bash_code_execution_tool_result"}],
        "usage": {"input_tokens": 4, "output_tokens": 5, "cache_creation_input_tokens": 0},
    }
    for _ in range(2):
        assert [note[:39] for note in read_usage(body).notes] == ["content has 1 results of code execution"]
    assert read_usage({**body, "content": []}).notes == ()
    assert read_usage({**body, "container": None}).notes == ()


def test_tools_that_groq_ran_are_noted() -> None:
    tools = [{"type": "search"}, {"type": "visit"}, {"type": "search"}]
    body = {"choices": [{"message": {"executed_tools": tools}}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    assert [note[:33] for note in read_usage(body, "groq").notes] == ["executed_tools: 2 search, 1 visit"]
