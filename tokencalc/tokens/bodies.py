"""The keys of a request's body: which of them put tokens into the prompt, which never do, which ask for output.

The lists name what is known to cost nothing; a key that is on none of them is named in ``unaccounted``, because what
nobody has looked at may carry input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from tokencalc.tokens.reading import plain, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTS = ("messages", "contents", "input")
"""Keys that hold the messages; a body has one of them."""

SYSTEMS = frozenset({"system", "instructions", "systemInstruction", "system_instruction"})
"""Keys whose text stands before the messages."""

BESIDE = frozenset(
    {"tools", "functions", "response_format", "text", "tool_choice", "function_call", "toolConfig", "tool_config"}
    | {"output_format", "output_config", "thinking"}
)
"""Keys that describe the call and cost tokens; whoever asks for a count reads them."""

NESTED = frozenset({"config", "extra_body", "generationConfig", "generation_config", "inferenceConfig"})
"""Keys that hold more of the body: google-genai's ``config``, what OpenAI's SDK passes on, and groups of settings."""

KEPT = frozenset(
    {"mcp_servers", "container", "previous_response_id", "conversation", "cachedContent", "cached_content", "prompt"}
)
"""Keys that put into the prompt what only the provider has."""

FREE = frozenset(
    {"model", "temperature", "top_p", "top_k", "topP", "topK", "min_p", "top_a", "typical_p", "seed", "random_seed"}
    | {"frequency_penalty", "presence_penalty", "repetition_penalty", "frequencyPenalty", "presencePenalty"}
    | {"logit_bias", "logprobs", "top_logprobs", "responseLogprobs", "response_logprobs", "stop", "stop_sequences"}
    | {"stopSequences", "stream", "stream_options", "store", "metadata", "requestMetadata", "user", "user_id"}
    | {"safety_identifier", "prompt_cache_key", "prompt_cache_retention", "cache_control", "service_tier", "timeout"}
    | {"extra_headers", "extra_query", "http_options", "httpOptions", "labels", "safetySettings", "safety_settings"}
    | {"betas", "anthropic_version", "anthropic_beta", "inference_geo", "speed", "background", "include"}
    | {"truncation", "parallel_tool_calls", "max_tool_calls", "performanceConfig", "echo", "modalities"}
    | {"reasoning_effort", "reasoning_format", "include_reasoning", "verbosity", "effort", "audio", "provider"}
    | {"models", "route", "automatic_function_calling", "thinking_config", "thinkingConfig", "thinking_budget"}
    | {"speech_config", "speechConfig", "response_modalities", "responseModalities", "response_mime_type"}
    | {"responseMimeType", "image_config", "imageConfig", "audio_timestamp", "audioTimestamp", "disable_search"}
    | {"modelId", "transforms", "dimensions", "encoding_format", "list"}
)
"""Keys that steer, name or route and reach no prompt."""

OUTPUT_LIMITS = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens", "max_new_tokens"}
)
CHOICES = frozenset({"n", "best_of", "candidate_count", "candidateCount", "num_generations"})

SCHEMA_KEYS = frozenset({"response_schema", "responseSchema", "response_json_schema", "responseJsonSchema"})
"""Keys of the answer's schema in google-genai's ``config`` and in REST's ``generationConfig``."""

DEPTH_MAX = 3
"""How deep groups of settings are looked into."""

_STEERS_REASONING = frozenset({"effort", "summary", "generate_summary", "max_tokens", "exclude", "enabled"})
_ORDINARY_MODES = frozenset({"", "default", "standard", "auto"})


class Asked(NamedTuple):
    """What a body asks for: answers to the same request, and the most tokens of each; None where it does not say."""

    choices: object = None
    max_output_tokens: object = None


def asked(messages: object) -> Asked:
    """Return how much output a request's body asks for; nothing for a list of messages. Values are as found."""
    body = plain(messages)
    if not isinstance(body, Mapping):
        return Asked()
    return Asked(_most(body, CHOICES), _most(body, OUTPUT_LIMITS))


def _most(body: Mapping[object, object], keys: frozenset[str]) -> object:
    found = [value for value in _settings(body, keys, 0) if value is not None]
    counts = [value for value in found if type(value) is int]
    # What is no count goes on, so that whoever checks the argument of that name refuses it.
    return max(counts) if found and len(counts) == len(found) else next(iter(found), None)


def _settings(body: Mapping[object, object], keys: frozenset[str], depth: int) -> Iterator[object]:
    for key, value in body.items():
        if key in keys:
            yield value
        elif key in NESTED and depth < DEPTH_MAX:
            inner = plain(value)
            if isinstance(inner, Mapping):
                yield from _settings(inner, keys, depth + 1)


def unread_reasoning(reasoning: object) -> list[str]:
    """Return what a body's ``reasoning`` holds that may cost input, such as a mode that thinks several times."""
    found = plain(reasoning)
    if not isinstance(found, Mapping):
        return []
    named = [f"{key}" for key in found if key not in _STEERS_REASONING and key != "mode"]
    mode = text_of(found, "mode")
    return [*named, *([f"mode {mode:.40}"] if mode not in _ORDINARY_MODES else [])]
