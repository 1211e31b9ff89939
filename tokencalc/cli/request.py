"""Reading a request's body, as it would be sent, into the arguments of an estimate."""

from __future__ import annotations

import json
from typing import Any

from tokencalc.cli.reading import read_text
from tokencalc.errors import TextInvalid

_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "maxOutputTokens", "maxTokens")
_CHOICES = ("n", "candidateCount", "candidate_count")
_CONFIGS = ("generationConfig", "generation_config", "inferenceConfig")
"""Where Gemini's and Bedrock's bodies say how much is to be generated."""


def read_request(file: str) -> dict[str, Any]:
    """Return what a body says of its call: ``messages`` (the body itself), and ``model`` and limits where it has them.

    ``file`` is a path, or ``-`` for stdin. TextInvalid for what is no JSON object.
    """
    name = "stdin" if file == "-" else file
    try:
        body = json.loads(read_text(None, file))
    except (ValueError, RecursionError) as error:
        raise TextInvalid(f"{name}: expected JSON: {error}", path="request", found=name) from error
    if not isinstance(body, dict):
        raise TextInvalid(
            f'{name}: expected a request\'s body as {{"model": ..., "messages": [...]}}, found {body!r:.60}',
            path="request",
            found=name,
        )
    places = [body, *(body[key] for key in _CONFIGS if isinstance(body.get(key), dict))]
    return {
        "messages": body,
        "model": body.get("model"),
        "max_output_tokens": _first(places, _LIMITS),
        "choices": _first(places, _CHOICES),
    }


def _first(places: list[dict[str, Any]], keys: tuple[str, ...]) -> object:
    return next((place[key] for place in places for key in keys if place.get(key) is not None), None)
