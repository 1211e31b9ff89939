"""Small answers of our own in each provider's format; the counts are what the tests look for in the ledger."""

from __future__ import annotations

from typing import Any

HELLO = [{"role": "user", "content": "Say hello, please."}]
INPUT, OUTPUT = 1200, 34
USAGE = {"prompt_tokens": INPUT, "completion_tokens": OUTPUT, "total_tokens": INPUT + OUTPUT}
SAID = ("Hello ", "there, ", "friend.")


def chat(model: str = "gpt-4o-2024-08-06", **message: Any) -> dict[str, Any]:
    """Return a chat completion."""
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls" if "tool_calls" in message else "stop",
                "message": {"role": "assistant", "content": "".join(SAID), **message},
            }
        ],
        "usage": USAGE,
    }


def chat_chunks(model: str = "gpt-4o-2024-08-06", *, usage: bool = True) -> list[dict[str, Any]]:
    """Return the chunks of a streamed chat completion."""
    common = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    chunks = [
        {**common, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]} for piece in SAID
    ]
    chunks.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return [*chunks, {**common, "choices": [], "usage": USAGE}] if usage else chunks


def response(**more: Any) -> dict[str, Any]:
    """Return an answer of OpenAI's Responses."""
    return {
        "id": "resp-1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-2024-08-06",
        "output": [
            {
                "type": "message",
                "id": "m-1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "".join(SAID), "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": INPUT,
            "output_tokens": OUTPUT,
            "total_tokens": INPUT + OUTPUT,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        **more,
    }


def response_events() -> list[dict[str, Any]]:
    """Return the events of a streamed answer of OpenAI's Responses."""
    begun = response(status="in_progress", output=[], usage=None)
    item = {"type": "message", "id": "m-1", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": "m-1", "output_index": 0, "content_index": 0}
    said: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in SAID),
        {"type": "response.output_text.done", **place, "text": "".join(SAID), "logprobs": []},
        {"type": "response.completed", "response": response()},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(said)]


def message(*content: dict[str, Any], stop_reason: str = "end_turn") -> dict[str, Any]:
    """Return an answer of Anthropic's Messages."""
    return {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": list(content) or [{"type": "text", "text": "".join(SAID)}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT, "output_tokens": OUTPUT, "service_tier": "standard"},
    }


def message_events() -> list[dict[str, Any]]:
    """Return the events of a streamed answer of Anthropic's Messages."""
    begun = {**message(), "content": [], "stop_reason": None, "usage": {"input_tokens": INPUT, "output_tokens": 1}}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in SAID
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": OUTPUT},
        },
        {"type": "message_stop"},
    ]


def generation(*parts: dict[str, Any], model: str = "gemini-2.5-flash") -> dict[str, Any]:
    """Return an answer of Gemini's generateContent."""
    return {
        "candidates": [
            {
                "content": {"role": "model", "parts": list(parts) or [{"text": "".join(SAID)}]},
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": INPUT,
            "candidatesTokenCount": OUTPUT - 10,
            "thoughtsTokenCount": 10,
            "totalTokenCount": INPUT + OUTPUT,
        },
        "modelVersion": model,
        "responseId": "r-1",
    }


def generation_chunks() -> list[dict[str, Any]]:
    """Return the chunks of a streamed answer of Gemini's; only the last one says the output."""
    chunks = [generation({"text": piece}) for piece in SAID]
    for chunk in chunks[:-1]:
        del chunk["candidates"][0]["finishReason"]
        chunk["usageMetadata"] = {"promptTokenCount": INPUT, "totalTokenCount": INPUT}
    return chunks


def overloaded() -> dict[str, Any]:
    """Return Anthropic's error of a provider that has no room."""
    return {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
